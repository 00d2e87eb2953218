//! A parser of server-sent events, from chunks that may be split anywhere.
//!
//! Existing parsers (`eventsource-stream` 0.2, `sse-stream` 0.3, `sseer` 0.3) do not suit an untrusted
//! stream: they do not limit the length of a line or event, stop at bytes that are not UTF-8, and skip the
//! nonstandard lines that servers write when they fail.

use super::framing::{Event, TooLong};

/// The most bytes of one event; no chat has a longer one.
pub(super) const MAX_EVENT: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A parser of the HTML standard's event streams, slightly more tolerant than the standard.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    is_begun: bool,
}

impl Events {
    /// Takes the next bytes and returns the events that they complete.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            match byte {
                // The second half of CRLF.
                b'\n' if self.after_cr => {}
                b'\n' | b'\r' => self.end_line(&mut events),
                _ => self.line.push(byte),
            }
            self.after_cr = byte == b'\r';
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// Returns the last events, if the stream did not end with a blank line.
    pub(super) fn end(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.end_line(&mut events);
        events.extend(self.dispatch());
        events
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let line = match line.strip_prefix(BOM) {
            Some(line) if is_first => line,
            _ => &line,
        };
        if line.trim_ascii().is_empty() {
            events.extend(self.dispatch());
            return;
        }
        // Some servers write an error as bare JSON, without a field name.
        if line.starts_with(b"{") {
            events.extend(self.dispatch());
            events.push(Event::new("", line));
            return;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field.trim_ascii() {
            b"event" => self.name = value.trim_ascii().to_vec(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // As older llama.cpp servers write it.
            b"error" => events.push(Event::new("error", value)),
            // A comment or a different field.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let has_data = std::mem::take(&mut self.has_data);
        has_data.then(|| Event::new(&String::from_utf8_lossy(&name), &data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}data: first\n\n: a comment\n\ndata: {\"a\":\"grün\"}\n\nevent: x\r\ndata:no space\r\n\r\n\
        data: two\rdata: lines\r\rdata\n\nid: 7\n\ndatum: no\n\ndata:\n\ndata: [DONE] \n\n\
        {\"error\":1}\nerror: bad\n\ndata: no blank line";
    const EVENTS: [(&str, &str); 10] = [
        ("", "first"),
        ("", "{\"a\":\"grün\"}"),
        ("x", "no space"),
        ("", "two\nlines"),
        ("", ""),
        ("", ""),
        ("", "[DONE]"),
        ("", "{\"error\":1}"),
        ("error", "bad"),
        ("", "no blank line"),
    ];

    fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut events = Events::default();
        let mut parsed = Vec::new();
        for chunk in chunks {
            parsed.extend(events.push(chunk).expect("below the size limit"));
        }
        parsed.extend(events.end());
        parsed
            .into_iter()
            .map(|event| (event.name, event.data))
            .collect()
    }

    fn expected() -> Vec<(String, String)> {
        EVENTS
            .map(|(name, data)| (name.to_owned(), data.to_owned()))
            .to_vec()
    }

    #[test]
    fn a_stream_in_one_chunk_yields_its_events() {
        assert_eq!(parse([STREAM.as_bytes()]), expected());
    }

    #[test]
    fn a_stream_split_at_any_two_places_yields_the_same_events() {
        let bytes = STREAM.as_bytes();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(parse(chunks), expected(), "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_stream_byte_by_byte_yields_the_same_events() {
        assert_eq!(parse(STREAM.as_bytes().chunks(1)), expected());
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_end_the_stream() {
        let events = parse([&b"data: a\xffb\n\n"[..]]);
        assert_eq!(events, [(String::new(), "a\u{fffd}b".to_owned())]);
    }

    #[test]
    fn an_endless_event_is_an_error_instead_of_filling_memory() {
        let mut events = Events::default();
        let line = format!("data: {}\n", "x".repeat(1 << 16)).into_bytes();
        let error = (0..100).find_map(|_| events.push(&line).err());
        assert_eq!(error, Some(TooLong));
    }
}
