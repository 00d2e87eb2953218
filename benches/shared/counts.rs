//! Counts the contestants of a program. To do so, gungraun runs the program again under valgrind.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// Set in a program that counts, and not set in the one that starts it and reads the counts.
const OUTPUT_FORMAT: &str = "GUNGRAUN_OUTPUT_FORMAT";

/// The counts of one call, by contestant, id and metric.
pub(crate) struct Counts(BTreeMap<[String; 3], f64>);

impl Counts {
    /// Counts the contestants of this program, and fails unless `print` returns that every bound holds.
    ///
    /// `run` starts gungraun. A contestant makes `repeats` calls.
    pub(crate) fn judge(
        run: fn(),
        repeats: usize,
        print: fn(&Self) -> bool,
    ) -> Result<ExitCode, Box<dyn Error>> {
        let counts = Self::take(run, repeats)?;
        let holds = counts.is_none_or(|counts| print(&counts));
        Ok(if holds {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Returns the counts, or `None` if this run is not to print them.
    fn take(run: fn(), repeats: usize) -> Result<Option<Self>, Box<dyn Error>> {
        let first = env::args().nth(1);
        // Callgrind runs this program, too, once for each contestant.
        if first.as_deref() == Some("--gungraun-run") || env::var_os(OUTPUT_FORMAT).is_some() {
            run();
            return Ok(None);
        }
        // `cargo test --benches` only checks that it builds.
        if first.as_deref() != Some("--bench") {
            return Ok(None);
        }
        let counting = Command::new(env::current_exe()?)
            .arg("--bench")
            .env(OUTPUT_FORMAT, "json")
            .stderr(Stdio::inherit())
            .output()?;
        if !counting.status.success() {
            return Err("could not count: are valgrind and gungraun-runner installed?".into());
        }
        Self::read(&String::from_utf8(counting.stdout)?, repeats).map(Some)
    }

    /// Reads gungraun's JSON, with one summary per line.
    fn read(lines: &str, repeats: usize) -> Result<Self, Box<dyn Error>> {
        let mut counts = BTreeMap::new();
        for line in lines.lines().filter(|line| line.starts_with('{')) {
            let summary: Value = serde_json::from_str(line)?;
            let text = |field: &str| summary[field].as_str().unwrap_or_default().to_owned();
            let calls = f64::from(u32::try_from(repeats)?);
            let profiles = summary["profiles"]
                .as_array()
                .ok_or("a summary without profiles")?;
            for profile in profiles {
                let metrics = profile["data"]["total"]["metrics"].as_object();
                for (metric, values) in metrics.into_iter().flatten() {
                    let key = [text("function_name"), text("id"), metric.clone()];
                    let total = values["values"]["new"].as_f64();
                    counts.extend(total.map(|total| (key, total / calls)));
                }
            }
        }
        Ok(Self(counts))
    }

    /// Returns the instructions of one contestant.
    pub(crate) fn of(&self, contestant: &str, id: &str) -> f64 {
        self.metric(contestant, id, "Ir")
    }

    /// Returns one count of one contestant.
    pub(crate) fn metric(&self, contestant: &str, id: &str, metric: &str) -> f64 {
        let count = self.0.get(&[contestant, id, metric].map(str::to_owned));
        *count.unwrap_or_else(|| panic!("no count of {contestant} {id} {metric}"))
    }
}
