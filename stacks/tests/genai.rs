//! genai has no hook that sees a request, so `layer.stamp` sets headers that go with each call.

use futures_util::future::join_all;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, Headers, ServiceTarget};
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, Method, Uri};
use tower_session_affinity::{FromScope, KeyExtractor, SessionAffinityLayer};

use crate::support::{Llm, key};

/// The wiring of one call: pass `&ChatOptions::default().with_extra_headers(stamp(…))`.
fn stamp<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, endpoint: &Uri) -> Headers {
    let mut headers = HeaderMap::new();
    layer.stamp(&Method::POST, endpoint, &mut headers, &Extensions::new());
    let pairs = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    pairs.collect::<Vec<_>>().into()
}

/// The wiring of a client: a resolver. Its headers replace genai's own, the credentials included.
fn resolver<K>(layer: SessionAffinityLayer<K>, url: Uri, token: String) -> ServiceTargetResolver
where
    K: KeyExtractor + Clone + Send + Sync + 'static,
{
    ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| {
        let mut headers = stamp(&layer, &url);
        headers.merge((AUTHORIZATION.as_str(), format!("Bearer {token}")));
        let auth = AuthData::RequestOverride {
            url: url.to_string(),
            headers,
        };
        Ok::<_, genai::resolver::Error>(ServiceTarget { auth, ..target })
    })
}

/// A chat of several turns; `options` are those of one call.
async fn converse(client: &Client, name: &str, turns: usize, options: impl Fn() -> ChatOptions) {
    let mut chat = ChatRequest::from_user(name);
    for turn in 1..=turns {
        let answer = client
            .exec_chat("gpt-stub", chat.clone(), Some(&options()))
            .await
            .unwrap();
        let answer = answer.into_first_text().unwrap();
        assert_eq!(answer, format!("answer {turn}"));
        chat = chat.append_message(ChatMessage::assistant(answer));
        chat = chat.append_message(ChatMessage::user("go on"));
    }
}

fn names() -> Vec<String> {
    (0..8).map(|n| format!("chat-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_are_stamped_for_each_call_carry_one_key_a_conversation() {
    let llm = Llm::start(8).await;
    let endpoint: Uri = llm.base_url().parse().unwrap();
    let base = Endpoint::from_owned(format!("{endpoint}/"));
    let client = ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| {
        let auth = AuthData::from_single("none");
        Ok::<_, genai::resolver::Error>(ServiceTarget {
            endpoint: base.clone(),
            auth,
            ..target
        })
    });
    let client = Client::builder()
        .with_service_target_resolver(client)
        .build()
        .unwrap();
    let layer = SessionAffinityLayer::new().or(FromScope);
    let options = || ChatOptions::default().with_extra_headers(stamp(&layer, &endpoint));

    let names = names();
    join_all(
        names
            .iter()
            .map(|name| key(name).scope(converse(&client, name, 4, options))),
    )
    .await;
    llm.assert_one_key_each(&names, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_gives_every_call_the_key_of_its_scope() {
    let llm = Llm::start(8).await;
    let url: Uri = format!("{}/chat/completions", llm.base_url())
        .parse()
        .unwrap();
    let resolver = resolver(
        SessionAffinityLayer::new().or(FromScope),
        url,
        "none".to_owned(),
    );
    let client = Client::builder()
        .with_service_target_resolver(resolver)
        .build()
        .unwrap();

    let names = names();
    let chats = names
        .iter()
        .map(|name| key(name).scope(converse(&client, name, 4, ChatOptions::default)));
    join_all(chats).await;
    llm.assert_one_key_each(&names, 4);
    assert_eq!(
        llm.server().arrivals()[0].headers[AUTHORIZATION],
        "Bearer none"
    );
}
