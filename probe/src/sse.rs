//! Server-sent events, out of chunks that may be split anywhere.

/// The most bytes of one event; a stream with a longer one is none of a chat.
const MAX_EVENT: usize = 1 << 20;

/// A parser of an event stream, as the HTML standard describes it; only the data is kept.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
}

/// The error of an event that is longer than a megabyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Events {
    /// Takes the next bytes and returns the data of the events that they complete.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        for &byte in chunk {
            match byte {
                // The second half of a line end that has two.
                b'\n' if self.after_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            self.after_cr = byte == b'\r';
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then_some(data);
        }
        let value = match line.strip_prefix(b"data") {
            Some([]) => &[],
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            // A comment, or another field.
            _ => return None,
        };
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": a comment\n\ndata: {\"a\":\"grün\"}\n\nevent: x\r\ndata:no space\r\n\r\n\
        data: two\rdata: lines\r\rdata\n\nid: 7\n\ndatum: no\n\ndata: [DONE]\n\ndata: cut off\n";
    const EVENTS: [&str; 5] = ["{\"a\":\"grün\"}", "no space", "two\nlines", "", "[DONE]"];

    fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut events = Events::default();
        let parsed = chunks
            .into_iter()
            .flat_map(|chunk| events.push(chunk).expect("short"));
        parsed
            .map(|data| String::from_utf8(data).expect("text"))
            .collect()
    }

    #[test]
    fn a_stream_in_one_chunk_gives_its_events() {
        assert_eq!(parse([STREAM.as_bytes()]), EVENTS);
    }

    #[test]
    fn a_stream_split_at_any_two_places_gives_the_same_events() {
        let bytes = STREAM.as_bytes();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(parse(chunks), EVENTS, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_stream_byte_by_byte_gives_the_same_events() {
        assert_eq!(parse(STREAM.as_bytes().chunks(1)), EVENTS);
    }

    #[test]
    fn an_endless_event_is_an_error_and_not_an_endless_buffer() {
        let mut events = Events::default();
        let line = format!("data: {}\n", "x".repeat(1 << 16)).into_bytes();
        let error = (0..100).find_map(|_| events.push(&line).err());
        assert_eq!(error, Some(TooLong));
    }
}
