//! A verdict in words.

use super::{Compared, Evidence, Finding, Judged};
use crate::measure::Record;
use crate::report::grouped;
use crate::variant::{WITHOUT_KEY, listed};

/// Says that reported numbers are impossible, with one of these.
pub(super) fn misfit(records: &[Record]) -> String {
    let numbers = |record: &Record| record.usage.prompt_tokens.zip(record.usage.cached_tokens);
    let example = records
        .iter()
        .filter_map(numbers)
        .max_by_key(|(prompt, cached)| cached.saturating_sub(*prompt).max(*prompt));
    let (prompt, cached) = example.unwrap_or_default();
    format!(
        "the numbers that the endpoint reports do not fit together (a prompt of {} tokens, {} of them cached): cannot tell",
        grouped(prompt),
        grouped(cached),
    )
}

pub(super) fn by_tokens(evidence: &Evidence<'_>, compared: &Compared) -> String {
    let without = percent(compared.without);
    match compared.judged.as_slice() {
        [one] => one_by_tokens(evidence, one, &without),
        all => {
            let shown = |judged: &&Judged| {
                format!(
                    "{} ({})",
                    judged.name,
                    percent(judged.value.unwrap_or_default())
                )
            };
            several(
                compared,
                all,
                |best, gain| {
                    let with = percent(best.value.unwrap_or_default());
                    format!(
                        "with {} {with} of the prompt came from cache, without a key {without}: {gain}",
                        best.name
                    )
                },
                &shown,
                &format!("{without} without a key"),
            )
        }
    }
}

fn one_by_tokens(evidence: &Evidence<'_>, judged: &Judged, without: &str) -> String {
    let name = &judged.name;
    let with = percent(judged.value.unwrap_or_default());
    let shares = format!("{with} with the key, {without} without");
    let replicas = evidence.summaries[WITHOUT_KEY].replicas_per_conversation;
    match (judged.finding, replicas) {
        (Finding::Honoured, _) => {
            format!(
                "with the key {with} of the prompt came from cache, without it {without}: this endpoint honours {name}"
            )
        }
        (Finding::Harmful, _) => {
            format!(
                "with the key only {with} of the prompt came from cache, without it {without}: {name} does harm here"
            )
        }
        (Finding::Unknown, _) => format!(
            "no difference beyond chance ({shares}), and too large a one to say that there is none: cannot tell; more conversations or turns can"
        ),
        (Finding::Unneeded, _) => format!(
            "no difference beyond chance, both high ({shares}): one replica, or a router that looks at the prompt itself"
        ),
        (Finding::Fruitless, Some(replicas)) => format!(
            "no difference beyond chance, both low ({shares}): a conversation stays on one replica with the key (on {replicas:.1} without), and that does not keep it in its cache until the next turn"
        ),
        (_, Some(_)) => {
            format!("no difference beyond chance, both low ({shares}): {name} is ignored")
        }
        (_, None) => format!(
            "no difference beyond chance, both low ({shares}): {name} is ignored, or nothing stays in a cache until the next turn"
        ),
    }
}

pub(super) fn by_time(compared: &Compared) -> String {
    const REPORTS_NONE: &str =
        "the endpoint reports no cached tokens; by the time to the first token alone";
    let without = compared.without;
    match compared.judged.as_slice() {
        [one] => {
            let (with, name) = (one.value.unwrap_or_default(), &one.name);
            let end = match one.finding {
                Finding::Honoured => format!("this endpoint seems to honour {name}"),
                Finding::Harmful => format!("{name} seems to do harm here"),
                _ => format!(
                    "no difference beyond chance, and so no way to tell whether {name} is ignored or not needed"
                ),
            };
            format!("{REPORTS_NONE}, {with:.0} ms with the key and {without:.0} ms without: {end}")
        }
        all => {
            let shown = |judged: &&Judged| {
                format!(
                    "{} ({:.0} ms)",
                    judged.name,
                    judged.value.unwrap_or_default()
                )
            };
            let sentence = several(
                compared,
                all,
                |best, gain| {
                    let with = best.value.unwrap_or_default();
                    format!(
                        "{with:.0} ms with {} and {without:.0} ms without a key: {gain}",
                        best.name
                    )
                },
                &shown,
                &format!("{without:.0} ms without a key"),
            );
            format!("{REPORTS_NONE}, {sentence}")
        }
    }
}

