//! Across redirects, retries and hedges: what each origin receives, over real sockets.

use std::fmt::{self, Write as _};
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header::LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::hedge::Hedge;
use tower::retry::Retry;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_http::follow_redirect::FollowRedirect;
use tower_http_06::follow_redirect::FollowRedirect as FollowRedirect06;
use tower_session_affinity::{
    AffinityKey, FromHeaders, HostPattern, KeyExtractor, MergePolicy, NoAffinity,
    SessionAffinityLayer, from_fn, header,
};

const DOCUMENT: &str = include_str!("../docs/redirects.md");
const KEY: AffinityKey = AffinityKey::from_static("chat-7");

type Result<T> = std::result::Result<T, BoxError>;
type Outgoing = Request<Empty<Bytes>>;
type Source = Arc<dyn KeyExtractor + Send + Sync>;

/// The affinity headers of one request.
type Received = Vec<String>;

/// A server that redirects, fails or answers by the path, and notes what it receives.
struct Origin {
    authority: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// Ends with the origin.
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Notes {
    received: Arc<Mutex<Vec<Received>>>,
    other: String,
    two_attempts: Arc<Barrier>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Outside,
    Inside,
}

/// Where the key comes from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Extension,
    Closure,
    InboundHeader,
    Fixed,
    /// There is none, but the caller's own header.
    Caller,
}

#[derive(Clone, Copy)]
struct Case {
    place: Place,
    from: From,
    policy: MergePolicy,
    only_hosts: bool,
}

/// What arrives of one case.
struct Hops {
    first: Received,
    /// At another origin, redirected by tower-http 0.7 and 0.6.
    other: [Received; 2],
    /// At the first origin again.
    same: [Received; 2],
}

#[derive(Clone, Copy, PartialEq)]
enum TowerHttp {
    V07,
    V06,
}

impl Origin {
    /// Starts an origin whose redirects go to `other`.
    async fn start(other: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let received = Arc::default();
        let notes = Notes {
            received: Arc::clone(&received),
            other: format!("http://{other}/"),
            two_attempts: Arc::new(Barrier::new(2)),
        };
        let mut server = JoinSet::new();
        let router = Router::new().fallback(answer).with_state(notes);
        server.spawn(async {
            axum::serve(listener, router)
                .await
                .expect("serving never ends");
        });
        Ok(Self {
            authority,
            received,
            _server: server,
        })
    }

    fn uri(&self, path: &str) -> Result<Uri> {
        Ok(format!("http://{}{path}", self.authority).parse()?)
    }

    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().expect("no panic while locked"))
    }
}

async fn answer(State(notes): State<Notes>, uri: Uri, headers: HeaderMap) -> Response {
    let values = headers.get_all(header::X_SESSION_AFFINITY).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    notes
        .received
        .lock()
        .expect("no panic while locked")
        .push(values.collect());
    match uri.path() {
        "/other" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, notes.other)]).into_response(),
        "/same" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/")]).into_response(),
        "/busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/slow" => {
            // No attempt is answered before there are two.
            notes.two_attempts.wait().await;
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
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

    fn request(self, uri: Uri) -> Result<Outgoing> {
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
    fn all() -> impl Iterator<Item = Self> {
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

    fn layer(self, first: &Origin) -> Result<SessionAffinityLayer<impl KeyExtractor + Clone>> {
        let layer = SessionAffinityLayer::new()
            .or(self.from.source())
            .merge_policy(self.policy);
        Ok(if self.only_hosts {
            layer.only_hosts([first.authority.parse::<HostPattern>()?])
        } else {
            layer
        })
    }

    /// What leaves for a host that may have it.
    fn expected(self) -> Received {
        match (self.from, self.policy) {
            // The layer owns the header and has no key.
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

    async fn hops(self, first: &Origin, second: &Origin) -> Result<Hops> {
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

fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn exchange<S, B>(service: S, request: Outgoing) -> Result<()>
where
    S: Service<Outgoing, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
{
    service.oneshot(request).await.map_err(Into::into)?;
    Ok(())
}

async fn origins() -> Result<(Origin, Origin)> {
    let second = Origin::start("nowhere.invalid").await?;
    Ok((Origin::start(&second.authority).await?, second))
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extension => "key in extensions",
            Self::Closure => "closure",
            Self::InboundHeader => "inbound header",
            Self::Fixed => "fixed key",
            Self::Caller => "no key, caller's header",
        })
    }
}

fn show(received: &Received) -> String {
    match received.as_slice() {
        [] => "–".to_owned(),
        values => format!("`{}`", values.join("` and `")),
    }
}

#[tokio::test]
async fn the_document_states_what_each_origin_receives() -> Result<()> {
    let (first, second) = origins().await?;
    let mut table = String::from(
        "| the layer | the key | policy | `.only_hosts` | first origin | other origin, 0.7 \
         | other origin, 0.6 | first origin again, 0.7 | first origin again, 0.6 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for case in Case::all() {
        let Case {
            place,
            from,
            policy,
            only_hosts,
        } = case;
        let hops = case.hops(&first, &second).await?;
        let cells = [
            &hops.first,
            &hops.other[0],
            &hops.other[1],
            &hops.same[0],
            &hops.same[1],
        ];
        let cells = cells.map(show).join(" | ");
        let only_hosts = if only_hosts { "yes" } else { "no" };
        let place = format!("{place:?}").to_lowercase();
        writeln!(
            table,
            "| {place} | {from} | `{policy:?}` | {only_hosts} | {cells} |"
        )?;
    }
    println!("{table}");
    assert!(
        DOCUMENT.contains(&table),
        "docs/redirects.md does not have this table:\n{table}"
    );
    Ok(())
}

#[tokio::test]
async fn outside_a_redirect_layer_every_key_follows_to_another_origin() -> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Outside) {
        let hops = case.hops(&first, &second).await?;
        // Whatever leaves for the first origin, and `.only_hosts` does not help here.
        assert_eq!(hops.other, [hops.first.clone(), hops.first]);
    }
    Ok(())
}

#[tokio::test]
async fn inside_a_redirect_layer_only_hosts_stops_every_key() -> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Inside && case.only_hosts) {
        let hops = case.hops(&first, &second).await?;
        assert_eq!(hops.other, [Received::new(), Received::new()]);
    }
    Ok(())
}

