//! The cases: where the layer is, where the key comes from, and which settings apply.

use std::fmt;
use std::sync::Arc;

use http::{Request, Uri};
use http_body_util::Empty;
use tower::Layer;
use tower_http::follow_redirect::FollowRedirect;
use tower_http_06::follow_redirect::FollowRedirect as FollowRedirect06;
use tower_session_affinity::{
    AffinityKey, FromHeaders, HostPattern, KeyExtractor, MergePolicy, SessionAffinityLayer,
    from_fn, header,
};

use crate::origin::{Origin, client, exchange};
use crate::{KEY, Outgoing, Received, Result, Source};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    Outside,
    Inside,
}

/// Where the key comes from.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum From {
    Extension,
    Closure,
    InboundHeader,
    Fixed,
    /// There is no key, only the caller's own header.
    Caller,
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) place: Place,
    pub(crate) from: From,
    pub(crate) policy: MergePolicy,
    pub(crate) only_hosts: bool,
}

/// What arrives at each hop of a case.
pub(crate) struct Hops {
    pub(crate) first: Received,
    /// At a different origin, redirected by tower-http 0.7 and 0.6.
    pub(crate) other: [Received; 2],
    /// At the first origin again.
    pub(crate) same: [Received; 2],
}

#[derive(Clone, Copy, PartialEq)]
enum TowerHttp {
    V07,
    V06,
}

impl From {
    const ALL: [Self; 5] = [
        Self::Extension,
        Self::Closure,
        Self::InboundHeader,
        Self::Fixed,
        Self::Caller,
    ];

    fn source(self) -> Source {
        match self {
            Self::Extension | Self::Caller => Arc::new(None::<AffinityKey>),
            Self::Closure => Arc::new(from_fn(|req| {
                req.headers().get("x-user-id")?.try_into().ok()
            })),
            Self::InboundHeader => Arc::new(FromHeaders::new([header::X_SESSION_ID])),
            Self::Fixed => Arc::new(KEY),
        }
    }

    pub(crate) fn request(self, uri: Uri) -> Result<Outgoing> {
        let request = Request::get(uri);
        let request = match self {
            Self::Extension => request.extension(KEY),
            Self::Closure => request.header("x-user-id", KEY.as_str()),
            Self::InboundHeader => request.header(header::X_SESSION_ID, KEY.as_str()),
            Self::Caller => request.header(header::X_SESSION_AFFINITY, KEY.as_str()),
            Self::Fixed => request,
        };
        Ok(request.body(Empty::new())?)
    }
}

impl Case {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Place::Outside, Place::Inside]
            .into_iter()
            .flat_map(|place| {
                From::ALL.into_iter().flat_map(move |from| {
                    [MergePolicy::Keep, MergePolicy::Replace]
                        .into_iter()
                        .flat_map(move |policy| {
                            [false, true].map(|only_hosts| Self {
                                place,
                                from,
                                policy,
                                only_hosts,
                            })
                        })
                })
            })
    }

    pub(crate) fn layer(
        self,
        first: &Origin,
    ) -> Result<SessionAffinityLayer<impl KeyExtractor + Clone>> {
        let layer = SessionAffinityLayer::new()
            .or(self.from.source())
            .merge_policy(self.policy);
        Ok(if self.only_hosts {
            layer.only_hosts([first.authority.parse::<HostPattern>()?])
        } else {
            layer
        })
    }

    /// What an allowed host gets.
    pub(crate) fn expected(self) -> Received {
        match (self.from, self.policy) {
            // `Replace` removes the caller's value, and there is no key.
            (From::Caller, MergePolicy::Replace) => Received::new(),
            _ => vec![KEY.as_str().to_owned()],
        }
    }

    /// Sends a request to this path of the first origin, which redirects it.
    async fn send(self, version: TowerHttp, first: &Origin, path: &str) -> Result<()> {
        let layer = self.layer(first)?;
        let request = self.from.request(first.uri(path)?)?;
        match (self.place, version) {
            (Place::Outside, TowerHttp::V07) => {
                exchange(layer.layer(FollowRedirect::new(client())), request).await
            }
            (Place::Outside, TowerHttp::V06) => {
                exchange(layer.layer(FollowRedirect06::new(client())), request).await
            }
            (Place::Inside, TowerHttp::V07) => {
                exchange(FollowRedirect::new(layer.layer(client())), request).await
            }
            (Place::Inside, TowerHttp::V06) => {
                exchange(FollowRedirect06::new(layer.layer(client())), request).await
            }
        }
    }

    pub(crate) async fn hops(self, first: &Origin, second: &Origin) -> Result<Hops> {
        let mut hops = Hops {
            first: Vec::new(),
            other: Default::default(),
            same: Default::default(),
        };
        for (index, version) in [TowerHttp::V07, TowerHttp::V06].into_iter().enumerate() {
            self.send(version, first, "/other").await?;
            [hops.first] = exactly(first.take());
            [hops.other[index]] = exactly(second.take());
            self.send(version, first, "/same").await?;
            [hops.first, hops.same[index]] = exactly(first.take());
        }
        Ok(hops)
    }
}

fn exactly<const N: usize>(received: Vec<Received>) -> [Received; N] {
    received.try_into().expect("one request for each hop")
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extension => "key in the extensions",
            Self::Closure => "closure",
            Self::InboundHeader => "inbound header",
            Self::Fixed => "fixed key",
            Self::Caller => "caller's own header",
        })
    }
}
