//! async-openai with its `middleware` feature: a conversation's key comes from the scope.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::{HttpRequestFactory, retry::OpenAIRetryLayer};
use async_openai::types::chat::{
    ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
    ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
};
use axum::Json;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{FromScope, SessionAffinityLayer};

use crate::support::{Llm, Server, completion, key};

/// The wiring: every call inside `key.scope(…)` carries that key, and so does every retry.
fn client(config: OpenAIConfig) -> Client<OpenAIConfig> {
    let http = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(reqwest::Client::new());
    let send = service_fn(move |factory: HttpRequestFactory| {
        let http = http.clone();
        async move {
            let request = factory.build().await?;
            Ok::<_, OpenAIError>(http.oneshot(request).await?)
        }
    });
    let send = ServiceBuilder::new()
        .layer(OpenAIRetryLayer::default())
        .service(send);
    Client::with_config(config).with_http_service(send)
}

/// A chat of several turns, which knows nothing of keys.
async fn converse(client: &Client<OpenAIConfig>, name: &str, turns: usize, stream: bool) {
    let mut chat = vec![ChatCompletionRequestUserMessage::from(name).into()];
    for turn in 1..=turns {
        let answer = if stream {
            ask_streaming(client, chat.clone()).await
        } else {
            ask(client, chat.clone()).await
        };
        assert_eq!(answer, format!("answer {turn}"));
        chat.push(ChatCompletionRequestAssistantMessage::from(answer.as_str()).into());
        chat.push(ChatCompletionRequestUserMessage::from("go on").into());
    }
}

async fn ask(client: &Client<OpenAIConfig>, messages: Vec<ChatCompletionRequestMessage>) -> String {
    let answer = client.chat().create(prompt(messages)).await.unwrap();
    answer.choices[0].message.content.clone().unwrap()
}

async fn ask_streaming(
    client: &Client<OpenAIConfig>,
    messages: Vec<ChatCompletionRequestMessage>,
) -> String {
    let chunks = client.chat().create_stream(prompt(messages)).await.unwrap();
    let words = chunks.filter_map(async |chunk| chunk.unwrap().choices[0].delta.content.clone());
    words.collect().await
}

fn prompt(messages: Vec<ChatCompletionRequestMessage>) -> CreateChatCompletionRequest {
    CreateChatCompletionRequest {
        model: "stub".to_owned(),
        messages,
        ..Default::default()
    }
}

fn config(base_url: String) -> OpenAIConfig {
    OpenAIConfig::new()
        .with_api_base(base_url)
        .with_api_key("none")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_conversations_carry_one_key_each_through_all_their_turns() {
    for stream in [false, true] {
        let llm = Llm::start(8).await;
        let client = client(config(llm.base_url()));
        let names: Vec<_> = (0..8).map(|n| format!("chat-{n}")).collect();
        let chats = names
            .iter()
            .map(|name| key(name).scope(converse(&client, name, 4, stream)));
        join_all(chats).await;
        llm.assert_one_key_each(&names, 4);
    }
}

#[tokio::test]
async fn a_call_outside_any_scope_carries_no_key() {
    let llm = Llm::start(1).await;
    converse(&client(config(llm.base_url())), "nobody", 1, false).await;
    assert_eq!(llm.server().lines(), [Vec::<String>::new()]);
}

#[tokio::test]
async fn every_retry_carries_the_key_once() {
    let server = Server::unavailable_then(Json(completion("answer 1"))).await;
    let client = client(config(server.url("/v1")));
    key("chat-7")
        .scope(converse(&client, "chat-7", 1, false))
        .await;
    assert_eq!(server.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);
}
