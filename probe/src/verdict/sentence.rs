//! A verdict in words.

use super::{Compared, Evidence, Finding, Judged};
use crate::measure::Record;
use crate::report::grouped;
use crate::variant::{WITHOUT_KEY, listed};

/// How a value is described in a sentence.
struct Words {
    /// What was measured with the key.
    with: fn(f64) -> String,
    value: fn(f64) -> String,
    /// Why the verdict is weaker than usual, if it is.
    caveat: &'static str,
}

const TOKENS: Words = Words {
    with: |share| {
        format!(
            "From turn 2 on, {} of prompt tokens came from cache",
            percent(share)
        )
    },
    value: percent,
    caveat: "",
};

const TIME: Words = Words {
    with: |ms| format!("From turn 2 on, the first token took {ms:.0} ms"),
    value: |ms| format!("{ms:.0} ms"),
    caveat: " The endpoint reports no cached tokens, so this rests on the time to the first token alone.",
};

/// Says that the reported counts are impossible, with an example.
pub(super) fn impossible(records: &[Record]) -> String {
    let numbers = |record: &Record| record.usage.prompt_tokens.zip(record.usage.cached_tokens);
    let example = records
        .iter()
        .filter_map(numbers)
        .max_by_key(|(prompt, cached)| cached.saturating_sub(*prompt).max(*prompt));
    let (prompt, cached) = example.unwrap_or_default();
    format!(
        "inconclusive. The endpoint reports impossible token counts, such as a prompt of {} tokens with {} of them cached.",
        grouped(prompt),
        grouped(cached),
    )
}

pub(super) fn by_tokens(evidence: &Evidence<'_>, compared: &Compared) -> String {
    match compared.judged.as_slice() {
        [one] => one_by_tokens(evidence, one, compared.without),
        all => several(compared, all, &TOKENS),
    }
}

fn one_by_tokens(evidence: &Evidence<'_>, judged: &Judged, without: f64) -> String {
    let name = &judged.name;
    let shares = shares(judged, without, &TOKENS);
    let replicas = evidence.summaries[WITHOUT_KEY].replicas_per_conversation;
    match (judged.finding, replicas) {
        (Finding::Honored, _) => format!("this endpoint honors {name}. {shares}"),
        (Finding::Harmful, _) => format!("{name} is harmful here. {shares}"),
        (Finding::Inconclusive, _) => format!(
            "inconclusive. A difference is neither shown nor ruled out; try more conversations or turns. {shares}"
        ),
        (Finding::NotNeeded, _) => format!(
            "{name} is not needed: there is one replica, or a prefix-cache-aware router. {shares}"
        ),
        (Finding::NotCached, Some(replicas)) => format!(
            "{name} keeps a conversation on one replica ({replicas:.1} without it), but its prompt is no longer in that cache at the next turn. {shares}"
        ),
        (_, Some(_)) => format!("{name} is ignored. {shares}"),
        (_, None) => {
            format!("{name} is ignored, or no prompt stays cached until the next turn. {shares}")
        }
    }
}

pub(super) fn by_time(compared: &Compared) -> String {
    let sentence = match compared.judged.as_slice() {
        [one] => {
            let name = &one.name;
            let times = shares(one, compared.without, &TIME);
            match one.finding {
                Finding::Honored => format!("this endpoint seems to honor {name}. {times}"),
                Finding::Harmful => format!("{name} seems harmful here. {times}"),
                _ => format!(
                    "inconclusive. {name} makes no clear difference, so it is ignored or not needed. {times}"
                ),
            }
        }
        all => several(compared, all, &TIME),
    };
    sentence + TIME.caveat
}

fn shares(judged: &Judged, without: f64, words: &Words) -> String {
    format!(
        "{} with the key, {} without it.",
        (words.with)(judged.value.unwrap_or_default()),
        (words.value)(without),
    )
}

/// Names the best of several names, and the findings of the others.
fn several(compared: &Compared, all: &[Judged], words: &Words) -> String {
    let shown = |judged: &Judged| {
        let value = (words.value)(judged.value.unwrap_or_default());
        format!("{} ({value})", judged.name)
    };
    let without = (words.value)(compared.without);
    let mut parts = Vec::new();
    let honored = compared.with(Finding::Honored);
    let best = compared.best().map(|best| best.variant);
    match honored.iter().find(|one| Some(one.variant) == best) {
        Some(best) => parts.push(format!(
            "this endpoint {} {}. {} with it, {without} without a key.",
            if words.caveat.is_empty() {
                "honors"
            } else {
                "seems to honor"
            },
            best.name,
            (words.with)(best.value.unwrap_or_default()),
        )),
        None => parts.push(format!(
            "none of the {} names clearly helps. {} without a key.",
            all.len(),
            (words.with)(compared.without),
        )),
    }
    let others = honored.iter().filter(|one| Some(one.variant) != best);
    let others: Vec<_> = others.map(|one| shown(one)).collect();
    if !others.is_empty() {
        parts.push(format!(
            "{} {} honored too, but gain{} less.",
            listed(&others),
            is(&others),
            if others.len() == 1 { "s" } else { "" },
        ));
    }
    for (finding, what) in [
        (Finding::Ignored, "ignored"),
        (
            Finding::NotNeeded,
            "not needed, with one replica or a prefix-cache-aware router",
        ),
        (
            Finding::NotCached,
            "honored, but no prompt stays cached until the next turn",
        ),
        (Finding::Inconclusive, "inconclusive"),
        (Finding::Harmful, "harmful"),
    ] {
        let names: Vec<_> = compared.with(finding).into_iter().map(shown).collect();
        if !names.is_empty() {
            parts.push(format!("{} {} {what}.", listed(&names), is(&names)));
        }
    }
    let refused = compared.with(Finding::Refused);
    let refused: Vec<_> = refused.iter().map(|judged| judged.name.clone()).collect();
    if !refused.is_empty() {
        parts.push(format!("{} {} refused.", listed(&refused), is(&refused)));
    }
    parts.join(" ")
}

const fn is(names: &[String]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

pub(super) fn token_test(compared: &Compared) -> String {
    let difference = compared.best().and_then(|best| best.difference);
    difference.map_or_else(String::new, |difference| {
        let points = difference.map(|share| 100.0 * share);
        format!(
            "{:+.1} percentage points, 99 % confidence interval {:+.1} to {:+.1}; {}",
            points.value,
            points.low,
            points.high,
            method(compared, difference.p),
        )
    })
}

pub(super) fn time_test(compared: &Compared) -> String {
    let difference = compared.best().and_then(|best| best.difference);
    difference.map_or_else(String::new, |ms| {
        format!(
            "{:+.0} ms, 99 % confidence interval {:+.0} to {:+.0}; {}",
            ms.value,
            ms.low,
            ms.high,
            method(compared, ms.p),
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
        "{p} by a paired permutation test over {} conversations{corrected}",
        compared.conversations
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
