//! The grammar of a key.

use http::HeaderValue;

/// Returns the text of the error for these bytes, or `None` if they are a valid key.
#[must_use]
pub fn complaint(bytes: &[u8]) -> Option<String> {
    let is_allowed = |byte: &u8| (b'!'..=b'~').contains(byte) && *byte != b',';
    match bytes.iter().position(|byte| !is_allowed(byte)) {
        _ if bytes.is_empty() => Some("affinity key is empty, expected 1 to 255 bytes".into()),
        _ if bytes.len() > 255 => {
            let len = bytes.len();
            Some(format!(
                "affinity key has {len} bytes, expected at most 255"
            ))
        }
        Some(index) => {
            let byte = bytes[index];
            Some(format!(
                "affinity key has invalid byte 0x{byte:02x} at index {index}, expected visible ASCII other than a comma"
            ))
        }
        None => None,
    }
}

/// Returns the text of the value if it is a valid key.
#[must_use]
pub fn text(value: &HeaderValue) -> Option<String> {
    match complaint(value.as_bytes()) {
        None => value.to_str().ok().map(str::to_owned),
        Some(_) => None,
    }
}
