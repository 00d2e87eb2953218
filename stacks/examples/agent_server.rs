//! An agent server: each inbound session keeps its key through every call to the model.
//!
//! The handler asks the model three times while its answer is already streaming, and mentions no key:
//! the server's layer opens a scope, and the client's layer takes the key from it. The program starts
//! a stand-in for the model, serves three sessions at once, and checks what the model received.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::future::try_join_all;
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityScopeLayer, FromHeaders, FromScope, SessionAffinityLayer, header,
};

const STEPS: [&str; 3] = ["Make a plan.", "Carry it out.", "Sum it up."];

/// The server: the session that the caller names becomes the scope of whatever answers.
fn agent_server(model: Client<OpenAIConfig>) -> Router {
    let session = FromHeaders::new([header::X_SESSION_ID]);
    Router::new()
        .route("/agent", post(agent))
        .with_state(model)
        .layer(AffinityScopeLayer::new().or(session))
}

/// The client: every call takes the key of the scope that it is made in.
fn model(config: OpenAIConfig) -> Client<OpenAIConfig> {
    let http = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(reqwest::Client::new());
    Client::with_config(config).with_http_service(service_fn(move |factory: HttpRequestFactory| {
        let http = http.clone();
        async move { Ok::<_, OpenAIError>(http.oneshot(factory.build().await?).await?) }
    }))
}

/// The handler: one event for each step, and no word about keys.
async fn agent(
    State(model): State<Client<OpenAIConfig>>,
    question: String,
) -> Sse<impl Stream<Item = Result<Event, OpenAIError>>> {
    let chat = vec![user(&question)];
    let steps = stream::try_unfold(
        (model, chat, STEPS.iter()),
        async |(model, mut chat, mut steps)| {
            let Some(&step) = steps.next() else {
                return Ok(None);
            };
            chat.push(user(step));
            let answer = ask(&model, chat.clone()).await?;
            chat.push(ChatCompletionRequestAssistantMessage::from(answer.as_str()).into());
            Ok(Some((Event::default().data(answer), (model, chat, steps))))
        },
    );
    Sse::new(steps)
}

async fn ask(
    model: &Client<OpenAIConfig>,
    messages: Vec<ChatCompletionRequestMessage>,
) -> Result<String, OpenAIError> {
    let prompt = CreateChatCompletionRequest {
        model: "stub".to_owned(),
        messages,
        ..Default::default()
    };
    let answer = model.chat().create(prompt).await?;
    let choice = answer.choices.into_iter().next();
    Ok(choice
        .and_then(|choice| choice.message.content)
        .unwrap_or_default())
}

fn user(text: &str) -> ChatCompletionRequestMessage {
    ChatCompletionRequestUserMessage::from(text).into()
}

/// A model that answers nothing before every session has asked.
#[derive(Clone)]
struct StandIn {
    everybody: Arc<Barrier>,
    /// Of each question, the header lines of every call.
    received: Received,
}

type Received = Arc<Mutex<BTreeMap<String, Vec<Vec<HeaderValue>>>>>;

async fn complete(
    State(model): State<StandIn>,
    headers: HeaderMap,
    Json(prompt): Json<Value>,
) -> Json<Value> {
    let question = prompt["messages"][0]["content"]
        .as_str()
        .unwrap_or_default();
    let lines = headers
        .get_all(header::X_SESSION_AFFINITY)
        .iter()
        .cloned()
        .collect();
    let step = {
        let mut received = model.received.lock().expect("nothing panics with it");
        let calls = received.entry(question.to_owned()).or_default();
        calls.push(lines);
        calls.len()
    };
    model.everybody.wait().await;
    let message = json!({ "role": "assistant", "content": format!("{question} Step {step}.") });
    Json(json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "stub",
        "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }],
    }))
}

async fn serve(router: Router) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // Else a token of a streamed answer can wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // Without it, it only waits longer.
    });
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(url)
}

async fn visit(agent: &str, session: &str, question: &str) -> reqwest::Result<String> {
    let request = reqwest::Client::new().post(format!("{agent}/agent"));
    let request = request
        .header("x-session-id", session)
        .body(question.to_owned());
    request.send().await?.text().await
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let sessions = [("chat-1", "Sky?"), ("chat-2", "Sea?"), ("chat-3", "Grass?")];
    let everybody = Arc::new(Barrier::new(sessions.len()));
    let received = Received::default();
    let stand_in = StandIn {
        everybody,
        received: Arc::clone(&received),
    };
    let stand_in = Router::new()
        .route("/chat/completions", post(complete))
        .with_state(stand_in);

    let config = OpenAIConfig::new()
        .with_api_base(serve(stand_in).await?)
        .with_api_key("none");
    let agent = serve(agent_server(model(config))).await?;
    let visits = sessions.map(|(session, question)| visit(&agent, session, question));
    let answers = try_join_all(visits).await?;

    let received = received.lock().expect("nothing panics with it");
    for ((session, question), answer) in sessions.into_iter().zip(answers) {
        let events: Vec<_> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        println!("{session}: was answered {events:?}");
        println!("{session}: the model received {:?}", received[question]);
        assert_eq!(
            events,
            [1, 2, 3].map(|step| format!("{question} Step {step}."))
        );
        assert_eq!(received[question], vec![vec![session]; STEPS.len()]);
    }
    Ok(())
}
