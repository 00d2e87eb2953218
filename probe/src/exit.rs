//! Exit codes.

use std::fmt::Display;
use std::process::ExitCode;

use crate::args::{Args, FailIf};
use crate::measure::Record;
use crate::run::Ended;
use crate::verdict::{Finding, Verdict};

/// The endpoint failed before the run was complete.
pub(crate) const FAILED: u8 = 1;
/// The command line is not valid; nothing was sent.
pub(crate) const BAD_USAGE: u8 = 2;
/// The condition of `--fail-if` or `--min-gain` failed the run.
const CONDITION: u8 = 3;
/// `--fail-if` or `--min-gain` could not be checked.
const INCONCLUSIVE: u8 = 4;
/// 128 plus the number of the signal, as shells do.
const INTERRUPTED: u8 = 130;

/// Prints an error and returns its code.
pub(crate) fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

/// Returns the code of a run whose result was printed.
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

/// Returns the code and the reason, if a condition of the command line failed or could not be checked.
fn condition(
    fail_if: Option<FailIf>,
    min_gain: Option<f64>,
    verdict: &Verdict,
) -> Option<(u8, String)> {
    let failed = |why: String| Some((CONDITION, why));
    if fail_if.is_none() && min_gain.is_none() {
        return None;
    }
    let finding = verdict.finding;
    if finding == Finding::Inconclusive {
        return Some((
            INCONCLUSIVE,
            "the result is inconclusive, so --fail-if and --min-gain cannot be checked".to_owned(),
        ));
    }
    match fail_if {
        Some(FailIf::Ignored) if finding == Finding::Ignored => {
            return failed("the key is ignored (--fail-if ignored)".to_owned());
        }
        Some(FailIf::NoGain) if finding != Finding::Honored => {
            return failed("the key gains nothing (--fail-if no-gain)".to_owned());
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
            INCONCLUSIVE,
            "--min-gain cannot be checked: the endpoint reports no cached tokens".to_owned(),
        )),
        Some(gained) if gained < least => failed(format!(
            "the gain is {gained:.1} percentage points, less than the required {least} (--min-gain)"
        )),
        Some(_) => None,
    }
}
