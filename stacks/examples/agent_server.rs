//! An agent server that keeps each caller's session in every LLM call.
//!
//! `cargo run -p stacks --example agent_server` starts it with a stand-in for
//! the LLM. Three visitors ask at the same time, one of them without a session.
//! The program prints what each was answered, what the LLM received, and the
//! metrics page. It fails if a call carries a wrong key.
//!
//! Copy this file and `agent_server/model.rs`. No handler mentions a key:
//!
//! 1. `AffinityScopeLayer` opens a scope for each request, with the session
//!    that the caller names.
//! 2. Work in a different task or thread takes the scope along, with
//!    `in_current_affinity`, `carry_async` or `carry`.
//! 3. The layer of the client, in `model.rs`, reads the key from the scope.

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
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
// For spawned work, for the layer of the server, for the table of the client.
use tower_session_affinity::{AffinityFutureExt, carry, carry_async};
use tower_session_affinity::{AffinityScopeLayer, FromHeaders, header};
use tower_session_affinity::{Destination, Destinations};

use model::Model;
use stand_in::StandIn;

/// One step of a streamed answer, or the error that ends it.
type Step = model::Result<Event>;

type Answer = Sse<ReceiverStream<Step>>;

type Report = Result<String, StatusCode>;

const STEPS: [&str; 3] = ["Make a plan.", "Carry it out.", "Sum it up."];

/// Returns the server; `model` makes a client for a route.
fn agent_server<M>(model: M, page: PrometheusHandle) -> Router
where
    M: Fn(&'static str) -> Model,
{
    // `header::CALLER_SESSIONS` has the names that known agents use.
    let session = FromHeaders::new([header::X_SESSION_ID]);
    Router::new()
        .route("/agent", post(agent).with_state(model("/agent")))
        .route("/chat", get(chat).with_state(model("/chat")))
        .route("/report", post(report).with_state(model("/report")))
        // Around the routes above. A layer that makes the key from the claims
        // of an authentication goes inside that authentication.
        .layer(AffinityScopeLayer::new().or(session))
        .route("/metrics", get(move || ready(page.render())))
}

/// Streams an answer that a spawned task produces, one event for each step.
async fn agent(State(model): State<Model>, question: String) -> Answer {
    let (steps, body) = channel(1);
    // A spawned task is outside the scope, unless it takes the scope along.
    tokio::spawn(work(model, question, steps).in_current_affinity());
    Sse::new(ReceiverStream::new(body))
}

async fn work(model: Model, question: String, steps: Sender<Step>) {
    let mut talk = model.begin();
    talk.say(&question);
    for step in STEPS {
        talk.say(step);
        let answer = talk.ask().await;
        let answer = answer.map(|text| Event::default().data(text));
        let failed = answer.is_err();
        if steps.send(answer).await.is_err() || failed {
            return;
        }
    }
}

/// Talks over a WebSocket, with the session of its handshake.
async fn chat(State(model): State<Model>, ws: WebSocketUpgrade) -> Response {
    // axum calls this closure in a task of its own, after the handler has
    // returned, so `carry_async` takes the scope here.
    ws.on_upgrade(carry_async(|socket| converse(model, socket)))
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

/// Answers from a blocking task, as for a library that is not asynchronous.
async fn report(State(model): State<Model>, question: String) -> Report {
    let runtime = Handle::current();
    // A thread is outside the scope, unless `carry` takes the scope there.
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
    // Without this, a streamed token can wait until the client has
    // acknowledged the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // On an error it is only slower.
    });
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(authority)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    // In your program: the URL of a provider, and `Destinations::known()`.
    let stand_in = StandIn::new(visit::VISITORS.len());
    let provider = serve(stand_in.router()).await?;
    let name = header::X_SESSION_AFFINITY;
    let row = Destination::header(provider.as_str(), name)?;
    let table = Destinations::new([row]);

    let page = PrometheusBuilder::new().install_recorder()?;
    let model = |route| Model::new(&provider, route, table.clone());
    let agent = serve(agent_server(model, page)).await?;

    visit::check_answers(&agent, &stand_in).await?;
    visit::check_metrics(&agent, &provider).await
}
