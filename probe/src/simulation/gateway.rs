//! A simulated gateway that hashes the affinity header, and routes other requests round robin.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::HOST};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use pingora_ketama::{Bucket, Continuum};
use tower_session_affinity::header::X_SESSION_AFFINITY;

/// A gateway, shared by its connections.
#[derive(Clone)]
pub(crate) struct Gateway {
    routes: Arc<Routes>,
    client: Client<HttpConnector, Incoming>,
}

struct Routes {
    replicas: Vec<Authority>,
    ring: Continuum,
    turn: AtomicUsize,
}

impl Gateway {
    pub(crate) fn new(replicas: &[SocketAddr]) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            routes: Arc::new(Routes::new(replicas)),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Forwards a request to the replica of its key, or to the next one.
    pub(crate) async fn forward(
        self,
        mut request: Request<Incoming>,
    ) -> Response<Either<Incoming, Full<Bytes>>> {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = uri(self.routes.choose(request.headers()), path);
        request.headers_mut().remove(HOST);
        match self.client.request(request).await {
            Ok(response) => response.map(Either::Left),
            Err(_) => bad_gateway(),
        }
    }
}

impl Routes {
    fn new(replicas: &[SocketAddr]) -> Self {
        let buckets: Vec<_> = (0..replicas.len())
            .map(|index| Bucket::new(seat(index), 1))
            .collect();
        let authority = |address: &SocketAddr| address.to_string().parse();
        Self {
            replicas: replicas.iter().flat_map(authority).collect(),
            ring: Continuum::new(&buckets),
            turn: AtomicUsize::new(0),
        }
    }

    fn choose(&self, headers: &HeaderMap) -> Authority {
        let key = headers
            .get(X_SESSION_AFFINITY)
            .filter(|key| !key.as_bytes().trim_ascii().is_empty());
        let hashed = key
            .and_then(|key| self.ring.node(key.as_bytes()))
            .and_then(|node| (0..self.replicas.len()).find(|index| seat(*index) == node));
        let next = || self.turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        self.replicas[hashed.unwrap_or_else(next)].clone()
    }
}

/// Returns a replica's address on the ring. It is fixed, since the real port differs in every run.
fn seat(index: usize) -> SocketAddr {
    let last = u8::try_from(index).expect("there are at most 32 replicas");
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 80))
}

fn uri(replica: Authority, path: Option<PathAndQuery>) -> Uri {
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(replica)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .expect("a URI of scheme, authority and path is complete")
}

fn bad_gateway<L>() -> Response<Either<L, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use http::HeaderValue;

    use super::*;

    fn routes() -> Routes {
        let replicas = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Routes::new(&replicas)
    }

    fn headers(key: &str) -> HeaderMap {
        let value = HeaderValue::try_from(key).expect("valid");
        HeaderMap::from_iter([(X_SESSION_AFFINITY, value)])
    }

    #[test]
    fn a_key_stays_on_its_replica_and_keys_spread_over_all_replicas() {
        let routes = routes();
        let mut keys_on = HashMap::new();
        for key in 0..1000 {
            let headers = headers(&format!("chat-{key}"));
            let replica = routes.choose(&headers);
            assert_eq!(routes.choose(&headers), replica);
            *keys_on.entry(replica).or_insert(0) += 1;
        }
        assert_eq!(keys_on.len(), 4);
        assert!(
            keys_on.values().all(|keys| (150..=350).contains(keys)),
            "{keys_on:?}"
        );
    }

    #[test]
    fn requests_with_no_key_or_a_blank_one_go_round_robin() {
        for headers in [HeaderMap::new(), headers(""), headers("  ")] {
            let routes = routes();
            let seen: HashSet<_> = (0..4).map(|_| routes.choose(&headers)).collect();
            assert_eq!(seen.len(), 4);
        }
    }
}