#[tokio::test]
async fn inside_a_redirect_layer_without_only_hosts_just_a_key_in_the_extensions_stays()
-> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Inside && !case.only_hosts) {
        let hops = case.hops(&first, &second).await?;
        match case.from {
            From::Extension => assert_eq!(hops.other, [Received::new(), Received::new()]),
            _ => assert_eq!(hops.other, [hops.first.clone(), hops.first]),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_in_the_extensions_stays_within_an_origin_from_tower_http_0_7_on() -> Result<()> {
    let (first, second) = origins().await?;
    let inside = |case: &Case| case.place == Place::Inside && case.from == From::Extension;
    for case in Case::all().filter(inside) {
        let hops = case.hops(&first, &second).await?;
        assert_eq!(hops.same, [vec![KEY.as_str().to_owned()], Received::new()]);
    }
    Ok(())
}

#[tokio::test]
async fn a_no_affinity_marker_is_lost_where_the_extensions_are() -> Result<()> {
    let (first, second) = origins().await?;
    let layer = SessionAffinityLayer::new().or(KEY);
    let request = |path| -> Result<Outgoing> {
        Ok(Request::get(first.uri(path)?)
            .extension(NoAffinity)
            .body(Empty::new())?)
    };
    let (none, key) = ([""; 0], ["chat-7"]);

    exchange(
        FollowRedirect::new(layer.layer(client())),
        request("/other")?,
    )
    .await?;
    assert_eq!(first.take(), [none]);
    assert_eq!(second.take(), [key]);

    exchange(
        FollowRedirect::new(layer.layer(client())),
        request("/same")?,
    )
    .await?;
    assert_eq!(first.take(), [none, none]);

    exchange(
        FollowRedirect06::new(layer.layer(client())),
        request("/same")?,
    )
    .await?;
    assert_eq!(first.take(), [&none[..], &key[..]]);
    Ok(())
}

/// Sends a request again while it is answered with an error, this many times.
#[derive(Clone)]
struct Again(usize);

impl<B, E> tower::retry::Policy<Outgoing, http::Response<B>, E> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Outgoing,
        result: &mut std::result::Result<http::Response<B>, E>,
    ) -> Option<Self::Future> {
        let failed = result
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error());
        self.0 = self.0.checked_sub(1)?;
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }
}

impl tower::hedge::Policy<Outgoing> for Again {
    fn clone_request(&self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Outgoing) -> bool {
        true
    }
}

#[tokio::test]
async fn every_attempt_of_a_retry_carries_the_same_single_key() -> Result<()> {
    let (first, _second) = origins().await?;
    for case in Case::all() {
        let (layer, request) = (case.layer(&first)?, case.from.request(first.uri("/busy")?)?);
        match case.place {
            Place::Outside => {
                exchange(layer.layer(Retry::new(Again(2), client())), request).await?;
            }
            Place::Inside => {
                exchange(Retry::new(Again(2), layer.layer(client())), request).await?;
            }
        }
        assert_eq!(first.take(), vec![case.expected(); 3]);
    }
    Ok(())
}

#[tokio::test]
async fn a_closure_is_asked_for_each_attempt_inside_a_retry_and_once_outside() -> Result<()> {
    let (first, _second) = origins().await?;
    let request = || From::Fixed.request(first.uri("/busy")?);
    let layer = || {
        let attempts = AtomicUsize::new(0);
        let count = move || attempts.fetch_add(1, Ordering::Relaxed);
        let source: Source = Arc::new(from_fn(move |_| count().to_string().parse().ok()));
        SessionAffinityLayer::new().or(source)
    };
    exchange(Retry::new(Again(2), layer().layer(client())), request()?).await?;
    assert_eq!(first.take(), [["0"], ["1"], ["2"]]);

    exchange(layer().layer(Retry::new(Again(2), client())), request()?).await?;
    assert_eq!(first.take(), [["0"], ["0"], ["0"]]);
    Ok(())
}

#[tokio::test]
async fn every_attempt_of_a_hedge_carries_the_same_single_key() -> Result<()> {
    let (first, _second) = origins().await?;
    for case in Case::all() {
        let (layer, request) = (case.layer(&first)?, case.from.request(first.uri("/slow")?)?);
        match case.place {
            Place::Outside => exchange(layer.layer(hedged(client())), request).await?,
            Place::Inside => exchange(hedged(layer.layer(client())), request).await?,
        }
        assert_eq!(first.take(), vec![case.expected(); 2]);
    }
    Ok(())
}

/// Sends a second attempt after a millisecond without an answer.
fn hedged<S>(service: S) -> Hedge<S, Again>
where
    S: Service<Outgoing> + Clone,
    S::Error: Into<BoxError>,
{
    let (points, percentile, period) = (1, 0.9, Duration::from_secs(60));
    Hedge::new_with_mock_latencies(service, Again(1), points, percentile, period, &[1; 10])
}
