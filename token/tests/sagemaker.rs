//! SageMaker's stateful sessions, as documented: opened on request, named in the response.
//!
//! The server in this file is not SageMaker; it follows the documentation of `InvokeEndpoint` (grade D):
//!
//! - A request with `NEW_SESSION` in `X-Amzn-SageMaker-Session-Id` opens a session. The response has its id in
//!   `X-Amzn-SageMaker-New-Session-Id`, as `ID; Expires=yyyy-mm-ddThh:mm:ssZ`.
//! - A request with the id is sent to the instance of the session. Ids match
//!   `^[a-zA-Z0-9](-*[a-zA-Z0-9])*$` and have at most 256 characters.
//! - A request that the model's container refuses, such as one for a closed session, gets a 424.
//! - The response to a request that closes a session has its id in `X-Amzn-SageMaker-Closed-Session-Id`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::response::Builder;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use replica::Replica;
use tower::{Service, ServiceExt};
use tower_affinity_token::header::{
    X_AMZN_SAGEMAKER_CLOSED_SESSION_ID, X_AMZN_SAGEMAKER_NEW_SESSION_ID,
    X_AMZN_SAGEMAKER_SESSION_ID,
};
use tower_affinity_token::{AffinityTokenLayer, attributes};
use tower_layer::Layer;
use tower_session_affinity::AffinityKey;

#[path = "support/replica.rs"]
mod replica;

/// What a request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    New,
    Session(String),
    Close(String),
    Nothing,
}

/// An endpoint with its open sessions and a record of the requests.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The value of `Expires` in the ids that it issues.
    expires: Option<&'static str>,
    opened: usize,
    open: BTreeSet<String>,
    asked: Vec<Asked>,
}

impl Endpoint {
    fn invoke(&self, request: &Request<Incoming>) -> Builder {
        let mut state = self.0.lock().unwrap();
        let id = request.headers().get(X_AMZN_SAGEMAKER_SESSION_ID);
        let id = id.map(|id| id.to_str().unwrap().to_owned());
        let response = Response::builder();
        let (asked, response) = match id {
            None => (Asked::Nothing, response),
            Some(id) if id == "NEW_SESSION" => {
                state.opened += 1;
                let id = format!("session--{}", state.opened);
                let expires = state.expires.unwrap_or("2999-11-26T16:00:00Z");
                let issued = format!("{id}; Expires={expires}");
                state.open.insert(id);
                (
                    Asked::New,
                    response.header(X_AMZN_SAGEMAKER_NEW_SESSION_ID, issued),
                )
            }
            Some(id) if request.uri().query() == Some("close") => {
                assert!(state.open.remove(&id));
                let response = response.header(X_AMZN_SAGEMAKER_CLOSED_SESSION_ID, &id);
                (Asked::Close(id), response)
            }
            Some(id) => {
                assert!(is_session_id(&id), "{id} is not a session id");
                let is_open = state.open.contains(&id);
                let status = if is_open {
                    StatusCode::OK
                } else {
                    StatusCode::FAILED_DEPENDENCY
                };
                (Asked::Session(id), response.status(status))
            }
        };
        state.asked.push(asked);
        response
    }

    fn close(&self, id: &str) {
        assert!(self.0.lock().unwrap().open.remove(id));
    }

    /// Returns what was asked for since the last call.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

fn is_session_id(id: &str) -> bool {
    let ends = [id.chars().next(), id.chars().last()];
    id.len() <= 256
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && ends
            .iter()
            .all(|end| end.is_some_and(|c| c.is_ascii_alphanumeric()))
}

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(X_AMZN_SAGEMAKER_SESSION_ID)
        .response_header(X_AMZN_SAGEMAKER_NEW_SESSION_ID)
        .token_part(attributes::token)
        .lifetime(attributes::lifetime)
        .closed_header(X_AMZN_SAGEMAKER_CLOSED_SESSION_ID)
        .opening(HeaderValue::from_static("NEW_SESSION"))
        .forget_on(|status| status == StatusCode::FAILED_DEPENDENCY)
}

