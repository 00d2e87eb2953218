//! Every combination of a set of layer settings and requests, against the oracle of the fuzz targets.
//!
//! The oracle shares no code with the crate.
#![cfg(all(feature = "hmac", feature = "scope"))]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the oracle is a separate library, and this test uses only part of it"
)]

use std::num::NonZeroU8;

use http::{HeaderValue, Uri};

use layer::AnyLayer;
use request::{
    Adopt, Derivation, Fill, Input, Key, Name, Pattern, Place, Row, Settings, Source, Suffix, Value,
};
use table::{judge, lines_of, touched, without};

#[path = "../fuzz/src/host.rs"]
mod host;
#[path = "../fuzz/src/key.rs"]
mod key;
#[path = "../fuzz/src/layer.rs"]
mod layer;
#[path = "../fuzz/src/request.rs"]
mod request;
#[path = "../fuzz/src/table.rs"]
mod table;

/// The number of combinations, which the README repeats.
const COMBINATIONS: usize = 447_360;

const HEADER: Name = Name("x-session-affinity");
const SESSION: Name = Name("x-session-id");
const USER: Name = Name("x-affinity");

/// The kinds of values in a header line. The number tells several lines of a kind apart.
const LINES: [fn(usize) -> Vec<u8>; 4] = [
    |number| b" \t "[..number].to_vec(),
    |number| format!("valid-{number}").into_bytes(),
    |number| format!("not, valid {number}").into_bytes(),
    // No-break spaces in Latin-1, which are not blank.
    |number| vec![0xa0; number + 1],
];

/// What a source of keys finds: nothing, a valid key, or an invalid one.
const SOURCE_VALUES: [Option<&str>; 3] = [None, Some("read"), Some("not, a key")];

fn key(text: &str) -> Key {
    Key(text.to_owned())
}

/// Returns every sequence of up to three lines.
fn all_lines() -> Vec<Vec<Vec<u8>>> {
    let mut all = vec![vec![]];
    let mut longest = all.clone();
    for number in 0..3 {
        let longer = longest.iter().flat_map(|lines: &Vec<Vec<u8>>| {
            LINES.map(|line| [lines.clone(), vec![line(number)]].concat())
        });
        longest = longer.collect();
        all.extend(longest.clone());
    }
    all
}

fn all_settings(sources: &[Option<Source>; 3]) -> Vec<Settings> {
    let lists = [
        None,
        Some(vec![]),
        Some(vec!["a.example"]),
        Some(vec!["b.example", "*.c.example:80"]),
    ];
    let mut all = Vec::new();
    for replace in [false, true] {
        for list in &lists {
            for derivation in [None, Some(Derivation::PerHost)] {
                let pattern = |text: &&str| Pattern((*text).to_owned());
                all.push(Settings {
                    header_name: None,
                    replace,
                    only_hosts: list.as_ref().map(|list| list.iter().map(pattern).collect()),
                    sources: sources.clone(),
                    derivation,
                    destinations: None,
                    adopt: None,
                });
            }
        }
    }
    all
}

