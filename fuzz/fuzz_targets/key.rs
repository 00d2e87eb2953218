//! Every conversion accepts the same keys, and refuses others with the same error.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use tower_session_affinity::AffinityKey;

fuzz_target!(|bytes: &[u8]| {
    let expected = match fuzz::key::complaint(bytes) {
        None => Ok(bytes),
        Some(complaint) => Err(complaint),
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(AffinityKey::try_from(text), &expected);
        check(AffinityKey::try_from(text.to_owned()), &expected);
        check(text.parse(), &expected);
    }
    match HeaderValue::from_bytes(bytes) {
        Err(_) => assert!(
            expected.is_err(),
            "the oracle accepts a key that is not a header value"
        ),
        Ok(mut value) => {
            check(AffinityKey::try_from(&value), &expected);
            value.set_sensitive(true);
            let copied = AffinityKey::try_from(&value);
            let taken = AffinityKey::try_from(value);
            for key in [&copied, &taken].into_iter().flatten() {
                assert!(key.as_header_value().is_sensitive());
            }
            check(copied, &expected);
            check(taken, &expected);
        }
    }
});

fn check<E: std::error::Error>(made: Result<AffinityKey, E>, expected: &Result<&[u8], String>) {
    match (made, expected) {
        (Ok(key), Ok(bytes)) => {
            assert_eq!(key.as_str().as_bytes(), *bytes);
            assert_eq!(format!("{key:?}"), "AffinityKey(..)");
            assert_eq!(HeaderValue::from(key).as_bytes(), *bytes);
        }
        (Err(error), Err(complaint)) => assert_eq!(error.to_string(), *complaint),
        (made, expected) => panic!("accepted: {}, expected: {expected:?}", made.is_ok()),
    }
}
