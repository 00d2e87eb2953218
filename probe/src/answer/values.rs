//! A splitter of concatenated JSON values, from chunks that may be split anywhere.
//!
//! Ollama sends one value per line. Other servers send a single document that contains line breaks.

use super::framing::{Event, TooLong};
use super::sse::MAX_EVENT;

/// Finds the end of each object or array, without checking that it is valid JSON.
#[derive(Debug, Default)]
pub(super) struct Values {
    value: Vec<u8>,
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl Values {
    /// Takes the next bytes and returns the values that they complete.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            self.value.push(byte);
            if self.is_in_string {
                self.is_in_string = byte != b'"' || self.is_escaped;
                self.is_escaped = byte == b'\\' && !self.is_escaped;
                continue;
            }
            match byte {
                b'"' => self.is_in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                // Outside of a value, a line is plain text.
                b'\n' => {}
                _ => continue,
            }
            if self.depth == 0 && byte != b'"' {
                events.extend(self.end());
            }
            if self.value.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        if self.value.len() > MAX_EVENT {
            return Err(TooLong);
        }
        Ok(events)
    }

    /// Returns the rest: an incomplete value, or text.
    pub(super) fn end(&mut self) -> Option<Event> {
        let value = std::mem::take(&mut self.value);
        let value = value.trim_ascii();
        (!value.is_empty()).then(|| Event::new("", value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "{\"a\":\"}{\\\"\"}\n{\"b\":\n[1, {}]}{\"c\":3}\r\n\r\n[{\"d\":4}]\nsorry\n{\"e\":";
    const VALUES: [&str; 6] = [
        "{\"a\":\"}{\\\"\"}",
        "{\"b\":\n[1, {}]}",
        "{\"c\":3}",
        "[{\"d\":4}]",
        "sorry",
        "{\"e\":",
    ];

    #[test]
    fn values_are_separated_wherever_the_stream_is_split() {
        for size in 1..=STREAM.len() {
            let mut values = Values::default();
            let mut events = Vec::new();
            for chunk in STREAM.as_bytes().chunks(size) {
                events.extend(values.push(chunk).expect("below the size limit"));
            }
            events.extend(values.end());
            let found: Vec<_> = events.into_iter().map(|event| event.data).collect();
            assert_eq!(found, VALUES, "in chunks of {size}");
        }
    }

    #[test]
    fn an_endless_value_is_an_error_instead_of_filling_memory() {
        let mut values = Values::default();
        let piece = "[".repeat(1 << 16).into_bytes();
        assert_eq!(
            (0..100).find_map(|_| values.push(&piece).err()),
            Some(TooLong)
        );
    }
}
