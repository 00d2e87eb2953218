//! An agent server: each inbound session keeps its key through every call to the model.
//!
//! It calls the model from a spawned producer whose channel is the answer, from a WebSocket and from a
//! blocking task, and none of them mentions a key: the server's layer opens a scope, the work that runs
//! elsewhere takes it along, and the client's layer takes the key from it. The program starts a stand-in
//! for the model, serves three visitors at once, one of them without a session, checks what the model
//! received, and prints the metrics.

#[allow(clippy::duplicate_mod, reason = "the tests load both examples")]
#[path = "metrics/labels.rs"]
mod labels;
#[path = "agent_server/model.rs"]
mod model;
#[path = "agent_server/stand_in.rs"]
mod stand_in;
#[path = "agent_server/visit.rs"]
mod visit;

use std::error::Error;
use std::future::ready;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::future::try_join_all;
use futures_util::stream::Stream;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
use tower_session_affinity::{
    AffinityFutureExt, AffinityScopeLayer, Destination, Destinations, FromHeaders, carry,
    carry_async, header,
};

use model::{Model, Result as Answered};
use stand_in::StandIn;

const STEPS: [&str; 3] = ["Make a plan.", "Carry it out.", "Sum it up."];

/// The server: the session that the caller names becomes the scope of whatever answers.
fn agent_server(model: impl Fn(&'static str) -> Model, page: PrometheusHandle) -> Router {
    let session = FromHeaders::new([header::X_SESSION_ID]);
    Router::new()
        .route("/agent", post(agent).with_state(model("/agent")))
        .route("/chat", get(chat).with_state(model("/chat")))
        .route("/report", post(report).with_state(model("/report")))
        .layer(AffinityScopeLayer::new().or(session))
        .route("/metrics", get(move || ready(page.render())))
}

/// A spawned producer: its channel is the body of the answer, an event for each step.
async fn agent(
    State(model): State<Model>,
    question: String,
) -> Sse<impl Stream<Item = Answered<Event>>> {
    let (events, body) = channel(1);
    tokio::spawn(work(model, question, events).in_current_affinity());
    Sse::new(ReceiverStream::new(body))
}

async fn work(model: Model, question: String, events: Sender<Answered<Event>>) {
    let mut talk = model.begin();
    talk.say(&question);
    for step in STEPS {
        talk.say(step);
        let answer = talk.ask().await.map(|text| Event::default().data(text));
        let failed = answer.is_err();
        if events.send(answer).await.is_err() || failed {
            return;
        }
    }
}

/// A WebSocket, which axum serves in a task of its own once the connection is upgraded.
async fn chat(State(model): State<Model>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(carry_async(|socket| converse(model, socket)))
}

async fn converse(model: Model, mut socket: WebSocket) {
    let mut talk = model.begin();
    while let Some(Ok(Message::Text(question))) = socket.recv().await {
        talk.say(&question);
        let Ok(answer) = talk.ask().await else {
            return;
        };
        if socket.send(answer.into()).await.is_err() {
            return;
        }
    }
}

/// A blocking task, as for a library that is not asynchronous.
async fn report(State(model): State<Model>, question: String) -> Result<String, StatusCode> {
    let runtime = Handle::current();
    let write = carry(move || {
        let mut talk = model.begin();
        talk.say(&question);
        runtime.block_on(talk.ask())
    });
    let written = spawn_blocking(write).await.ok().and_then(Result::ok);
    written.ok_or(StatusCode::BAD_GATEWAY)
}

/// Serves a router on a free port, and returns its address.
async fn serve(router: Router) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let authority = listener.local_addr()?.to_string();
    // Else a token of a streamed answer can wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // Without it, it only waits longer.
    });
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(authority)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let visitors = [
        (Some("chat-1"), "Sky?"),
        (Some("chat-2"), "Sea?"),
        (None, "Grass?"),
    ];
    let stand_in = StandIn::new(visitors.len());
    let provider = serve(stand_in.router()).await?;
    let destinations = Destinations::new([Destination::header(
        provider.as_str(),
        header::X_SESSION_AFFINITY,
    )?]);
    let model = |route| Model::new(&provider, route, destinations.clone());
    let page = PrometheusBuilder::new().install_recorder()?;
    let agent = serve(agent_server(model, page)).await?;

    let visits = visitors.map(|(session, question)| visit::all_routes(&agent, session, question));
    let answers = try_join_all(visits).await?;
    for ((session, question), answers) in visitors.into_iter().zip(answers) {
        let received = stand_in.received(question);
        let visitor = session.unwrap_or("no session");
        println!("{visitor}: was answered {answers:?}");
        println!("{visitor}: the model received {received:?}");
        let expected = (1..=6).map(|call| format!("{question} Answer {call}."));
        assert!(answers.into_iter().eq(expected));
        assert_eq!(received, vec![Vec::from_iter(session); 6]);
    }

    let page = visit::metrics(&agent).await?;
    println!("\n{page}");
    // Of the calls of a route two visitors' are sent with a key, and one's without.
    for (route, calls) in [("/agent", 3), ("/chat", 2), ("/report", 1)] {
        for (outcome, sent, count) in [("stamped", true, 2 * calls), ("no_key", false, calls)] {
            let line = format!(
                "session_affinity_requests_total{{route=\"{route}\",host=\"{provider}\",\
                 header=\"x-session-affinity\",outcome=\"{outcome}\",sent=\"{sent}\"}} {count}"
            );
            assert!(page.lines().any(|found| found == line), "{line}");
        }
    }
    assert_eq!(page.matches("session_affinity_requests_total{").count(), 6);
    Ok(())
}
