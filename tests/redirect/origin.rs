//! Servers that redirect and record what they receive.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header::LOCATION};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::{BoxError, Service, ServiceExt};
use tower_session_affinity::header;

use crate::{Outgoing, Received, Result};

/// A server that redirects, fails or answers, depending on the path, and records what it receives.
pub(crate) struct Origin {
    pub(crate) authority: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// Stops when the origin is dropped.
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Notes {
    received: Arc<Mutex<Vec<Received>>>,
    other: String,
    two_attempts: Arc<Barrier>,
}

impl Origin {
    /// Starts an origin whose redirects go to `other`.
    async fn start(other: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let received = Arc::default();
        let notes = Notes {
            received: Arc::clone(&received),
            other: format!("http://{other}/"),
            two_attempts: Arc::new(Barrier::new(2)),
        };
        let mut server = JoinSet::new();
        let router = Router::new().fallback(answer).with_state(notes);
        server.spawn(async {
            axum::serve(listener, router)
                .await
                .expect("serving never ends");
        });
        Ok(Self {
            authority,
            received,
            _server: server,
        })
    }

    pub(crate) fn uri(&self, path: &str) -> Result<Uri> {
        Ok(format!("http://{}{path}", self.authority).parse()?)
    }

    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().expect("no panic while locked"))
    }
}

async fn answer(State(notes): State<Notes>, uri: Uri, headers: HeaderMap) -> Response {
    let values = headers.get_all(header::X_SESSION_AFFINITY).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    notes
        .received
        .lock()
        .expect("no panic while locked")
        .push(values.collect());
    match uri.path() {
        "/other" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, notes.other)]).into_response(),
        "/same" => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/")]).into_response(),
        "/busy" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/slow" => {
            // Answers neither attempt before both have arrived.
            notes.two_attempts.wait().await;
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

pub(crate) fn client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) async fn exchange<S, B>(service: S, request: Outgoing) -> Result<()>
where
    S: Service<Outgoing, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
{
    service.oneshot(request).await.map_err(Into::into)?;
    Ok(())
}

pub(crate) async fn origins() -> Result<(Origin, Origin)> {
    let second = Origin::start("nowhere.invalid").await?;
    Ok((Origin::start(&second.authority).await?, second))
}