/// Says which of several names is the best, and what the others are.
fn several(
    compared: &Compared,
    all: &[Judged],
    winner: impl Fn(&Judged, &str) -> String,
    shown: &dyn Fn(&&Judged) -> String,
    without: &str,
) -> String {
    let names = |finding: Finding| compared.with(finding).iter().map(shown).collect::<Vec<_>>();
    let are = |names: &[String]| if names.len() == 1 { "is" } else { "are" };
    let best = compared
        .best()
        .filter(|best| best.finding == Finding::Honoured);
    let mut parts = Vec::new();
    if let Some(best) = best {
        parts.push(winner(
            best,
            &format!("{} is the name that this endpoint honours", best.name),
        ));
        let others = compared
            .with(Finding::Honoured)
            .into_iter()
            .filter(|other| other.variant != best.variant);
        let others: Vec<_> = others.map(|other| shown(&other)).collect();
        if !others.is_empty() {
            parts[0] = winner(
                best,
                &format!(
                    "{} gains most of the names that this endpoint honours",
                    best.name
                ),
            );
            parts.push(format!(
                "{} {} honoured, too",
                listed(&others),
                are(&others)
            ));
        }
    } else {
        parts.push(format!(
            "none of {} names makes a difference for the better beyond chance ({without})",
            all.len()
        ));
    }
    for (finding, what) in [
        (Finding::Ignored, "ignored"),
        (
            Finding::Unneeded,
            "not needed: one replica, or a router that looks at the prompt itself",
        ),
        (
            Finding::Fruitless,
            "honoured, and that keeps nothing in a cache until the next turn",
        ),
        (Finding::Unknown, "not to be told from chance"),
    ] {
        let names = names(finding);
        if !names.is_empty() {
            parts.push(format!("{} {} {what}", listed(&names), are(&names)));
        }
    }
    let harmful = names(Finding::Harmful);
    if !harmful.is_empty() {
        let verb = if harmful.len() == 1 { "does" } else { "do" };
        parts.push(format!("{} {verb} harm here", listed(&harmful)));
    }
    let refused: Vec<_> = compared
        .with(Finding::Refused)
        .iter()
        .map(|judged| judged.name.clone())
        .collect();
    if !refused.is_empty() {
        parts.push(format!("{} {} refused", listed(&refused), are(&refused)));
    }
    parts.join("; ")
}

pub(super) fn token_test(compared: &Compared) -> String {
    let difference = compared.best().and_then(|best| best.difference);
    difference.map_or_else(String::new, |difference| {
        let points = difference.map(|share| 100.0 * share);
        format!(
            "from turn 2 on; {}: {:+.1} points, 99 % interval {:+.1} to {:+.1}",
            method(compared, difference.p),
            points.value,
            points.low,
            points.high,
        )
    })
}

pub(super) fn time_test(compared: &Compared) -> String {
    let difference = compared.best().and_then(|best| best.difference);
    difference.map_or_else(String::new, |ms| {
        format!(
            "medians from turn 2 on; {}: {:+.0} ms, 99 % interval {:+.0} to {:+.0}",
            method(compared, ms.p),
            ms.value,
            ms.low,
            ms.high,
        )
    })
}

fn method(compared: &Compared, p: f64) -> String {
    let corrected = match compared.judged.len() {
        1 => String::new(),
        names => format!(", corrected for {names} names"),
    };
    let p = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    format!(
        "paired permutation test over {} conversations{corrected}, {p}",
        compared.conversations
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
