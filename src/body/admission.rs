//! Decides from a request's headers whether its body may be changed.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Outcome;

/// Headers with a signature or a digest of the body, or with what a signature covers.
const SIGNATURES: [&str; 6] = [
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
    "signature",
    "signature-input",
];

/// The suffix of vendors' digest headers: `x-amz-`, `x-ms-` and `x-goog-content-sha256`.
const DIGEST_SUFFIX: &str = "content-sha256";

/// Returns why a body with these headers must not be changed, if so.
pub(super) fn refuse(headers: &HeaderMap) -> Option<Outcome> {
    match content_length(headers) {
        _ if !is_json(headers) => Some(Outcome::NotJson),
        Ok(Some(0)) => Some(Outcome::NotJson),
        Err(InvalidLength) => Some(Outcome::Encoded),
        Ok(_) if is_encoded(headers) => Some(Outcome::Encoded),
        Ok(_) if is_signed(headers) => Some(Outcome::Signed),
        Ok(_) => None,
    }
}

/// Longer than any body, and short enough that adding a member's length does not overflow a `u64`.
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// A `content-length` that is not a number, or several different ones.
#[derive(Debug)]
pub(super) struct InvalidLength;

/// Returns the `content-length`, if there is one.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, InvalidLength> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(length);
    let Some(first) = lengths.next() else {
        return Ok(None);
    };
    // Equal values count as one (RFC 9110, section 8.6).
    if first.is_none() || lengths.any(|length| length != first) {
        return Err(InvalidLength);
    }
    Ok(first)
}

fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?.trim();
    // `parse` also accepts a sign.
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|&length| are_digits && length <= MAX_LENGTH)
}

/// Whether there is exactly one content type, and it is JSON in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(is_json_type) && parts.all(is_utf8)
}

fn is_json_type(essence: &str) -> bool {
    let is = |text: &str, expected: &str| text.eq_ignore_ascii_case(expected);
    match essence.split_once('/') {
        None => false,
        Some((group, subtype)) => match subtype.rsplit_once('+') {
            Some((_, suffix)) => is(suffix, "json"),
            None => is(subtype, "json") && (is(group, "application") || is(group, "text")),
        },
    }
}

/// Whether a parameter is not a `charset` other than UTF-8 or ASCII.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return true;
    };
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|set| value.eq_ignore_ascii_case(set))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    has_coding_but(headers, CONTENT_ENCODING, "identity")
        || has_coding_but(headers, TRANSFER_ENCODING, "chunked")
}

/// Whether a list of codings has one other than `plain`, which does not change the bytes.
fn has_coding_but(headers: &HeaderMap, name: HeaderName, plain: &str) -> bool {
    let is_plain = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(plain.as_bytes())
    };
    let mut codings = headers.get_all(name).iter();
    codings.any(|list| !list.as_bytes().split(|byte| *byte == b',').all(is_plain))
}

fn is_signed(headers: &HeaderMap) -> bool {
    let is_signature = |name: &HeaderName| {
        let name = name.as_str();
        SIGNATURES.contains(&name) || name.ends_with(DIGEST_SUFFIX)
    };
    headers.keys().any(is_signature) || headers.get_all(AUTHORIZATION).iter().any(is_signing_scheme)
}

/// Whether credentials are a signature: `AWS4-HMAC-SHA256`, other vendors' `…-HMAC-…`, `Signature`, `AWS`, or
/// HTTP's `Digest`, which may cover the body.
fn is_signing_scheme(credentials: &HeaderValue) -> bool {
    let mut words = credentials.as_bytes().split(|byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    let is = |bytes: &[u8], text: &str| bytes.eq_ignore_ascii_case(text.as_bytes());
    ["aws", "digest", "hmac", "signature"]
        .iter()
        .any(|name| is(scheme, name))
        || scheme.get(..5).is_some_and(|start| is(start, "aws4-"))
        || scheme.windows(5).any(|part| is(part, "hmac-"))
}
