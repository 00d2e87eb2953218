//! Every combination of a layer's settings and of what a request brings, against the oracle of the fuzz
//! targets, which shares no line with the crate.
#![cfg(all(feature = "hmac", feature = "scope"))]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the oracle is a library of its own, of which this test needs a part"
)]

use http::{HeaderMap, HeaderValue, Request, Uri};
use tower_session_affinity::{KeyExtractor, Outcome, SessionAffinityLayer};

use request::{Derivation, Fill, Input, Key, Name, Pattern, Place, Settings, Source, Value};
use table::{Verdict, judge, values};

#[path = "../fuzz/src/host.rs"]
mod host;
#[path = "../fuzz/src/key.rs"]
mod key;
#[path = "../fuzz/src/request.rs"]
mod request;
#[path = "../fuzz/src/table.rs"]
mod table;

/// How many combinations there are. The README repeats it.
const COMBINATIONS: usize = 326_400;

const HEADER: Name = Name("x-session-affinity");
const SESSION: Name = Name("x-session-id");
const USER: Name = Name("x-affinity");

/// What one line of the header can be; which of several it was can be told from its number.
const LINES: [fn(usize) -> Vec<u8>; 4] = [
    |number| b" \t "[..number].to_vec(),
    |number| format!("valid-{number}").into_bytes(),
    |number| format!("not, valid {number}").into_bytes(),
    // No-break spaces in Latin-1, which are not blank.
    |number| vec![0xa0; number + 1],
];

/// A value that a source of keys reads: none, a key, and one that is not.
const SOURCE_VALUES: [Option<&str>; 3] = [None, Some("read"), Some("not, a key")];

fn key(text: &str) -> Key {
    Key(text.to_owned())
}

/// Up to three lines of every kind, in every order.
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
                });
            }
        }
    }
    all
}

/// The requests of every kind, with what these sources read: two headers, and the scope.
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

fn stamp(
    layer: &SessionAffinityLayer<impl KeyExtractor>,
    input: &Input,
    request: &Request<()>,
) -> (Outcome, HeaderMap) {
    let mut headers = request.headers().clone();
    let (method, uri, extensions) = (request.method(), request.uri(), request.extensions());
    let mut stamp = || layer.stamp(method, uri, &mut headers, extensions);
    let outcome = match &input.scope {
        None => stamp(),
        Some(key) => key.affinity_key().sync_scope(stamp),
    };
    (outcome, headers)
}

fn check(settings: &Settings, layer: &SessionAffinityLayer<impl KeyExtractor>, input: &Input) {
    let request = input.request();
    let (outcome, mut after) = stamp(layer, input, &request);
    let Verdict {
        outcome: expected,
        left,
    } = judge(settings, input, &request);
    assert_eq!(outcome, expected, "{settings:?} {input:?}");
    assert_eq!(
        values(&after, HEADER.0),
        Vec::from_iter(left),
        "{settings:?} {input:?}"
    );

    let mut before = request.into_parts().0.headers;
    before.remove(HEADER.0);
    after.remove(HEADER.0);
    assert_eq!(after, before, "{settings:?} {input:?}");
}

/// Every list of sources, and the requests that have something for them.
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
    groups
}

#[test]
fn every_combination_is_sent_as_the_oracle_says() {
    let mut combinations = 0;
    for (all_settings, inputs) in groups() {
        combinations += all_settings.len() * inputs.len();
        let inputs = &inputs;
        // The two policies at once.
        std::thread::scope(|threads| {
            for settings in all_settings.chunks(all_settings.len() / 2) {
                threads.spawn(move || {
                    for settings in settings {
                        let layer = settings.layer();
                        for input in inputs {
                            check(settings, &layer, input);
                        }
                    }
                });
            }
        });
    }
    println!("{combinations} combinations");
    assert_eq!(combinations, COMBINATIONS);
}
