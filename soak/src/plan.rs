//! What is sent: requests of all kinds, drawn from a seed.

use std::fmt;

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::exchange::Outcome;
use crate::keys;

/// One HTTP/1.1 server in front of another: 100 lines are the limit of both.
const TOO_MANY: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Small,
    Streamed,
    Slow,
    LargeHeaders,
    TooLargeHeaders,
    TooManyHeaders,
    Malformed,
    BrokenByCaller,
    BrokenByUpstream,
    CancelledEarly,
    CancelledLate,
}

/// A request to send.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) protocol: Protocol,
    /// The index of the replica that it is for.
    pub(crate) replica: usize,
    /// All headers but those of the driver itself.
    pub(crate) headers: HeaderMap,
    /// For what is decided while it is sent.
    pub(crate) rng: Rng,
}

impl Kind {
    /// Each kind, and how many of 100 requests are of it.
    const SHARES: [(Self, u32); 11] = [
        (Self::Small, 38),
        (Self::Streamed, 15),
        (Self::Slow, 5),
        (Self::LargeHeaders, 5),
        (Self::TooLargeHeaders, 3),
        (Self::TooManyHeaders, 3),
        (Self::Malformed, 5),
        (Self::BrokenByCaller, 7),
        (Self::BrokenByUpstream, 7),
        (Self::CancelledEarly, 6),
        (Self::CancelledLate, 6),
    ];

    fn draw(rng: &mut Rng) -> Self {
        let mut rest = rng.u32(0..Self::SHARES.iter().map(|(_, share)| share).sum());
        let drawn = Self::SHARES.into_iter().find(|(_, share)| {
            let hit = rest < *share;
            rest = rest.saturating_sub(*share);
            hit
        });
        drawn.map_or(Self::Small, |(kind, _)| kind)
    }

    /// Whether its body must not arrive as a whole one.
    pub(crate) fn sends_a_broken_body(self) -> bool {
        matches!(self, Self::Malformed | Self::BrokenByCaller)
    }

    /// Whether a server may close the connection because of it, and with it the other streams.
    pub(crate) fn may_close_the_connection(self) -> bool {
        self == Self::TooLargeHeaders
    }

    /// Whether the outcome is right while the replica is there.
    pub(crate) fn allows(self, outcome: &Outcome) -> bool {
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        match self {
            Self::Small | Self::Streamed | Self::Slow | Self::LargeHeaders => {
                matches!(outcome, Outcome::Answered)
            }
            Self::TooManyHeaders => {
                matches!(outcome, Outcome::Refused(status) if *status == too_large)
            }
            // The server closes while the headers are still being sent.
            Self::TooLargeHeaders => match outcome {
                Outcome::Refused(status) => *status == too_large,
                outcome => matches!(outcome, Outcome::Failed(_)),
            },
            Self::Malformed | Self::BrokenByCaller | Self::BrokenByUpstream => {
                matches!(outcome, Outcome::Refused(_) | Outcome::Failed(_))
            }
            Self::CancelledEarly | Self::CancelledLate => matches!(outcome, Outcome::Cancelled),
        }
    }
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng, protocol: Protocol, replicas: usize) -> Self {
        let mut rng = rng.fork();
        let kind = Kind::draw(&mut rng);
        let mut headers = keys::random_lines(&mut rng);
        match (kind, protocol) {
            (Kind::LargeHeaders, Protocol::Http1) => pad(&mut headers, 16, rng.usize(1..=18) << 10),
            // 16 KiB is the limit, for names and values with 32 bytes more for each line.
            (Kind::LargeHeaders, Protocol::Http2) => pad(&mut headers, 12, rng.usize(1..=900)),
            (Kind::TooLargeHeaders, _) => pad(&mut headers, 16, 64 << 10),
            (Kind::TooManyHeaders, _) => pad(&mut headers, TOO_MANY, 1),
            _ => {}
        }
        Self {
            id: rng.u64(..),
            kind,
            protocol,
            replica: rng.usize(0..replicas),
            headers,
            rng,
        }
    }
}

/// Adds lines of so many bytes, each under another name.
fn pad(headers: &mut HeaderMap, lines: usize, bytes: usize) {
    let value = HeaderValue::try_from("p".repeat(bytes)).expect("ASCII");
    for line in 0..lines {
        let name = HeaderName::try_from(format!("x-padding-{line}")).expect("ASCII");
        headers.insert(name, value.clone());
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Streamed => "streamed both ways, each chunk back before the next",
            Self::Slow => "the same with pauses of 50 to 400 ms",
            Self::LargeHeaders => "headers below the limit",
            Self::TooLargeHeaders => "headers of 1 MiB",
            Self::TooManyHeaders => "120 header names",
            Self::Malformed => "malformed body",
            Self::BrokenByCaller => "body broken off by the caller",
            Self::BrokenByUpstream => "answer broken off by the replica",
            Self::CancelledEarly => "cancelled before the answer",
            Self::CancelledLate => "cancelled in the answer",
        })
    }
}
