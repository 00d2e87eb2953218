//! The framing of an answer: its first bytes decide, since content types are often wrong.

use super::sse::Events;
use super::values::Values;

/// The most bytes to look at for the end of the first line.
const ENOUGH: usize = 256;

/// The fields of an event stream, plus `error`, which some servers add.
const FIELDS: [&[u8]; 5] = [b"data", b"event", b"id", b"retry", b"error"];

/// An event of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The name of the event, usually empty.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The error for an event over 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Splits an answer into events, once its first line has arrived.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Not known yet: the first bytes, and whether the content type is an event stream.
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
    /// Trims white space, and a `data:` prefix that the server wrote twice.
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

    /// Whether the event says that nothing follows.
    pub(crate) fn is_done(&self) -> bool {
        let data = self.data.trim_matches('"');
        data.eq_ignore_ascii_case("[done]") || data.eq_ignore_ascii_case("done")
    }

    /// Whether the event only keeps the connection open.
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

    /// Takes the next bytes and returns the events that they complete.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, TooLong> {
        match self {
            Self::Unknown {
                head,
                is_called_stream,
            } => {
                head.extend_from_slice(chunk);
                // Empty lines decide nothing; do not collect them.
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

    /// Returns the events that the end of the answer completes.
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

    /// Whether the answer is neither an event stream nor JSON.
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

/// Decides as soon as possible, ignoring empty lines and a byte order mark.
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
            events.extend(
                framing
                    .push(chunk.as_bytes())
                    .expect("below the size limit"),
            );
        }
        events.extend(framing.end().expect("below the size limit"));
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn the_body_decides_not_the_content_type() {
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
    fn an_answer_in_neither_framing_is_kept_for_the_error_message() {
        for text in ["<h1>data: 1</h1>", "Sorry: no\n", "no"] {
            let mut framing = Framing::new(None);
            assert_eq!(framing.push(text.as_bytes()), Ok(Vec::new()));
            assert_eq!(framing.end(), Ok(Vec::new()));
            assert_eq!(framing.neither(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn done_is_recognized_with_white_space_in_quotes_and_in_any_case() {
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
    fn keep_alive_events_are_recognized() {
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
