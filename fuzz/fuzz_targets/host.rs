//! The crate and the oracle accept the same patterns, and match the same URIs.
//!
//! The input is a pattern, a line feed, and a URI. The pattern is also tried on URIs derived from it.
#![no_main]

use fuzz::host;
use http::Uri;
use libfuzzer_sys::fuzz_target;
use tower_session_affinity::HostPattern;

fuzz_target!(|input: &str| {
    let (pattern, uri) = input.split_once('\n').unwrap_or((input, input));
    let (read, expected) = (pattern.parse::<HostPattern>(), host::parse(pattern));
    assert_eq!(read.is_ok(), expected.is_some(), "{read:?}");
    let (Ok(read), Some(expected)) = (read, expected) else {
        return;
    };
    let place = pattern
        .split_once("://")
        .map_or(pattern, |(_, place)| place);
    let place = place.strip_prefix("*.").unwrap_or(place);
    let near = [
        format!("https://{place}/"),
        format!("http://{place}.:80"),
        format!("http://a.b.{place}"),
        format!("wss://{}:443", place.to_ascii_uppercase()),
        format!("https://{place}.evil.example"),
        format!("https://evil{place}"),
        format!("https://{place}@evil.example"),
        format!("https://user:{place}@{place}"),
        format!("https://evil.example/{place}"),
        place.to_owned(),
    ];
    for uri in near.iter().map(String::as_str).chain([uri]) {
        if let Ok(uri) = uri.parse::<Uri>() {
            assert_eq!(
                read.matches(&uri),
                host::matches(&expected, &uri),
                "{uri:?}"
            );
        }
    }
});
