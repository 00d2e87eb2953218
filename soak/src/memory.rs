//! The gateway's memory and file descriptors, from `/proc`.

use std::fs;
use std::io;
use std::path::PathBuf;

/// A process's folder in `/proc`.
#[derive(Clone, Debug)]
pub(crate) struct Process(PathBuf);

/// Resident memory in KiB, sampled by requests.
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

    /// Returns the peak of resident memory in KiB.
    pub(crate) fn peak(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// Returns the number of open file descriptors.
    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.0.join("fd"))?.count())
    }

    fn status(&self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.0.join("status"))?;
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let number = value.and_then(|value| value.split_whitespace().next());
        let number =
            number.ok_or_else(|| io::Error::other(format!("`/proc` has no number for {name}")))?;
        number.parse().map_err(io::Error::other)
    }
}

impl Samples {
    pub(crate) fn add(&mut self, process: &Process) {
        // An error means that the gateway has exited, which `Gateway::ended` reports.
        self.0.extend(process.resident());
    }

    /// Returns the median over the second fifth of the requests, when the gateway is warm.
    pub(crate) fn warm(&self) -> u64 {
        self.median(1, 5)
    }

    /// Returns the median over the last fifth of the requests.
    pub(crate) fn last(&self) -> u64 {
        self.median(4, 5)
    }

    /// Returns the median over each tenth of the requests.
    pub(crate) fn tenths(&self) -> [u64; 10] {
        std::array::from_fn(|index| self.median(index, 10))
    }

    /// Returns the median over one of `parts` equal parts of the requests.
    fn median(&self, index: usize, parts: usize) -> u64 {
        let len = self.0.len();
        let mut part = self.0[len * index / parts..len * (index + 1) / parts].to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or_default()
    }
}
