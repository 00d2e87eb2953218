//! What the gateway's process holds, as Linux counts it.

use std::fs;
use std::io;
use std::path::PathBuf;

/// What is measured of a process.
#[derive(Clone, Debug)]
pub(crate) struct Process(PathBuf);

/// Resident memory in KiB over the requests of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// Returns the most resident memory so far in KiB.
    pub(crate) fn peak(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// Returns how many file descriptors are open.
    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.0.join("fd"))?.count())
    }

    fn status(&self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.0.join("status"))?;
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let number = value.and_then(|value| value.split_whitespace().next());
        let number = number.ok_or_else(|| io::Error::other(format!("no {name}")))?;
        number.parse().map_err(io::Error::other)
    }
}

impl Samples {
    pub(crate) fn add(&mut self, process: &Process) {
        // A gateway that has ended is found elsewhere.
        self.0.extend(process.resident());
    }

    /// Returns the median of the second fifth of the requests, when the gateway is warm.
    pub(crate) fn warm(&self) -> u64 {
        self.median(1, 5)
    }

    /// Returns the median of the last fifth of the requests.
    pub(crate) fn last(&self) -> u64 {
        self.median(4, 5)
    }

    /// Returns the median of each tenth of the requests.
    pub(crate) fn tenths(&self) -> [u64; 10] {
        std::array::from_fn(|index| self.median(index, 10))
    }

    /// Returns the median of one of so many parts of the requests.
    fn median(&self, index: usize, parts: usize) -> u64 {
        let len = self.0.len();
        let mut part = self.0[len * index / parts..len * (index + 1) / parts].to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    }
}
