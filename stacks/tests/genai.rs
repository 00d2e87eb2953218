//! genai: no hook sees a request, so its headers are stamped beside it.

use futures_util::future::join_all;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ServiceTarget};
use http::{Extensions, HeaderMap, Method, Uri};
use tower_session_affinity::{FromScope, KeyExtractor, SessionAffinityLayer};

use crate::support::{Llm, key};

/// The wiring: options for one call, whose headers hold the stamp.
fn options<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, endpoint: &Uri) -> ChatOptions {
    let mut headers = HeaderMap::new();
    layer.stamp(&Method::POST, endpoint, &mut headers, &Extensions::new());
    let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    ChatOptions::default().with_extra_headers(pairs.collect::<Vec<_>>())
}

fn client(llm: &Llm) -> Client {
    let endpoint = Endpoint::from_owned(format!("{}/", llm.base_url()));
    let resolver = ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| {
        Ok(ServiceTarget { endpoint: endpoint.clone(), auth: AuthData::from_single("none"), ..target })
    });
    Client::builder().with_service_target_resolver(resolver).build().unwrap()
}

async fn converse(client: &Client, endpoint: &Uri, name: &str, turns: usize) {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let mut chat = ChatRequest::from_user(name);
    for turn in 1..=turns {
        let options = options(&layer, endpoint);
        let answer = client.exec_chat("gpt-stub", chat.clone(), Some(&options)).await.unwrap();
        let answer = answer.into_first_text().unwrap();
        assert_eq!(answer, format!("answer {turn}"));
        chat = chat.append_message(ChatMessage::assistant(answer));
        chat = chat.append_message(ChatMessage::user("go on"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_conversations_carry_one_key_each_through_all_their_turns() {
    let llm = Llm::start().await;
    let client = client(&llm);
    let endpoint: Uri = llm.base_url().parse().unwrap();
    let names: Vec<_> = (0..8).map(|n| format!("chat-{n}")).collect();
    let chats = names.iter().map(|name| key(name).scope(converse(&client, &endpoint, name, 4)));
    join_all(chats).await;
    llm.assert_one_key_each(&names, 4);
}
