//! Builds the layer that the settings describe, through the public API.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Request};
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinitySecret, Destination, FromExtension, FromHeaders, FromScope, HostPattern,
    KeyExtractor, MergePolicy, Or, Outcome, RequestHead, SessionAffinityLayer, from_fn,
};

use crate::request::{Adopt, Derivation, Key, Name, Pattern, Row, SECRET, Settings, Source};

/// A layer of any type, and the ways to use it.
pub trait AnyLayer {
    /// Returns the outcome and the headers that are sent.
    fn stamp(&self, request: &Request<()>) -> (Outcome, HeaderMap);

    /// Returns the headers that the inner service receives.
    fn serve(&self, request: Request<()>) -> HeaderMap;
}

impl<K: KeyExtractor + Clone> AnyLayer for SessionAffinityLayer<K> {
    fn stamp(&self, request: &Request<()>) -> (Outcome, HeaderMap) {
        let mut headers = request.headers().clone();
        let (method, uri) = (request.method(), request.uri());
        let outcome = self.stamp(method, uri, &mut headers, request.extensions());
        (outcome, headers)
    }

    fn serve(&self, request: Request<()>) -> HeaderMap {
        let inner = service_fn(async |request: Request<()>| {
            Ok::<_, Infallible>(request.into_parts().0.headers)
        });
        let mut answer = task::spawn(self.layer(inner).oneshot(request));
        match answer.poll() {
            std::task::Poll::Ready(Ok(headers)) => headers,
            std::task::Poll::Pending => unreachable!("the inner service is ready at once"),
        }
    }
}

impl Settings {
    /// Builds the layer.
    #[must_use]
    pub fn layer(&self) -> Box<dyn AnyLayer> {
        let [first, second, third] = self.sources.clone();
        let layer = SessionAffinityLayer::new().or(first).or(second).or(third);
        match &self.adopt {
            None => self.finish(layer),
            Some(Adopt { names, derived }) => {
                let names = header_names(names);
                if *derived {
                    self.finish(layer.adopt_derived(names, secret()))
                } else {
                    self.finish(layer.adopt(names))
                }
            }
        }
    }

    fn finish<K>(&self, layer: SessionAffinityLayer<K>) -> Box<dyn AnyLayer>
    where
        K: KeyExtractor + Clone + 'static,
    {
        let mut layer = layer.merge_policy(if self.replace {
            MergePolicy::Replace
        } else {
            MergePolicy::Keep
        });
        if let Some(name) = self.header_name {
            layer = layer.header_name(HeaderName::from_static(name.0));
        }
        if let Some(hosts) = &self.only_hosts {
            let pattern = |Pattern(text): &Pattern| text.parse::<HostPattern>().ok();
            layer = layer.only_hosts(hosts.iter().filter_map(pattern));
        }
        if let Some(rows) = &self.destinations {
            layer = layer.destinations(rows.iter().filter_map(Row::destination).collect());
        }
        layer = match &self.derivation {
            None => layer,
            Some(Derivation::PerHost) => layer.derive_per_host(secret()),
            Some(Derivation::For(label)) => layer.derive_for(secret(), label),
        };
        Box::new(layer)
    }
}

impl Row {
    /// Builds the row, or returns `None` if its host pattern is invalid.
    fn destination(&self) -> Option<Destination> {
        let host = self.host.0.parse::<HostPattern>().ok()?;
        let row = match self.header_name {
            Some(name) => Destination::header(host, name.0),
            None => Destination::none(host),
        };
        let mut row = row.expect("a valid pattern and name");
        if !self.path_suffixes.is_empty() {
            let suffixes = self.path_suffixes.iter().map(|suffix| suffix.0);
            row = row.path_suffixes(suffixes).expect("valid suffixes");
        }
        match self.max_len {
            Some(bytes) => row.max_len(bytes.get().into()).ok(),
            None => Some(row),
        }
    }
}

fn secret() -> AffinitySecret {
    AffinitySecret::new(&SECRET).expect("a secret of 32 bytes")
}

fn header_names(names: &[Name]) -> impl Iterator<Item = HeaderName> {
    names.iter().map(|name| HeaderName::from_static(name.0))
}

impl KeyExtractor for Source {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        match self {
            Self::Fixed(key) => key.as_ref().map(Key::affinity_key).extract(head),
            Self::Headers(names) => FromHeaders::new(header_names(names)).extract(head),
            Self::Closure(name) => {
                let name = name.0;
                from_fn(move |req| req.headers().get(name)?.try_into().ok()).extract(head)
            }
            Self::Shared(name) => {
                let source: Arc<dyn KeyExtractor> = Arc::new(Self::Closure(*name));
                Or::new(None::<FromExtension>, source).extract(head)
            }
            Self::Extension => FromExtension.extract(head),
            Self::Scope => FromScope.extract(head),
        }
    }

    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        match self {
            Self::Headers(names) => FromHeaders::new(header_names(names)).has_invalid_key(head),
            _ => false,
        }
    }
}
