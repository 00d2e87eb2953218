//! The headers that clients send.

use http::{HeaderName, HeaderValue, Request};

use crate::shared;

/// The headers of a request, before ours.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    /// This number of made-up headers.
    Plain(usize),
    /// async-openai over reqwest.
    Client,
    /// The same with an organization, a project, a user agent and a trace.
    FullClient,
    /// What a proxy forwards if it was called over HTTP/2.
    Proxy,
    /// A browser over HTTP/2, whose cookie arrives as three values of one name.
    Browser,
    /// Thirteen made-up headers, with three values for the cookie.
    Crumbs,
}

/// The position of the header that a request already carries.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    First,
    Middle,
    Last,
}

const CLIENT: [&str; 4] = ["authorization", "openai-beta", "content-type", "accept"];
const FULL_CLIENT: [&str; 8] = [
    "authorization",
    "openai-organization",
    "openai-project",
    "openai-beta",
    "content-type",
    "accept",
    "user-agent",
    "traceparent",
];
const PROXY: [&str; 11] = [
    "content-type",
    "accept",
    "authorization",
    "user-agent",
    "accept-encoding",
    "content-length",
    "x-request-id",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "x-forwarded-proto",
];
const BROWSER: [&str; 18] = [
    "content-length",
    "sec-ch-ua-platform",
    "user-agent",
    "sec-ch-ua",
    "content-type",
    "sec-ch-ua-mobile",
    "accept",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "referer",
    "accept-encoding",
    "accept-language",
    "cookie",
    "cookie",
    "cookie",
    "priority",
];

impl Set {
    fn names(self) -> Vec<HeaderName> {
        let parse = |name: &&str| name.parse().expect("a header name");
        match self {
            Self::Plain(count) => shared::request(count).headers().keys().cloned().collect(),
            Self::Client => CLIENT.iter().map(parse).collect(),
            Self::FullClient => FULL_CLIENT.iter().map(parse).collect(),
            Self::Proxy => PROXY.iter().map(parse).collect(),
            Self::Browser => BROWSER.iter().map(parse).collect(),
            Self::Crumbs => {
                let mut names = Self::Plain(13).names();
                let cookie = HeaderName::from_static("cookie");
                names.extend([cookie.clone(), cookie]);
                names
            }
        }
    }

    /// Returns a request with these headers.
    pub(crate) fn request(self) -> Request<()> {
        request(self.names())
    }

    /// Returns the same request with one more header.
    pub(crate) fn with(self, name: &HeaderName, place: Place) -> Request<()> {
        let mut names = self.names();
        let at = match place {
            Place::First => 0,
            Place::Middle => names.len() / 2,
            Place::Last => names.len(),
        };
        names.insert(at, name.clone());
        let mut request = request(names);
        // If the map grew for one more name, that would hide everything else.
        request.headers_mut().reserve(1);
        request
    }
}

fn request(names: Vec<HeaderName>) -> Request<()> {
    let mut request = shared::request(0);
    for name in names {
        let value = HeaderValue::from_static("value-0123456789");
        request.headers_mut().append(name, value);
    }
    request
}
