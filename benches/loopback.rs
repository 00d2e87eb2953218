//! How much of a hyper client's throughput over loopback the layer takes; a report, not a gate.
//!
//! `cargo bench --bench loopback`. Two clients of one server, one with the layer and one without, take
//! turns on one thread, the server's too, so that whatever else the machine does hits both. Each pair of
//! turns gives one ratio of requests a second that the thread has a core for.

use std::env;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_session_affinity::SessionAffinityLayer;

#[path = "shared/clock.rs"]
mod clock;
mod shared;
use clock::Clock;

const PAIRS: u32 = 401;
const REQUESTS_A_TURN: u32 = 200;

type BoxError = Box<dyn Error + Send + Sync>;

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

    let client = || Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut bare = client();
    let mut layered = SessionAffinityLayer::new()
        .or(shared::key())
        .layer(client());
    turn(&mut bare, &uri).await?;
    turn(&mut layered, &uri).await?;

    let mut ratios = Vec::new();
    let (mut without, mut with) = (Duration::ZERO, Duration::ZERO);
    for pair in 0..PAIRS {
        // Neither is always the one that comes first.
        let (bare, layered) = if pair % 2 == 0 {
            let bare = turn(&mut bare, &uri).await?;
            (bare, turn(&mut layered, &uri).await?)
        } else {
            let layered = turn(&mut layered, &uri).await?;
            (turn(&mut bare, &uri).await?, layered)
        };
        without += bare;
        with += layered;
        ratios.push(bare.as_secs_f64() / layered.as_secs_f64());
    }
    report(&mut ratios, without, with);
    Ok(())
}

/// Sends one request after the other and returns the time that they took.
async fn turn<S>(client: &mut S, uri: &Uri) -> Result<Duration, BoxError>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>>,
    S::Error: Into<BoxError>,
{
    let clock = Clock::start();
    for _ in 0..REQUESTS_A_TURN {
        let request = request(uri);
        let client = client.ready().await.map_err(Into::into)?;
        let response = client.call(request).await.map_err(Into::into)?;
        response.into_body().collect().await?;
    }
    Ok(clock.elapsed())
}

fn request(uri: &Uri) -> Request<Empty<Bytes>> {
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

fn report(ratios: &mut [f64], without: Duration, with: Duration) {
    ratios.sort_by(f64::total_cmp);
    let at = |percent: usize| ratios[(ratios.len() - 1) * percent / 100];
    let requests = f64::from(REQUESTS_A_TURN * PAIRS);
    println!(
        "| hyper over loopback, {PAIRS} pairs of {REQUESTS_A_TURN} requests | requests a second of a core |"
    );
    println!("|---|---|");
    println!(
        "| without the layer | {:.0} |",
        requests / without.as_secs_f64()
    );
    println!(
        "| with a fixed key | {:.0} |",
        requests / with.as_secs_f64()
    );
    println!(
        "\nwith / without, each pair: median {:.3}, quartiles {:.3} to {:.3}, 5 % to 95 % {:.3} to {:.3}",
        at(50),
        at(25),
        at(75),
        at(5),
        at(95)
    );
}
