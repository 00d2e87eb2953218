//! A gateway in front of four replicas, and the requests that a test sends to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_session_affinity::{AffinityKey, SessionAffinity, SessionAffinityLayer};

use crate::capture::{LineCounts, tap};
use crate::client::{Bare, bare_client};
use crate::{Hold, Process, REPLICA, Replica, Setup, find_program};

/// A gateway, and how it differs from the others.
#[derive(Debug)]
pub struct Spec {
    /// The name of its program.
    pub program: &'static str,
    /// The header that it hashes.
    pub header_name: HeaderName,
    /// Builds its command line.
    pub launch: fn(&Path, &Setup) -> Command,
    /// Whether it passes the header on to the replicas.
    pub forwards: bool,
}

/// A running gateway with its four replicas.
#[derive(Debug)]
pub struct Cluster {
    /// The servers behind the gateway.
    pub replicas: Vec<Replica>,
    /// The requests as the client sent them.
    pub sent: LineCounts,
    /// Where clients reach the gateway.
    pub address: SocketAddr,
    /// Holds the replicas' answers back.
    pub hold: Hold,
    header_name: HeaderName,
    // Dropped before the folder, which has its files.
    process: Process,
    _folder: TempDir,
}

/// The longest that anything here waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many times a gateway is started if it lost its port to another process.
const STARTS: usize = 3;

/// The number of concurrent requests.
const CONCURRENCY: usize = 8;

impl Cluster {
    /// Starts a gateway in front of four replicas and waits until it uses all of them.
    ///
    /// Returns `None` if [`find_program`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the gateway ends or does not use all replicas within a minute.
    pub async fn start(spec: &Spec) -> io::Result<Option<Self>> {
        let Some(program) = find_program(spec.program) else {
            return Ok(None);
        };
        let mut starts = 1;
        loop {
            let mut cluster = Self::launch(spec, &program).await?;
            match cluster.ready().await {
                Ok(()) => return Ok(Some(cluster)),
                Err(error) if starts == STARTS => return Err(error),
                Err(_) => starts += 1,
            }
        }
    }

    async fn launch(spec: &Spec, program: &Path) -> io::Result<Self> {
        let hold = Hold::default();
        let mut replicas = Vec::new();
        for _ in 0..4 {
            replicas.push(Replica::start(spec.header_name.clone(), hold.clone()).await?);
        }
        let folder = tempfile::tempdir()?;
        let addresses = replicas.iter().map(|replica| replica.address).collect();
        let setup = Setup::new(addresses, folder.path())?;
        let process = Process::start(&(spec.launch)(program, &setup), folder.path())?;
        let sent = LineCounts::new(spec.header_name.clone());
        Ok(Self {
            replicas,
            address: tap(setup.listen, sent.clone()).await?,
            sent,
            hold,
            header_name: spec.header_name.clone(),
            process,
            _folder: folder,
        })
    }

