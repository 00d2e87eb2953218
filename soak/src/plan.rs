//! Planned requests: their kinds, drawn from a seed, and the outcomes each kind allows.

use std::fmt;

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use crate::keys;
use crate::outcome::Outcome;
use crate::wire::{BROKEN, EXPECTED, ID};

/// More header lines than the 100 that hyper's HTTP/1.1 server accepts, in gateway and replica.
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
    /// The index of the replica to send it to.
    pub(crate) replica: usize,
    /// All headers except the driver's own.
    pub(crate) headers: HeaderMap,
    /// For choices made while it is sent.
    pub(crate) rng: Rng,
}

impl Kind {
    /// Each kind, and its share in percent.
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

    /// Whether its body must not arrive as if it were complete.
    pub(crate) fn sends_a_broken_body(self) -> bool {
        matches!(self, Self::Malformed | Self::BrokenByCaller)
    }

    /// Whether it may make a server close the connection, and with it the other streams.
    pub(crate) fn may_close_the_connection(self) -> bool {
        self == Self::TooLargeHeaders
    }

    /// Whether the outcome is right while the replica is up.
    pub(crate) fn allows(self, outcome: &Outcome) -> bool {
        let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        match self {
            Self::Small | Self::Streamed | Self::Slow | Self::LargeHeaders => {
                matches!(outcome, Outcome::Answered)
            }
            Self::TooManyHeaders => {
                matches!(outcome, Outcome::Refused(status) if *status == too_large)
            }
            // The server may close the connection while the headers are still being sent.
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
            // The limit is 16 KiB: names and values, plus 32 bytes for each line.
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

    /// Returns the request to this path, with the headers that tell the replica what to expect.
    pub(crate) fn request<B>(&self, path: &str, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let uri = format!("/{}/{path}", self.replica).try_into();
        *request.uri_mut() = uri.expect("a number and a word");
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(ID, self.id.into());
        if let Some(key) = keys::expected(&self.headers) {
            headers.insert(EXPECTED, key.clone());
        }
        if self.kind.sends_a_broken_body() {
            headers.insert(BROKEN, HeaderValue::from_static("1"));
        }
        request
    }
}

/// Adds header lines with values of `bytes` bytes, each under its own name.
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
            Self::Streamed => "streamed both ways, chunk by chunk",
            Self::Slow => "the same, with pauses of 50 to 400 ms",
            Self::LargeHeaders => "headers below the limit",
            Self::TooLargeHeaders => "headers of 1 MiB",
            Self::TooManyHeaders => "120 header names",
            Self::Malformed => "malformed body",
            Self::BrokenByCaller => "body aborted by the caller",
            Self::BrokenByUpstream => "response aborted by the replica",
            Self::CancelledEarly => "cancelled before the response",
            Self::CancelledLate => "cancelled during the response",
        })
    }
}
