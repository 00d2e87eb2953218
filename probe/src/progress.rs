//! The progress bar, on standard error, shown only if that is a terminal.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// A progress bar over the requests of a run.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(requests: u64) -> Self {
        let template = "{bar:30} {pos}/{len} requests, {elapsed} elapsed{left}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        let style = style.with_key("left", |state: &ProgressState, text: &mut dyn Write| {
            // The first answer has to arrive before the rest can be estimated.
            if state.pos() > 0 {
                let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
            }
        });
        let bar = ProgressBar::new(requests).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Counts a request.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Takes requests off the total that will not be sent.
    pub(crate) fn skip(&self, requests: u64) {
        self.0
            .set_length(self.0.length().unwrap_or_default().saturating_sub(requests));
    }

    /// Prints a line above the bar.
    pub(crate) fn note(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
