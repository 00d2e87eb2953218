//! What is sent: a chat, and a body that has next to no long strings.

use bytes::Bytes;
use serde_json::{Value, json};

/// The kinds of body, sizes and pieces that are measured.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// The id of its counts.
    pub(crate) id: &'static str,
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    pub(crate) piece: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A conversation with two tools: messages of seven lines of 68 characters, each with two quotes.
    Chat,
    /// Lists of numbers and of short strings, where nothing can be skipped.
    Dense,
}

const KIB: usize = 1024;
const WHOLE: usize = usize::MAX;

const fn shape(id: &'static str, kind: Kind, size: usize, piece: usize) -> Shape {
    Shape {
        id,
        kind,
        size,
        piece,
    }
}

pub(crate) const SHAPES: [Shape; 7] = [
    shape("chat_1k", Kind::Chat, KIB, WHOLE),
    shape("chat_64k", Kind::Chat, 64 * KIB, WHOLE),
    shape("chat_64k_pieces", Kind::Chat, 64 * KIB, 8 * KIB),
    shape("chat_4m", Kind::Chat, 4096 * KIB, WHOLE),
    shape("chat_4m_pieces", Kind::Chat, 4096 * KIB, 8 * KIB),
    shape("dense_64k", Kind::Dense, 64 * KIB, WHOLE),
    shape("dense_64k_pieces", Kind::Dense, 64 * KIB, 8 * KIB),
];

impl Shape {
    pub(crate) fn by_id(id: &str) -> Self {
        let shape = SHAPES.into_iter().find(|shape| shape.id == id);
        shape.unwrap_or_else(|| panic!("no shape {id}"))
    }

    /// Makes the body, of about the size.
    pub(crate) fn pieces(self) -> Vec<Bytes> {
        let mut text = serde_json::to_vec(&self.value()).expect("a value");
        // As a buffer that was read into has room: such bytes are counted from the start.
        text.reserve_exact(1);
        let text = Bytes::from(text);
        let starts = (0..text.len()).step_by(self.piece.min(text.len()));
        let piece =
            |start: usize| text.slice(start..text.len().min(start.saturating_add(self.piece)));
        starts.map(piece).collect()
    }

    fn value(self) -> Value {
        match self.kind {
            Kind::Chat => chat(self.size),
            Kind::Dense => dense(self.size),
        }
    }
}

fn chat(size: usize) -> Value {
    let line = "and what does the \"prefix cache\" keep of it, if a replica restarts?\n";
    let content = line.repeat(7);
    let message = |index: usize| {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        json!({ "role": role, "content": content })
    };
    let tool = |name: &str| {
        json!({ "type": "function", "function": { "name": name, "strict": true, "parameters": {
            "type": "object", "required": ["path"],
            "properties": { "path": { "type": "string" }, "lines": { "type": "integer" } },
        } } })
    };
    let messages: Vec<_> = (0..size.div_ceil(560)).map(message).collect();
    json!({
        "model": "gpt-5", "stream": true, "temperature": 0.7,
        "tools": [tool("read_file"), tool("search")],
        "messages": messages,
    })
}

fn dense(size: usize) -> Value {
    let row = json!([0.125, -7, 1e-9, true, null, "ab", { "x": 1, "y": [2, 3] }]);
    json!({ "model": "m", "rows": vec![row; size / 56] })
}
