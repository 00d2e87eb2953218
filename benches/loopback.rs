//! What the layer takes of a hyper client's throughput over loopback, beside tower-http and a closure; a
//! report, not a gate.
//!
//! `cargo bench --bench loopback`. The clients take turns on one thread, the server's too, so that whatever
//! else the machine does hits all of them. Each round gives one ratio a client to the bare one of the same
//! round: of the time that passed, and of the time that the thread had a core for.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::util::{BoxService, MapRequestLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_session_affinity::{SessionAffinityLayer, header::X_SESSION_AFFINITY};

#[path = "shared/clock.rs"]
mod clock;
mod shared;
use clock::Clock;

const ROUNDS: u32 = 401;
const REQUESTS_A_TURN: u32 = 200;

type BoxError = Box<dyn Error + Send + Sync>;
type Body = Empty<Bytes>;

/// A client, and what each of its turns took.
struct Contestant {
    name: &'static str,
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
    // `cargo test --benches` asks only whether it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = Uri::try_from(format!("http://{}/", listener.local_addr()?))?;
    let mut server = JoinSet::new();
    server.spawn(serve(listener));

    let mut contestants = contestants();
    for Contestant { client, .. } in &mut contestants {
        turn(client, &uri).await?;
    }
    for round in 0..ROUNDS as usize {
        for place in 0..contestants.len() {
            // Each is as often the first of a round as the others are.
            let next = (round + place) % contestants.len();
            let Contestant { client, turns, .. } = &mut contestants[next];
            turns.push(turn(client, &uri).await?);
        }
    }
    report(&contestants);
    Ok(())
}

fn contestants() -> Vec<Contestant> {
    // A name that the compiler does not know, and a value made at run time, as ours is.
    let name = || black_box(X_SESSION_AFFINITY);
    let value = || HeaderValue::from(shared::key());
    let by_hand = MapRequestLayer::new({
        let (name, value) = (name(), value());
        move |mut request: Request<Body>| {
            request.headers_mut().insert(name.clone(), value.clone());
            request
        }
    });
    vec![
        contestant("no layer", tower::layer::util::Identity::new()),
        contestant(
            "this layer, a fixed key",
            SessionAffinityLayer::new().or(shared::key()),
        ),
        contestant(
            "tower-http `if_not_present`",
            SetRequestHeaderLayer::if_not_present(name(), value()),
        ),
        contestant("a closure that inserts", by_hand),
    ]
}

fn contestant<L, S>(name: &'static str, layer: L) -> Contestant
where
    L: Layer<Client<HttpConnector, Body>, Service = S>,
    S: Service<Request<Body>, Response = Response<Incoming>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = ServiceBuilder::new()
        .map_err(Into::into)
        .layer(layer)
        .service(client);
    Contestant {
        name,
        client: BoxService::new(client),
        turns: Vec::new(),
    }
}

/// Sends one request after the other and returns the time that they took.
async fn turn<S>(client: &mut S, uri: &Uri) -> Result<Turn, BoxError>
where
    S: Service<Request<Body>, Response = Response<Incoming>, Error = BoxError>,
{
    let (started, clock) = (Instant::now(), Clock::start());
    for _ in 0..REQUESTS_A_TURN {
        let response = client.ready().await?.call(request(uri)).await?;
        response.into_body().collect().await?;
    }
    Ok(Turn {
        wall: started.elapsed(),
        core: clock.elapsed(),
    })
}

fn request(uri: &Uri) -> Request<Body> {
    let (mut parts, ()) = shared::request(5).into_parts();
    parts.uri = uri.clone();
    Request::from_parts(parts, Empty::new())
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

fn report(contestants: &[Contestant]) {
    println!(
        "{ROUNDS} rounds of {REQUESTS_A_TURN} requests each; with / without: median (quartiles; 5 % to 95 %)\n"
    );
    println!("| | requests a second | by wall clock | by the time that the thread had a core |");
    println!("|---|---|---|---|");
    let bare = &contestants[0].turns;
    for Contestant { name, turns, .. } in contestants {
        let wall: Duration = turns.iter().map(|turn| turn.wall).sum();
        let rate = f64::from(REQUESTS_A_TURN * ROUNDS) / wall.as_secs_f64();
        let (of_wall, of_core) = (
            ratio(bare, turns, |turn| turn.wall),
            ratio(bare, turns, |turn| turn.core),
        );
        println!("| {name} | {rate:.0} | {of_wall} | {of_core} |");
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
