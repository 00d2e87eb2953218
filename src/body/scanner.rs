//! Finds where a JSON object ends and whether it has a field, in chunks of any size.

use memchr::memchr;

use crate::Outcome;

/// Follows a JSON text: strings, escapes, depth, and the names of the top level.
///
/// The top level must match JSON's grammar, because a member is written there and must come between the right
/// two bytes. Inside values only strings and brackets are followed: an added member does not change whether
/// the rest is valid.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    state: State,
    /// How many brackets are open. A `u64` is enough for any stream.
    depth: u64,
}

/// An object that does not have the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WithoutField {
    pub(super) is_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After this many bytes of a byte order mark; at 0 nothing was read.
    Mark(usize),
    /// Before the opening brace.
    Opening,
    /// Between the tokens of the top level, before this one.
    Before(Token),
    /// In a name of the top level, of which this many bytes match the field's; `None` if it differs.
    Name(Option<usize>),
    /// In a number or a literal of the top level.
    Scalar,
    /// In a string of a value, perhaps after a backslash.
    String {
        escaped: bool,
    },
    /// In an object or an array of the top level, outside of strings.
    Nested,
    /// After the closing brace.
    Closed(WithoutField),
    Present,
    NotAnObject,
}

/// What comes next in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    NameOrEnd,
    Name,
    Colon,
    Value,
    CommaOrEnd,
}

/// What a byte is outside of strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    /// Part of a number or a literal. Python also writes and reads `NaN` and `Infinity`.
    Scalar,
    Separator,
    Quote,
    Open,
    Close,
    /// Not in any JSON text. It could begin a comment or a string of a different notation, which may contain
    /// quotes and brackets.
    Foreign,
}

const MARK: &[u8; 3] = b"\xef\xbb\xbf";

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Foreign; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let class = class_of(byte as u8);
        classes[byte] = class;
        byte += 1;
    }
    classes
};

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' => Class::Space,
        b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Class::Scalar,
        b',' | b':' => Class::Separator,
        b'"' => Class::Quote,
        b'{' | b'[' => Class::Open,
        b'}' | b']' => Class::Close,
        _ => Class::Foreign,
    }
}

/// Comparing this many bytes, a word at a time, costs less than calling a search (`benches/body_field.rs`).
const SHORT: usize = 32;

