//! Writes a member into an object: everything is sent at once, except the object's end.

use std::mem;

use bytes::Bytes;

use super::member::Member;
use super::report::Report;
use super::scanner::Scanner;
use crate::Outcome;

/// An object that is being sent, and the member to write into it.
#[derive(Clone)]
pub(super) struct Edit {
    scanner: Scanner,
    member: Member,
    /// The closing brace and the white space after it, until it is known that nothing else follows.
    held: Bytes,
    report: Option<Report>,
}

/// The most bytes that are held back, because a caller can send white space without end. After more of it
/// the object counts as ended.
const MAX_HELD: usize = 1024;

impl Edit {
    pub(super) const fn new(member: Member, report: Option<Report>) -> Self {
        Self {
            scanner: Scanner::new(),
            member,
            held: Bytes::new(),
            report,
        }
    }

    /// Reads a chunk, and returns what can be sent.
    pub(super) fn push(&mut self, mut chunk: Bytes) -> [Bytes; 2] {
        let before_end = self.scanner.scan(self.member.field(), &chunk);
        if !self.scanner.is_closed() {
            return [mem::take(&mut self.held), chunk];
        }
        let tail = chunk.split_off(before_end);
        self.held = match &self.held[..] {
            b"" => tail,
            held => [held, &tail].concat().into(),
        };
        [chunk, Bytes::new()]
    }

    /// Returns whether more than [`MAX_HELD`] is held back.
    pub(super) const fn is_full(&self) -> bool {
        self.held.len() > MAX_HELD
    }

    /// Returns whether any byte was read.
    pub(super) const fn has_begun(&self) -> bool {
        self.scanner.has_begun()
    }

    /// Returns how many bytes are still to be sent besides those that the inner body still gives.
    pub(super) fn growth(&self) -> u64 {
        (self.held.len() + self.member.len()) as u64
    }

    /// Ends the object, reports the outcome, and returns what remains to be sent.
    pub(super) fn end(self) -> [Bytes; 2] {
        let found = self.scanner.end();
        if let Some(report) = &self.report {
            let outcome = found.map_or_else(|outcome| outcome, |_| Outcome::Stamped);
            report.tell(outcome, self.member.field());
        }
        match found {
            Ok(object) => [self.member.into_bytes(object), self.held],
            // An empty body stays empty.
            Err(Outcome::NotJson) => Default::default(),
            Err(_) => [self.member.into_padding(), Bytes::new()],
        }
    }
}

/// Returns a complete text with the member in it, or why it stays unchanged.
#[cfg(feature = "reqwest")]
pub(super) fn insert(member: &Member, text: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut scanner = Scanner::new();
    let (before_end, end) = text.split_at(scanner.scan(member.field(), text));
    let object = scanner.end()?;
    Ok([before_end, &member.clone().into_bytes(object), end].concat())
}
