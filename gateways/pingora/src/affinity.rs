//! Chooses the replica of a request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONNECTION, HeaderMap};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_load_balancing::selection::Consistent;
use pingora_load_balancing::{Backend, LoadBalancer};
use pingora_proxy::{ProxyHttp, Session};

const HEADER: &str = "x-session-affinity";

/// How many points Pingora gives each replica on its ring.
const POINTS: usize = 160;

/// A hash ring (ketama): when a replica dies, only its keys move.
pub(crate) type Ring = LoadBalancer<Consistent>;

/// Sends each value of the header to one replica.
pub(crate) struct Affinity {
    ring: Arc<Ring>,
    points: usize,
}

/// The replicas that refused a connection for this request.
pub(crate) type Refused = Vec<SocketAddr>;

impl Affinity {
    pub(crate) fn new(ring: Arc<Ring>, replicas: usize) -> Self {
        let points = POINTS * replicas;
        Self { ring, points }
    }

    fn select(&self, key: &[u8], accept: impl Fn(&Backend, bool) -> bool) -> Option<Backend> {
        // The iterator over the ring never ends, so this stops after one round.
        self.ring.select_with(key, self.points, accept)
    }
}

#[async_trait]
impl ProxyHttp for Affinity {
    type CTX = Refused;

    fn new_ctx(&self) -> Refused {
        Refused::new()
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        refused: &mut Refused,
    ) -> Result<Box<HttpPeer>> {
        // Without a header, or with a blank one: a random key, so that such requests spread.
        let random = fastrand::u64(..).to_ne_bytes();
        let key = key(&session.req_header().headers).unwrap_or(&random);
        let is_left = |replica: &Backend| !refused.contains(&replica.addr);
        let replica = self
            .select(key, |replica, is_healthy| is_healthy && is_left(replica))
            // On a busy machine, the checks of all replicas can fail at once.
            .or_else(|| self.select(key, |replica, _| is_left(replica)))
            .ok_or_else(|| Error::explain(ErrorType::HTTPStatus(503), "no replica is left"))?;
        let mut peer = HttpPeer::new(replica.addr, false, String::new());
        peer.options.connection_timeout = Some(Duration::from_secs(1));
        Ok(Box::new(peer))
    }

    /// If a replica refuses the connection, the next one on the ring gets the request.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        refused: &mut Refused,
        mut error: Box<Error>,
    ) -> Box<Error> {
        refused.push(peer.address().clone());
        error.set_retry(true);
        error
    }

    /// Asks for a new connection, because a kept one fails a POST when its replica dies.
    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        _: &mut Refused,
    ) -> Result<()> {
        request.insert_header(CONNECTION, "close")
    }
}

/// Returns the first value that is not blank.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let values = headers.get_all(HEADER).into_iter();
    values
        .map(|value| value.as_bytes().trim_ascii())
        .find(|value| !value.is_empty())
}
