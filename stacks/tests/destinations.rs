//! One layer and the table of known providers: each is sent the header that it reads, by every adapter.

use http::{Request, Uri};
use tower_session_affinity::{Destinations, KeyExtractor, SessionAffinityLayer};

use crate::support::{Adapter, Hosts, Server, key};

/// Eight providers, and the header that each reads.
const PROVIDERS: [(&str, &str); 8] = [
    (
        "http://api.cloudflare.com/client/v4/accounts/a/ai/v1/chat/completions",
        "x-session-affinity",
    ),
    (
        "http://api.fireworks.ai/inference/v1/chat/completions",
        "x-session-affinity",
    ),
    (
        "http://openrouter.ai/api/v1/chat/completions",
        "x-session-id",
    ),
    ("http://api.x.ai/v1/chat/completions", "x-grok-conv-id"),
    ("http://api.mistral.ai/v1/chat/completions", "x-affinity"),
    (
        "http://opencode.ai/zen/v1/chat/completions",
        "x-opencode-session",
    ),
    (
        "http://model-7.api.baseten.co/production/predict",
        "x-baseten-session-id",
    ),
    (
        "http://team--chat.modal.run/v1/chat/completions",
        "modal-session-id",
    ),
];

/// URLs that get no header: a host that is not listed, a host and a path that read a body field.
const OTHERS: [&str; 3] = [
    "http://api.example/v1/chat/completions",
    "http://api.openai.com/v1/chat/completions",
    "http://api.x.ai/v1/responses",
];

fn layer() -> SessionAffinityLayer<impl KeyExtractor + Clone + Send + Sync> {
    SessionAffinityLayer::new()
        .or(key("chat-7"))
        .destinations(Destinations::known())
}

/// Starts a server in the place of this URL's host, and returns how to reach it.
async fn stand_in_for(url: &str) -> (Server, Hosts) {
    let server = Server::start().await;
    let host = url.parse::<Uri>().unwrap().host().unwrap().to_owned();
    let hosts = Hosts::new([(host, server.address())]);
    (server, hosts)
}

/// Returns each header of the table that reached the server, in one request, with its value.
fn sent(server: &Server) -> Vec<(&'static str, String)> {
    let arrivals = server.arrivals();
    assert_eq!(arrivals.len(), 1, "requests that arrived");
    let mut names = PROVIDERS.map(|(_, name)| name).to_vec();
    names.dedup();
    let lines = names.into_iter().flat_map(|name| {
        let lines = arrivals[0].lines(&name.parse().unwrap());
        lines.into_iter().map(move |line| (name, line))
    });
    lines.collect()
}

#[tokio::test]
async fn each_provider_is_sent_its_own_header_once() {
    for adapter in Adapter::ALL {
        for (url, name) in PROVIDERS {
            let (server, hosts) = stand_in_for(url).await;
            let request = Request::post(url).body(String::new()).unwrap();
            adapter.send(layer(), &hosts, request).await;
            let expected = [(name, "chat-7".to_owned())];
            assert_eq!(sent(&server), expected, "{adapter:?}, {url}");
        }
    }
}

#[tokio::test]
async fn a_host_or_path_without_a_header_is_sent_none() {
    for adapter in Adapter::ALL {
        for url in OTHERS {
            let (server, hosts) = stand_in_for(url).await;
            let request = Request::post(url).body(String::new()).unwrap();
            adapter.send(layer(), &hosts, request).await;
            assert_eq!(sent(&server), [], "{adapter:?}, {url}");
        }
    }
}

/// The headers are those that a gateway copies from its caller.
#[tokio::test]
async fn a_header_of_one_provider_is_not_sent_to_a_different_one() {
    let everything = |url| {
        let request = PROVIDERS
            .iter()
            .fold(Request::post(url), |request, (_, name)| {
                request.header(*name, format!("theirs-{name}"))
            });
        request.body(String::new()).unwrap()
    };
    for adapter in Adapter::ALL {
        for (url, name) in PROVIDERS {
            let (server, hosts) = stand_in_for(url).await;
            adapter.send(layer(), &hosts, everything(url)).await;
            let expected = [(name, format!("theirs-{name}"))];
            assert_eq!(sent(&server), expected, "{adapter:?}, {url}");
        }
        for url in OTHERS {
            let (server, hosts) = stand_in_for(url).await;
            adapter.send(layer(), &hosts, everything(url)).await;
            assert_eq!(sent(&server), [], "{adapter:?}, {url}");
        }
    }
}