/// Returns every request, given the values of two headers and of the scope.
fn all_inputs(
    sessions: &[Option<&str>],
    users: &[Option<&str>],
    scopes: &[Option<&str>],
) -> Vec<Input> {
    let places = ["https://a.example/v1", "/v1"].map(|uri| Place(Uri::from_static(uri)));
    let mut all = Vec::new();
    for lines in all_lines() {
        for uri in &places {
            for no_affinity in [false, true] {
                for extension in [None, Some("extension")] {
                    for session in sessions {
                        for user in users {
                            for scope in scopes {
                                let line = |line: &Vec<u8>| (HEADER, value(line));
                                let mut headers: Vec<_> = lines.iter().map(line).collect();
                                headers.extend(session.map(|it| (SESSION, value(it.as_bytes()))));
                                headers.extend(user.map(|it| (USER, value(it.as_bytes()))));
                                all.push(Input {
                                    uri: uri.clone(),
                                    headers,
                                    fill: Fill(0),
                                    extension: extension.map(key),
                                    no_affinity,
                                    scope: scope.map(key),
                                    is_connect: false,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

fn value(bytes: &[u8]) -> Value {
    Value(HeaderValue::from_bytes(bytes).expect("a header value"))
}

fn check(settings: &Settings, layer: &dyn AnyLayer, input: &Input) {
    let request = input.request();
    let stamp = || layer.stamp(&request);
    let (outcome, after) = match &input.scope {
        None => stamp(),
        Some(key) => key.affinity_key().sync_scope(stamp),
    };
    let expected = judge(settings, input, &request);
    let touched = touched(settings);
    let is_as_expected = outcome == expected.outcome
        && lines_of(&after, &touched) == Vec::from_iter(expected.sent.clone())
        && without(after.clone(), &touched) == without(request.headers().clone(), &touched);
    assert!(
        is_as_expected,
        "{settings:?} {input:?}: expected {expected:?}, found {outcome:?} and {after:?}"
    );
}

/// Combines every kind of table with every way to adopt, each policy, derivation and last source.
fn settings_of_destinations() -> Vec<Settings> {
    let row = |host: &str, header_name| Row {
        host: Pattern(host.to_owned()),
        path_suffixes: vec![],
        header_name,
        max_len: None,
    };
    let elsewhere = || row("b.example", Some(USER));
    let reads_session = || row("a.example", Some(SESSION));
    let limited = Row {
        max_len: NonZeroU8::new(5),
        ..reads_session()
    };
    let other_path = Row {
        path_suffixes: vec![Suffix("/chat")],
        ..row("a.example", Some(HEADER))
    };
    let tables = [
        None,
        Some(vec![elsewhere()]),
        Some(vec![row("a.example", None), elsewhere()]),
        Some(vec![elsewhere(), limited]),
        Some(vec![other_path, reads_session(), elsewhere()]),
    ];
    let adopts = [None, Some(false), Some(true)];
    let mut all = Vec::new();
    for replace in [false, true] {
        for table in &tables {
            for adopt in adopts {
                for fixed in [None, Some("fixed-key")] {
                    for derivation in [None, Some(Derivation::PerHost)] {
                        all.push(Settings {
                            header_name: None,
                            replace,
                            only_hosts: None,
                            sources: [None, None, fixed.map(|it| Source::Fixed(Some(key(it))))],
                            derivation,
                            destinations: table.clone(),
                            adopt: adopt.map(|derived| Adopt {
                                names: vec![HEADER, SESSION],
                                derived,
                            }),
                        });
                    }
                }
            }
        }
    }
    all
}

/// Returns requests with and without a host, CONNECT or not, with up to two lines of the header and one of each other.
fn inputs_of_destinations() -> Vec<Input> {
    let mut all = all_inputs(&SOURCE_VALUES, &[None, Some("read")], &[None]);
    all.retain(|input| {
        let lines = input.headers.iter().filter(|line| line.0.0 == HEADER.0);
        lines.count() < 3 && input.extension.is_none()
    });
    let is_connect = |input: &Input| Input {
        is_connect: true,
        ..input.clone()
    };
    all.extend(all.iter().map(is_connect).collect::<Vec<_>>());
    all
}

/// Returns the groups: settings for each list of sources, with requests that those sources can read.
fn groups() -> Vec<(Vec<Settings>, Vec<Input>)> {
    let none = [None];
    let mut groups = Vec::new();
    for fixed in [None, Some(key("fixed"))] {
        let fixed = Source::Fixed(fixed);
        let reading = [
            Source::Headers(vec![SESSION]),
            Source::Closure(USER),
            fixed.clone(),
        ];
        groups.push((
            all_settings(&reading.map(Some)),
            all_inputs(&SOURCE_VALUES, &SOURCE_VALUES, &none),
        ));
        let scoped = [Source::Shared(USER), Source::Scope, fixed];
        groups.push((
            all_settings(&scoped.map(Some)),
            all_inputs(&none, &SOURCE_VALUES, &[None, Some("scope")]),
        ));
    }
    groups.push((settings_of_destinations(), inputs_of_destinations()));
    groups
}

#[test]
fn every_combination_agrees_with_the_oracle() {
    let mut combinations = 0;
    for (all_settings, inputs) in groups() {
        combinations += all_settings.len() * inputs.len();
        let inputs = &inputs;
        // One thread for each policy.
        std::thread::scope(|threads| {
            for settings in all_settings.chunks(all_settings.len() / 2) {
                threads.spawn(move || {
                    for settings in settings {
                        let layer = settings.layer();
                        for input in inputs {
                            check(settings, &*layer, input);
                        }
                    }
                });
            }
        });
    }
    assert_eq!(
        combinations, COMBINATIONS,
        "`COMBINATIONS` and the README must state this number"
    );
}
