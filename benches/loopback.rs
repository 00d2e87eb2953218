//! How much throughput over loopback the layer costs a hyper client, compared with tower-http and a closure,
//! and the gateway example, compared with a header copy by hand. A report without a bound.
//!
//! `cargo bench --bench loopback`. The clients take turns on one thread, which also runs the servers, so that
//! other load on the machine affects all of them alike. Each round gives one ratio per client, to the bare
//! client of the same round: by wall clock, and by the time that the thread had a core.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::util::{BoxService, MapRequestLayer};
use tower::{Layer, Service, ServiceExt};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_session_affinity::{SessionAffinityLayer, header::X_SESSION_AFFINITY};

#[path = "shared/clock.rs"]
mod clock;
#[path = "loopback/gateways.rs"]
mod gateways;
mod shared;
use clock::Clock;

const ROUNDS: u32 = 401;
const REQUESTS_A_TURN: u32 = 200;

type BoxError = Box<dyn Error + Send + Sync>;
type Body = Empty<Bytes>;

/// A client, what it sends, and how long each of its turns took.
struct Contestant {
    name: &'static str,
    head: Parts,
    client: BoxService<Request<Body>, Response<Incoming>, BoxError>,
    turns: Vec<Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    wall: Duration,
    core: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // `cargo test --benches` only checks that it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = listener.local_addr()?;
    let mut servers = JoinSet::new();
    servers.spawn(serve(listener));

    println!(
        "{ROUNDS} rounds of {REQUESTS_A_TURN} requests each; with / without: median (quartiles; 5 % to 95 %)"
    );
    let uri = Uri::try_from(format!("http://{upstream}/"))?;
    run("A client", clients(&uri)).await?;
    for (title, http2) in [
        ("A gateway whose caller speaks HTTP/1.1", false),
        ("A gateway whose caller speaks HTTP/2", true),
    ] {
        let contestants = gateways::contestants(upstream, http2, &mut servers).await?;
        run(title, contestants).await?;
    }
    Ok(())
}

async fn run(title: &str, mut contestants: Vec<Contestant>) -> Result<(), BoxError> {
    for contestant in &mut contestants {
        contestant.turn().await?;
    }
    for round in 0..ROUNDS as usize {
        for place in 0..contestants.len() {
            // Each is as often the first of a round as the others are.
            let next = (round + place) % contestants.len();
            let turn = contestants[next].turn().await?;
            contestants[next].turns.push(turn);
        }
    }
    report(title, &contestants);
    Ok(())
}

fn clients(uri: &Uri) -> Vec<Contestant> {
    // A name that the compiler does not know, and a value made at run time, as ours is.
    let name = || black_box(X_SESSION_AFFINITY);
    let value = || HeaderValue::from(shared::key());
    let ours = SessionAffinityLayer::new().or(shared::key());
    let theirs = SetRequestHeaderLayer::if_not_present(name(), value());
    let by_hand = MapRequestLayer::new({
        let (name, value) = (name(), value());
        move |mut request: Request<Body>| {
            request.headers_mut().insert(name.clone(), value.clone());
            request
        }
    });
    let client = || Client::builder(TokioExecutor::new()).build_http();
    let head = head(uri);
    vec![
        Contestant::new("no layer", &head, client()),
        Contestant::new("this layer, a fixed key", &head, ours.layer(client())),
        Contestant::new("tower-http `if_not_present`", &head, theirs.layer(client())),
        Contestant::new("a closure that inserts", &head, by_hand.layer(client())),
    ]
}

fn head(uri: &Uri) -> Parts {
    let (mut head, ()) = shared::request(5).into_parts();
    head.uri = uri.clone();
    head
}

impl Contestant {
    fn new<S>(name: &'static str, head: &Parts, client: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Incoming>> + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self {
            name,
            head: head.clone(),
            client: BoxService::new(client.map_err(Into::into)),
            turns: Vec::new(),
        }
    }

    /// Sends one request after the other and returns the time that they took.
    async fn turn(&mut self) -> Result<Turn, BoxError> {
        let (started, clock) = (Instant::now(), Clock::start());
        for _ in 0..REQUESTS_A_TURN {
            let request = Request::from_parts(self.head.clone(), Empty::new());
            let response = self.client.ready().await?.call(request).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("{}: {}", self.name, response.status()).into());
            }
            response.into_body().collect().await?;
        }
        Ok(Turn {
            wall: started.elapsed(),
            core: clock.elapsed(),
        })
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let answer = service_fn(|_| async {
            let body = Full::new(Bytes::from_static(b"ok"));
            Ok::<_, BoxError>(Response::new(body))
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

fn report(title: &str, contestants: &[Contestant]) {
    println!("\n| {title} | by wall clock | by the time that the thread had a core |");
    println!("|---|---|---|");
    let bare = &contestants[0].turns;
    for Contestant { name, turns, .. } in contestants {
        let (of_wall, of_core) = (
            ratio(bare, turns, |turn| turn.wall),
            ratio(bare, turns, |turn| turn.core),
        );
        println!("| {name} | {of_wall} | {of_core} |");
    }
}

/// How many times as many requests one has in the same time, round by round.
fn ratio(bare: &[Turn], turns: &[Turn], time: fn(&Turn) -> Duration) -> String {
    let pairs = bare.iter().zip(turns);
    let mut ratios: Vec<_> = pairs
        .map(|(bare, turn)| time(bare).as_secs_f64() / time(turn).as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let [median, quarter, three_quarters, least, most] =
        [50, 25, 75, 5, 95].map(|percent| ratios[(ratios.len() - 1) * percent / 100]);
    format!("{median:.3} ({quarter:.3} to {three_quarters:.3}; {least:.3} to {most:.3})")
}
