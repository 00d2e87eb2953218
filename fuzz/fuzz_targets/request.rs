//! Any request through any layer is sent as the truth table says, through `stamp` and as a service.
//!
//! The layer touches no other header.
#![no_main]

use fuzz::request::{Input, Settings};
use fuzz::table::{judge, lines_of, touched, without};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (Settings, Input)| {
    let (settings, input) = case;
    let (layer, before) = (settings.layer(), input.request());
    let expected = judge(&settings, &input, &before);
    let expected_lines = Vec::from_iter(expected.sent);
    let touched = touched(&settings);
    let others = without(before.headers().clone(), &touched);

    let (outcome, stamped) = in_scope(&input, || layer.stamp(&before));
    assert_eq!(outcome, expected.outcome);
    assert_eq!(lines_of(&stamped, &touched), expected_lines, "{outcome:?}");
    assert_eq!(without(stamped, &touched), others);

    let served = in_scope(&input, || layer.serve(before));
    assert_eq!(lines_of(&served, &touched), expected_lines, "{outcome:?}");
    assert_eq!(without(served, &touched), others);
});

fn in_scope<R>(input: &Input, work: impl FnOnce() -> R) -> R {
    match &input.scope {
        None => work(),
        Some(key) => key.affinity_key().sync_scope(work),
    }
}