async fn start(endpoint: &Endpoint) -> Replica {
    let endpoint = endpoint.clone();
    Replica::start(move |_, request| endpoint.invoke(&request)).await
}

async fn invoke<S>(client: &S, address: SocketAddr, key: Option<&'static str>) -> StatusCode
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>> + Clone,
    S::Error: std::fmt::Debug,
{
    invoke_path(client, address, "invocations", key).await
}

async fn invoke_path<S>(
    client: &S,
    address: SocketAddr,
    path: &str,
    key: Option<&'static str>,
) -> StatusCode
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>> + Clone,
    S::Error: std::fmt::Debug,
{
    let uri = format!("http://{address}/endpoints/model/{path}");
    let mut request = Request::post(uri).body(Empty::new()).unwrap();
    if let Some(key) = key {
        request
            .extensions_mut()
            .insert(AffinityKey::from_static(key));
    }
    client.clone().oneshot(request).await.unwrap().status()
}

fn session(number: usize) -> Asked {
    Asked::Session(format!("session--{number}"))
}

#[tokio::test]
async fn each_conversation_opens_one_session_and_stays_in_it() {
    let endpoint = Endpoint::default();
    let server = start(&endpoint).await;
    let client = layer().layer(Client::builder(TokioExecutor::new()).build_http());
    for _turn in 0..3 {
        for key in ["chat-1", "chat-2"] {
            assert_eq!(invoke(&client, server.address, Some(key)).await, 200);
        }
    }
    let expected = [
        Asked::New,
        Asked::New,
        session(1),
        session(2),
        session(1),
        session(2),
    ];
    assert_eq!(endpoint.asked(), expected);
}

#[tokio::test]
async fn after_a_session_was_closed_the_conversation_opens_a_new_one() {
    let endpoint = Endpoint::default();
    let server = start(&endpoint).await;
    let client = layer().layer(Client::builder(TokioExecutor::new()).build_http());
    let turn = async || invoke(&client, server.address, Some("chat-1")).await;
    assert_eq!(turn().await, 200);
    endpoint.close("session--1");
    assert_eq!([turn().await, turn().await, turn().await], [424, 200, 200]);
    let expected = [Asked::New, session(1), Asked::New, session(2)];
    assert_eq!(endpoint.asked(), expected);
}

#[tokio::test]
async fn after_a_client_closes_its_session_no_request_is_refused() {
    let endpoint = Endpoint::default();
    let server = start(&endpoint).await;
    let client = layer().layer(Client::builder(TokioExecutor::new()).build_http());
    for path in ["invocations", "invocations?close", "invocations"] {
        let status = invoke_path(&client, server.address, path, Some("chat-1")).await;
        assert_eq!(status, 200, "{path}");
    }
    let closed = Asked::Close("session--1".to_owned());
    assert_eq!(endpoint.asked(), [Asked::New, closed, Asked::New]);
}

#[tokio::test]
async fn an_expired_id_is_not_sent() {
    let endpoint = Endpoint::default();
    endpoint.0.lock().unwrap().expires = Some("2023-11-26T16:00:00Z");
    let server = start(&endpoint).await;
    let client = layer().layer(Client::builder(TokioExecutor::new()).build_http());
    for _ in 0..2 {
        assert_eq!(invoke(&client, server.address, Some("chat-1")).await, 200);
    }
    assert_eq!(endpoint.asked(), [Asked::New, Asked::New]);
}

#[tokio::test]
async fn a_request_without_a_key_opens_no_session() {
    let endpoint = Endpoint::default();
    let server = start(&endpoint).await;
    let client = layer().layer(Client::builder(TokioExecutor::new()).build_http());
    assert_eq!(invoke(&client, server.address, None).await, 200);
    assert_eq!(endpoint.asked(), [Asked::Nothing]);
}
