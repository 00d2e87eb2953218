//! What the program ends with.

use std::fmt::Display;
use std::process::ExitCode;

use crate::args::{Args, FailIf};
use crate::measure::Record;
use crate::run::Ended;
use crate::verdict::{Finding, Verdict};

/// The endpoint gave nothing to measure, or stopped to.
pub(crate) const FAILED: u8 = 1;
/// Nothing was sent, since the command line does not say how.
pub(crate) const BAD_USAGE: u8 = 2;
/// `--fail-if` or `--min-gain` is met.
const CONDITION: u8 = 3;
/// `--fail-if` or `--min-gain` was given, and there is no telling.
const NO_TELLING: u8 = 4;
/// 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;

/// Says what went wrong, and returns its code.
pub(crate) fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

/// Returns the code of a run that was told.
pub(crate) fn conclude(
    args: &Args,
    records: &[Record],
    ended: &Ended,
    verdict: &Verdict,
) -> ExitCode {
    let mut failures = records.iter().rev().map(|record| record.failure.as_ref());
    let none_measured = failures.clone().all(|failure| failure.is_some());
    match ended {
        Ended::Failed(failure) => fail(FAILED, failure),
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
        Ended::Complete => match failures.next().flatten() {
            Some(failure) if none_measured => fail(FAILED, failure),
            _ => match condition(args.fail_if, args.min_gain, verdict) {
                Some((code, why)) => fail(code, &why),
                None => ExitCode::SUCCESS,
            },
        },
    }
}

/// Returns the code and the reason, if a condition of the command line is met or cannot be judged.
fn condition(
    fail_if: Option<FailIf>,
    min_gain: Option<f64>,
    verdict: &Verdict,
) -> Option<(u8, String)> {
    let is_met = |why: String| Some((CONDITION, why));
    if fail_if.is_none() && min_gain.is_none() {
        return None;
    }
    let finding = verdict.finding;
    if finding == Finding::Unknown {
        return Some((
            NO_TELLING,
            "there is no telling whether --fail-if or --min-gain is met".to_owned(),
        ));
    }
    match fail_if {
        Some(FailIf::Ignored) if finding == Finding::Ignored => {
            return is_met("every name is ignored (--fail-if ignored)".to_owned());
        }
        Some(FailIf::NoGain) if finding != Finding::Honoured => {
            return is_met("no name gains anything (--fail-if no-gain)".to_owned());
        }
        _ => {}
    }
    let least = min_gain?;
    let gained = verdict
        .difference
        .filter(|_| verdict.by_tokens)
        .map(|difference| 100.0 * difference.value);
    match gained {
        None => Some((
            NO_TELLING,
            "there is no telling what is gained (--min-gain): no cached tokens are reported"
                .to_owned(),
        )),
        Some(gained) if gained < least => is_met(format!(
            "the gain is {gained:.1} points, less than {least} (--min-gain)"
        )),
        Some(_) => None,
    }
}
