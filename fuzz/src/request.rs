//! A layer's settings and a request, generated from arbitrary bytes.

use std::num::NonZeroU8;

use arbitrary::{Arbitrary, Result, Unstructured};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use tower_session_affinity::{AffinityKey, NoAffinity};

/// The secret of every derivation.
pub const SECRET: [u8; 32] = [7; 32];

/// The header names of requests and layers. There are few, so that they often coincide.
const NAMES: [&str; 5] = [
    "x-session-affinity",
    "x-session-id",
    "x-affinity",
    "host",
    "a",
];

const PATTERNS: [&str; 13] = [
    "a.example",
    "https://a.example",
    "HTTP://A.example:8443",
    "wss://*.example",
    "A.Example.:80",
    "*.a.example",
    "*.example:443",
    "a.example:8443",
    "127.0.0.1",
    "[::1]",
    "[0:0::1]:443",
    "localhost",
    "xn--bcher-kva.example",
];

const SUFFIXES: [&str; 3] = ["/v1", "/chat", "/v1/chat"];

const URIS: [&str; 18] = [
    "http://a.example/v1",
    "https://a.example",
    "https://b.A.EXAMPLE./v1",
    "https://a.example.evil.example/v1",
    "https://eviLa.example/v1",
    "https://a.example@evil.example/v1",
    "https://user:pass@a.example:8443/",
    "http://127.0.0.1:80/",
    "http://[::1]:443/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[v1.a]/",
    "localhost:80",
    "a.example",
    "/v1/chat",
    "*",
    "http://./",
    "https://a.example/api/v1/chat/?a=/b",
    "https://b.a.example:443/chat//",
];

/// The most names that a header map holds.
pub const ROOM: usize = 24_576;

/// A number of names that leaves room for all of [`NAMES`].
const NEARLY_FULL: usize = ROOM - NAMES.len() - 2;

thread_local! {
    /// Built once, since that takes longer than the rest of a case.
    static OTHERS: HeaderMap = {
        let others = (0..NEARLY_FULL).map(|number| (other_name(number), HeaderValue::from_static("other")));
        others.collect()
    };
}

/// All settings of a layer.
#[derive(Arbitrary, Clone, Debug)]
pub struct Settings {
    /// `None` for the default.
    pub header_name: Option<Name>,
    pub replace: bool,
    pub only_hosts: Option<Vec<Pattern>>,
    pub sources: [Option<Source>; 3],
    pub derivation: Option<Derivation>,
    pub destinations: Option<Vec<Row>>,
    pub adopt: Option<Adopt>,
}

/// Everything in a request that a layer sees.
#[derive(Arbitrary, Clone, Debug)]
pub struct Input {
    pub uri: Place,
    pub headers: Vec<(Name, Value)>,
    pub fill: Fill,
    pub extension: Option<Key>,
    pub no_affinity: bool,
    pub scope: Option<Key>,
    pub is_connect: bool,
}

/// A row of a table of destinations.
#[derive(Arbitrary, Clone, Debug)]
pub struct Row {
    pub host: Pattern,
    /// Empty for any path.
    pub path_suffixes: Vec<Suffix>,
    pub header_name: Option<Name>,
    pub max_len: Option<NonZeroU8>,
}

/// The headers whose session is adopted.
#[derive(Arbitrary, Clone, Debug)]
pub struct Adopt {
    pub names: Vec<Name>,
    pub derived: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Suffix(pub &'static str);

#[derive(Clone, Copy, Debug)]
pub struct Name(pub &'static str);

#[derive(Clone, Debug)]
pub struct Pattern(pub String);

#[derive(Clone, Debug)]
pub struct Place(pub Uri);

#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub HeaderValue);

#[derive(Clone, Debug)]
pub struct Key(pub String);

/// Where a key comes from.
#[derive(Arbitrary, Clone, Debug)]
pub enum Source {
    Fixed(Option<Key>),
    Headers(Vec<Name>),
    /// A closure that reads one header.
    Closure(Name),
    /// The same behind a `dyn` pointer.
    Shared(Name),
    Extension,
    Scope,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Derivation {
    PerHost,
    For(String),
}

/// The least number of names in the header map.
#[derive(Clone, Copy, Debug)]
pub struct Fill(pub usize);

impl Settings {
    /// Returns the name of the header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.header_name.map_or("x-session-affinity", |name| name.0)
    }
}

impl Input {
    /// Builds the request.
    #[must_use]
    pub fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = if self.is_connect {
            Method::CONNECT
        } else {
            Method::POST
        };
        *request.uri_mut() = self.uri.0.clone();
        let headers = request.headers_mut();
        if self.fill.0 > NEARLY_FULL {
            *headers = OTHERS.with(HeaderMap::clone);
        }
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name.0), value.0.clone());
        }
        for number in NEARLY_FULL.. {
            if headers.keys_len() >= self.fill.0 {
                break;
            }
            headers.insert(other_name(number), HeaderValue::from_static("other"));
        }
        if let Some(key) = &self.extension {
            request.extensions_mut().insert(key.affinity_key());
        }
        if self.no_affinity {
            request.extensions_mut().insert(NoAffinity);
        }
        request
    }
}

fn other_name(number: usize) -> HeaderName {
    HeaderName::try_from(format!("o-{number}")).expect("a header name")
}

impl Key {
    /// Parses the key with the crate.
    ///
    /// # Panics
    ///
    /// If the crate refuses it.
    #[must_use]
    pub fn affinity_key(&self) -> AffinityKey {
        self.0.parse().expect("the crate accepts every valid key")
    }
}

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&NAMES).map(|name| Self(name))
    }
}

impl<'a> Arbitrary<'a> for Suffix {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&SUFFIXES).map(|suffix| Self(suffix))
    }
}

impl<'a> Arbitrary<'a> for Pattern {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.ratio(3, 4)? {
            return u.choose(&PATTERNS).map(|pattern| Self((*pattern).into()));
        }
        u.arbitrary().map(Self)
    }
}

impl<'a> Arbitrary<'a> for Place {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let known = *u.choose(&URIS)?;
        if u.ratio(1, 4)?
            && let Ok(uri) = u.arbitrary::<&str>()?.parse()
        {
            return Ok(Self(uri));
        }
        Ok(Self(Uri::from_static(known)))
    }
}

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = match u.int_in_range(0..=3)? {
            0 => *u.choose(&[&b""[..], b" ", b"\t", b" \t "])?,
            1 => *u.choose(&[
                &b"key"[..],
                b"theirs",
                b" key\t",
                b"user, abc",
                b"caf\xc3\xa9",
            ])?,
            _ => u.arbitrary()?,
        };
        let is_allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let bytes: Vec<_> = bytes.iter().copied().filter(is_allowed).collect();
        let mut value = HeaderValue::try_from(bytes).expect("only allowed bytes are left");
        value.set_sensitive(u.arbitrary()?);
        Ok(Self(value))
    }
}

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let text: String = u.arbitrary()?;
        let allowed = text.chars().filter(|c| c.is_ascii_graphic() && *c != ',');
        let text: String = allowed.take(255).collect();
        Ok(Self(if text.is_empty() { "k".into() } else { text }))
    }
}

impl<'a> Arbitrary<'a> for Fill {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Rare, since a nearly full map takes a thousand times as long. Fuzzers do not favor this byte.
        if u.arbitrary::<u8>()? == 0x9d {
            return u.int_in_range(ROOM - 2..=ROOM).map(Self);
        }
        u.int_in_range(0..=20).map(Self)
    }
}