    async fn ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let client = self.client();
        loop {
            self.process.check()?;
            let requests = (0..64).map(|n| self.keyed(&format!("ready-{n}")));
            let met = self.try_all(&client, requests).await;
            let met: Result<BTreeSet<_>, _> = met.into_iter().collect();
            if met.as_ref().is_ok_and(|met| *met == self.addresses()) {
                self.take_received();
                self.sent.take();
                return Ok(());
            }
            if Instant::now() > deadline {
                let output = self.process.last_lines();
                return Err(io::Error::other(format!(
                    "the gateway does not use all replicas; the last requests met {met:?}\n{output}"
                )));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns where the replicas listen.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.replicas
            .iter()
            .map(|replica| replica.address)
            .collect()
    }

    /// Returns the requests that reached any replica since the last call, by number of lines.
    pub fn take_received(&self) -> BTreeMap<usize, usize> {
        let mut all = BTreeMap::new();
        for (lines, requests) in self.replicas.iter().flat_map(|one| one.received.take()) {
            *all.entry(lines).or_default() += requests;
        }
        all
    }

    /// Returns a client without the layer.
    #[must_use]
    pub fn bare_client(&self) -> Bare {
        bare_client()
    }

    /// Returns a client with the layer, which sends the header that the gateway hashes.
    #[must_use]
    pub fn client(&self) -> SessionAffinity<Bare> {
        SessionAffinityLayer::new()
            .header_name(self.header_name.clone())
            .layer(self.bare_client())
    }

    /// Builds a turn of a chat without a key.
    ///
    /// # Panics
    ///
    /// Never: the parts are valid.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let body = r#"{"model": "m", "messages": [{"role": "user", "content": "hello"}]}"#;
        Request::post(format!("http://{}/v1/chat/completions", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .expect("a valid request")
    }

    /// Builds a turn of a chat with this key.
    ///
    /// # Panics
    ///
    /// If the key is not valid.
    #[must_use]
    pub fn keyed(&self, key: &str) -> Request<Full<Bytes>> {
        let mut request = self.request();
        let key: AffinityKey = key.parse().expect("a valid key");
        request.extensions_mut().insert(key);
        request
    }

    /// Builds a turn of a chat in which the caller wrote these lines of the header.
    ///
    /// # Panics
    ///
    /// If a line is not a valid header value.
    #[must_use]
    pub fn with_lines(&self, lines: &[&'static str]) -> Request<Full<Bytes>> {
        let mut request = self.request();
        for line in lines {
            let line = http::HeaderValue::from_static(line);
            request.headers_mut().append(&self.header_name, line);
        }
        request
    }

    /// Sends all requests, eight at a time, and returns the replicas that answered, in order.
    ///
    /// # Panics
    ///
    /// If a request fails.
    pub async fn send_all<S>(
        &self,
        client: &S,
        requests: impl IntoIterator<Item = Request<Full<Bytes>>>,
    ) -> Vec<SocketAddr>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone,
        S::Error: fmt::Debug,
    {
        let answers = self.try_all(client, requests).await;
        self.none_failed(answers)
    }

    /// Sends all requests, holds the answers until all have reached a replica, and returns the replicas
    /// that answered, in order.
    ///
    /// Sends all of them at once, or each when the one before has reached a replica.
    ///
    /// # Panics
    ///
    /// If a request fails, or if not all requests reach a replica within a minute.
    pub async fn send_held<S>(
        &self,
        client: &S,
        requests: Vec<Request<Full<Bytes>>>,
        at_once: bool,
    ) -> Vec<SocketAddr>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone,
        S::Error: fmt::Debug,
    {
        let count = requests.len();
        self.hold.until(count);
        let answers = stream::iter(requests.into_iter().enumerate())
            .map(async |(before, request)| {
                self.hold.arrival(if at_once { 0 } else { before }).await;
                answerer(client.clone(), request).await
            })
            .buffered(count)
            .collect();
        let answers = timeout(PATIENCE, answers).await;
        self.hold.until(0);
        self.none_failed(answers.expect("all requests reach a replica within a minute"))
    }

    fn none_failed(&self, answers: Vec<Result<SocketAddr, String>>) -> Vec<SocketAddr> {
        let failed: Vec<_> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .collect();
        let output = self.process.last_lines();
        assert!(
            failed.is_empty(),
            "{} of {} requests failed, the first with {}\n{output}",
            failed.len(),
            answers.len(),
            failed[0]
        );
        answers.into_iter().flatten().collect()
    }

    async fn try_all<S>(
        &self,
        client: &S,
        requests: impl IntoIterator<Item = Request<Full<Bytes>>>,
    ) -> Vec<Result<SocketAddr, String>>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone,
        S::Error: fmt::Debug,
    {
        stream::iter(requests)
            .map(|request| answerer(client.clone(), request))
            .buffered(CONCURRENCY)
            .collect()
            .await
    }
}

/// Returns the replica that answers a request.
async fn answerer<S>(client: S, request: Request<Full<Bytes>>) -> Result<SocketAddr, String>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>>,
    S::Error: fmt::Debug,
{
    let response = client.oneshot(request).await;
    let (head, body) = response.map_err(|error| format!("{error:?}"))?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?;
    match head
        .headers
        .get(REPLICA)
        .and_then(|name| name.to_str().ok())
    {
        Some(name) if head.status == StatusCode::OK => name
            .parse()
            .map_err(|_| format!("{name} is not an address")),
        _ => Err(format!("{}: {:?}", head.status, body.to_bytes())),
    }
}