impl Scanner {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Mark(0),
            depth: 0,
        }
    }

    /// Reads a chunk, and returns how many of its bytes come before the end of the object.
    ///
    /// The end is the closing brace, if only white space has followed it so far.
    #[inline]
    pub(super) fn scan(&mut self, field: &str, chunk: &[u8]) -> usize {
        let mut at = 0;
        let mut end = 0;
        while let Some(&byte) = chunk.get(at) {
            at = match self.state {
                State::String { escaped } => self.string(chunk, at + usize::from(escaped)),
                State::Nested => self.nested(chunk, at),
                State::Name(matched) => self.name(field, matched, chunk, at),
                State::Scalar if class(byte) == Class::Scalar => at + 1,
                State::Present | State::NotAnObject => return chunk.len(),
                state => {
                    let was_closed = self.is_closed();
                    self.state = self.token(state, byte);
                    if !was_closed && self.is_closed() {
                        end = at;
                    }
                    at + 1
                }
            };
        }
        if self.is_closed() { end } else { chunk.len() }
    }

    /// Returns whether the object may have ended.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Returns whether any byte was read.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.state, State::Mark(0))
    }

    /// Returns the object if the text ends here, or the outcome if the text cannot be written into.
    pub(super) const fn end(&self) -> Result<WithoutField, Outcome> {
        match self.state {
            State::Closed(object) => Ok(object),
            State::Present => Err(Outcome::Kept),
            State::Mark(0) => Err(Outcome::NotJson),
            _ => Err(Outcome::NotAnObject),
        }
    }

    /// Reads a byte that is a token, begins one, or is between two.
    fn token(&mut self, state: State, byte: u8) -> State {
        match (state, class(byte)) {
            (State::Mark(read), _) if MARK.get(read) == Some(&byte) => match read {
                2 => State::Opening,
                _ => State::Mark(read + 1),
            },
            (State::Mark(0) | State::Opening, Class::Space) => State::Opening,
            (State::Mark(0) | State::Opening, _) if byte == b'{' => {
                self.depth = 1;
                State::Before(Token::NameOrEnd)
            }
            (State::Scalar, _) => self.token(State::Before(Token::CommaOrEnd), byte),
            (State::Before(_) | State::Closed(_), Class::Space) => state,
            (State::Before(token), class) => self.expect(token, class, byte),
            _ => State::NotAnObject,
        }
    }

    fn expect(&mut self, token: Token, class: Class, byte: u8) -> State {
        match (token, class) {
            (Token::NameOrEnd | Token::Name, Class::Quote) => State::Name(Some(0)),
            (Token::NameOrEnd | Token::CommaOrEnd, Class::Close) if byte == b'}' => {
                self.depth = 0;
                let is_empty = token == Token::NameOrEnd;
                State::Closed(WithoutField { is_empty })
            }
            (Token::Colon, Class::Separator) if byte == b':' => State::Before(Token::Value),
            (Token::CommaOrEnd, Class::Separator) if byte == b',' => State::Before(Token::Name),
            (Token::Value, Class::Quote) => State::String { escaped: false },
            (Token::Value, Class::Scalar) => State::Scalar,
            (Token::Value, Class::Open) => {
                self.depth = 2;
                State::Nested
            }
            _ => State::NotAnObject,
        }
    }

    /// Continues a name of the top level, and returns the index after what was read.
    fn name(&mut self, field: &str, matched: Option<usize>, chunk: &[u8], at: usize) -> usize {
        let rest = &chunk[at..];
        let end = quote(rest);
        let piece = &rest[..end.unwrap_or(rest.len())];
        let matched = matched
            .filter(|&from| field.as_bytes()[from..].starts_with(piece))
            .map(|from| from + piece.len());
        self.state = match end {
            // Without decoding, the name might be the field's.
            _ if piece.contains(&b'\\') => State::Present,
            None => State::Name(matched),
            Some(_) if matched == Some(field.len()) => State::Present,
            Some(_) => State::Before(Token::Colon),
        };
        at + piece.len() + usize::from(end.is_some())
    }

    /// Continues a string, and returns the index after what was read.
    fn string(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while let Some(end) = quote(&chunk[at..]) {
            let piece = &chunk[at..at + end];
            at += end + 1;
            if !ends_in_escape(piece) {
                self.state = self.after_value();
                return at;
            }
        }
        self.state = State::String {
            escaped: ends_in_escape(&chunk[at..]),
        };
        chunk.len()
    }

    const fn after_value(&self) -> State {
        match self.depth {
            1 => State::Before(Token::CommaOrEnd),
            _ => State::Nested,
        }
    }

    /// Continues a nested value, and returns the index after what was read.
    fn nested(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while self.state == State::Nested {
            let rest = chunk[at..].iter();
            let Some(plain) = rest.copied().position(|byte| !class(byte).is_plain()) else {
                return chunk.len();
            };
            at += plain + 1;
            match class(chunk[at - 1]) {
                Class::Open => self.depth += 1,
                Class::Close => {
                    self.depth -= 1;
                    self.state = self.after_value();
                }
                Class::Quote => at = self.string(chunk, at),
                _ => self.state = State::NotAnObject,
            }
        }
        at
    }
}

impl Class {
    /// Whether a byte neither opens nor closes a bracket or a string.
    const fn is_plain(self) -> bool {
        matches!(self, Self::Space | Self::Scalar | Self::Separator)
    }
}

#[inline]
fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Whether the byte after these bytes of a string is escaped.
fn ends_in_escape(piece: &[u8]) -> bool {
    let backslashes = piece.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// Returns the index of the first quote.
#[inline]
fn quote(bytes: &[u8]) -> Option<usize> {
    let mut read = 0;
    for word in bytes.chunks_exact(8).take(SHORT / 8) {
        let found = quotes_in_word(word);
        if found != 0 {
            return Some(read + found.trailing_zeros() as usize / 8);
        }
        read += 8;
    }
    let rest = &bytes[read..];
    let end = if rest.len() < 8 {
        rest.iter().position(|&byte| byte == b'"')
    } else {
        memchr(b'"', rest)
    };
    end.map(|end| read + end)
}

/// Returns a word whose lowest set bit is in the first byte that is a quote; 0 if there is no quote.
#[inline]
fn quotes_in_word(word: &[u8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
    let differences = word ^ (ONES * u64::from(b'"'));
    // A zero byte borrows from the byte above, so bits above the lowest set one may be wrong.
    differences.wrapping_sub(ONES) & !differences & (ONES << 7)
}
