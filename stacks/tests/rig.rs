//! rig: a hook of its transport calls `layer.stamp`.

use futures_util::future::join_all;
use http::{Extensions, HeaderMap, Method, Uri};
use rig_core::Model;
use rig_core::completion::Message;
use rig_core::http_client::{DynHttpClient, HttpMiddleware, Result};
use rig_core::providers::openai::OpenAIConfig;
use rig_core::providers::openai::wire::Chat;
use rig_core::wasm_compat::WasmBoxedFuture;
use rig_reqwest::ReqwestClient;
use tower_session_affinity::{FromScope, KeyExtractor, SessionAffinityLayer};

use crate::support::{Llm, key};

/// The wiring: the hook …
struct Affinity<K>(SessionAffinityLayer<K>);

impl<K: KeyExtractor + Send + Sync> HttpMiddleware for Affinity<K> {
    fn before_request_headers<'a>(
        &'a self,
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a mut HeaderMap,
    ) -> WasmBoxedFuture<'a, Result<()>> {
        self.0.stamp(method, uri, headers, &Extensions::new());
        Box::pin(async { Ok(()) })
    }
}

/// … and the transport with it, for every provider of rig.
fn transport(client: reqwest::Client) -> DynHttpClient {
    let affinity = Affinity(SessionAffinityLayer::new().or(FromScope));
    let http = ReqwestClient::from(client);
    DynHttpClient::new(http).with_middleware(affinity)
}

/// A chat of several turns, which knows nothing of keys.
async fn converse(model: &Model<Chat>, name: &str, turns: usize, stream: bool) {
    let mut chat = vec![Message::user(name)];
    for turn in 1..=turns {
        let answer = if stream {
            model.stream(chat.clone()).unwrap().finish().await.unwrap()
        } else {
            model.call(chat.clone()).await.unwrap()
        };
        assert_eq!(answer.text(), format!("answer {turn}"));
        chat.push(answer.message().unwrap());
        chat.push(Message::user("go on"));
    }
}

fn model(llm: &Llm) -> Model<Chat> {
    let config = OpenAIConfig::new("none").with_base_url(llm.base_url());
    config
        .connect(transport(reqwest::Client::new()))
        .chat("stub")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_conversations_carry_one_key_each_through_all_their_turns() {
    for stream in [false, true] {
        let llm = Llm::start(8).await;
        let model = model(&llm);
        let names: Vec<_> = (0..8).map(|n| format!("chat-{n}")).collect();
        let chats = names
            .iter()
            .map(|name| key(name).scope(converse(&model, name, 4, stream)));
        join_all(chats).await;
        llm.assert_one_key_each(&names, 4);
    }
}

#[tokio::test]
async fn a_call_outside_any_scope_carries_no_key() {
    let llm = Llm::start(1).await;
    converse(&model(&llm), "nobody", 1, false).await;
    assert_eq!(llm.server().lines(), [Vec::<String>::new()]);
}

/// A stream sends nothing before it is polled, so it has to be polled in the scope.
#[tokio::test]
async fn a_stream_that_is_polled_outside_the_scope_carries_no_key() {
    let llm = Llm::start(1).await;
    let model = model(&llm);
    let stream = key("chat-7").sync_scope(|| model.stream("prompt").unwrap());
    stream.finish().await.unwrap();
    assert_eq!(llm.server().lines(), [Vec::<String>::new()]);
}
