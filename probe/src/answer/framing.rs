//! How an answer is cut into pieces, which its first bytes tell better than its content type.

use super::sse::Events;
use super::values::Values;

/// How many bytes are looked at, at most, before a stream without a line end is none.
const ENOUGH: usize = 256;

/// The fields of an event stream, and one that servers add.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The name of the event, mostly none.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The error of a piece that is longer than a megabyte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Cuts an answer into pieces, once its first line is there.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Not known yet: the first bytes, and whether they were called an event stream.
    Unknown {
        head: Vec<u8>,
        is_called_stream: bool,
    },
    Events(Events),
    Values(Values),
    /// Text or HTML: its first bytes.
    Neither(Vec<u8>),
}

impl Event {
    /// Takes the data without the white space around it, and without a field that is there twice.
    pub(super) fn new(name: &str, data: &[u8]) -> Self {
        let data = String::from_utf8_lossy(data);
        let mut data = data.trim();
        while let Some(inner) = data.strip_prefix("data:") {
            data = inner.trim();
        }
        Self {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    /// Whether it says that nothing else will come.
    pub(crate) fn is_done(&self) -> bool {
        let data = self.data.trim_matches('"');
        data.eq_ignore_ascii_case("[done]") || data.eq_ignore_ascii_case("done")
    }

    /// Whether it only keeps the connection open.
    pub(crate) fn is_idle(&self) -> bool {
        let is_ping = ["ping", "pong", "heartbeat", "keepalive", "keep-alive"]
            .iter()
            .any(|name| {
                self.name.eq_ignore_ascii_case(name) || self.data.eq_ignore_ascii_case(name)
            });
        self.data.is_empty() || self.data.starts_with(':') || is_ping && !self.data.starts_with('{')
    }
}

impl Framing {
    pub(crate) fn new(content_type: Option<&str>) -> Self {
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        Self::Unknown {
            head: Vec::new(),
            is_called_stream: content_type.contains("event-stream"),
        }
    }

    /// Takes the next bytes and returns the pieces that they complete.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        match self {
            Self::Unknown {
                head,
                is_called_stream,
            } => {
                head.extend_from_slice(chunk);
                // Empty lines tell nothing, however many these are.
                if head.trim_ascii().is_empty() {
                    head.clear();
                }
                let Some(mut framing) = decide(head, *is_called_stream, false) else {
                    return Ok(Vec::new());
                };
                let events = framing.push(&std::mem::take(head));
                *self = framing;
                events
            }
            Self::Events(events) => events.push(chunk),
            Self::Values(values) => values.push(chunk),
            Self::Neither(head) => {
                head.extend_from_slice(&chunk[..chunk.len().min(crate::secret::LONGEST)]);
                Ok(Vec::new())
            }
        }
    }

    /// Returns the pieces that the end of the answer completes.
    pub(crate) fn end(&mut self) -> Result<Vec<Event>, TooLong> {
        if let Self::Unknown {
            head,
            is_called_stream,
        } = self
        {
            let head = std::mem::take(head);
            let Some(framing) = decide(&head, *is_called_stream, true) else {
                return Ok(Vec::new());
            };
            *self = framing;
            let mut events = self.push(&head)?;
            events.extend(self.end()?);
            return Ok(events);
        }
        Ok(match self {
            Self::Events(events) => events.end(),
            Self::Values(values) => values.end().into_iter().collect(),
            Self::Unknown { .. } | Self::Neither(_) => Vec::new(),
        })
    }

    /// Whether it is known that nothing will be read.
    pub(crate) fn is_neither(&self) -> bool {
        matches!(self, Self::Neither(_))
    }

    /// Returns the first bytes of an answer that is neither an event stream nor JSON.
    pub(crate) fn neither(&self) -> Option<&[u8]> {
        match self {
            Self::Neither(head) | Self::Unknown { head, .. } => Some(head),
            Self::Events(_) | Self::Values(_) => None,
        }
    }
}

/// Decides as soon as it can; empty lines and a byte order mark tell nothing.
fn decide(head: &[u8], is_called_stream: bool, is_over: bool) -> Option<Framing> {
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let events = || Framing::Events(Events::default());
    match text.first()? {
        b'{' | b'[' => return Some(Framing::Values(Values::default())),
        b':' => return Some(events()),
        b'<' => return Some(Framing::Neither(Vec::new())),
        _ if is_called_stream => return Some(events()),
        _ => {}
    }
    if end.is_none() && text.len() < ENOUGH && !is_over && !text.contains(&b':') {
        return None;
    }
    let line = &text[..end.unwrap_or(text.len())];
    let field = line.split(|byte| *byte == b':').next().unwrap_or_default();
    if FIELDS.contains(&field.trim_ascii()) {
        return Some(events());
    }
    Some(Framing::Neither(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(chunks: &[&str], content_type: Option<&str>) -> Vec<String> {
        let mut framing = Framing::new(content_type);
        let mut events = Vec::new();
        for chunk in chunks {
            events.extend(framing.push(chunk.as_bytes()).expect("short"));
        }
        events.extend(framing.end().expect("short"));
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn the_body_decides_and_not_its_label() {
        let html = Some("text/html");
        assert_eq!(data(&["da", "ta: {}\n\n"], html), ["{}"]);
        assert_eq!(data(&["\u{feff}\r\n: hello\n\ndata: {}"], None), ["{}"]);
        assert_eq!(
            data(&["id: 1\ndata: {}\n\n"], Some("application/json")),
            ["{}"]
        );
        assert_eq!(
            data(&[" {\"a\"", ":1}"], Some("Text/Event-Stream")),
            ["{\"a\":1}"]
        );
        assert_eq!(data(&["[{}]"], None), ["[{}]"]);
    }

    #[test]
    fn what_is_neither_is_kept_to_be_shown() {
        for text in ["<h1>data: 1</h1>", "Sorry: no\n", "no"] {
            let mut framing = Framing::new(None);
            assert_eq!(framing.push(text.as_bytes()), Ok(Vec::new()));
            assert_eq!(framing.end(), Ok(Vec::new()));
            assert_eq!(framing.neither(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn the_end_is_known_with_white_space_in_quotes_and_in_another_case() {
        for data in [
            "[DONE]",
            "[DONE] \t",
            "\"[DONE]\"",
            "[done]",
            "data: [DONE]",
        ] {
            assert!(Event::new("", data.as_bytes()).is_done(), "{data}");
        }
        assert!(!Event::new("", b"{\"done\":true}").is_done());
    }

    #[test]
    fn what_only_keeps_the_connection_open_is_known() {
        for (name, data) in [
            ("", ""),
            ("ping", ""),
            ("", "ping"),
            ("", ": PROCESSING"),
            ("ping", "now"),
        ] {
            assert!(Event::new(name, data.as_bytes()).is_idle(), "{name} {data}");
        }
        assert!(!Event::new("ping", b"{\"error\":1}").is_idle());
    }
}
