//! The body-field service around a client of reqwest 0.13.

use std::task::{Context, Poll};

use http::Extensions;
use reqwest::{Body, Request};
use tower_service::Service;

#[cfg(not(target_arch = "wasm32"))]
use super::FieldBody;
use super::PromptCacheKey;
use super::decision::lengthen;
#[cfg(not(target_arch = "wasm32"))]
use super::edit::Edit;
use super::edit::insert;
use super::member::Member;
#[cfg(not(target_arch = "wasm32"))]
use super::report::Report;
use crate::client::reqwest::StampableRequest;
use crate::outcome::Carrier;
use crate::stamp::{Stamp, Stampable};
use crate::{KeyExtractor, Outcome};

/// Wraps a [`reqwest::Client`] of reqwest 0.13, or a service around one (feature `reqwest`).
///
/// As with [`SessionAffinity`](crate::SessionAffinity), a key in the extensions of a reqwest request is not
/// seen.
///
/// # Examples
///
/// ```
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_session_affinity::{AffinityKey, Destination, PromptCacheKeyLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/v1/responses", listener.local_addr()?);
/// # let echo = async |body: String| body;
/// # tokio::spawn(axum::serve(listener, axum::Router::new().fallback(echo)).into_future());
/// let local = Destination::body_field("127.0.0.1", "prompt_cache_key")?;
/// let layer = PromptCacheKeyLayer::new()
///     .or(AffinityKey::from_static("chat-7"))
///     .destinations(local.into());
/// let http = reqwest::Client::new();
/// let client = ServiceBuilder::new().layer(layer).service(http.clone());
///
/// let request = http.post(url).header("content-type", "application/json");
/// let response = client.oneshot(request.body(r#"{"model":"gpt-5"}"#).build()?).await?;
/// assert_eq!(response.text().await?, r#"{"model":"gpt-5","prompt_cache_key":"chat-7"}"#);
/// # Ok(())
/// # }
/// ```
///
/// A body in memory stays in memory, so retries and redirects can send it again. It is copied once if the
/// member is written. A body that streams is wrapped in a [`FieldBody`](crate::FieldBody).
impl<S, K> Service<Request> for PromptCacheKey<S, K>
where
    S: Service<Request>,
    K: KeyExtractor,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let hidden = Extensions::new();
        self.stamp
            .write(&mut StampableRequest::new(&mut request, &hidden));
        self.inner.call(request)
    }
}

impl<K: KeyExtractor> Stamp<K> {
    /// Writes into a body in memory, and wraps one that streams.
    pub(super) fn write(&self, request: &mut StampableRequest<'_>) {
        let text = request.request.body().map(Body::as_bytes);
        let is_empty = text.is_none_or(|text| text == Some(b""));
        let Some(member) = self.admit(request, is_empty) else {
            return;
        };
        let Some(text) = request.request.body().and_then(Body::as_bytes) else {
            return self.stream(request, member);
        };
        let outcome = match insert(&member, text) {
            Ok(text) => {
                *request.request.body_mut() = Some(text.into());
                lengthen(request.headers_mut(), &member);
                Outcome::Stamped
            }
            Err(outcome) => outcome,
        };
        let carrier = Carrier::Field(member.field());
        self.settings.tell(outcome, carrier, request.head());
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn stream(&self, request: &mut StampableRequest<'_>, member: Member) {
        lengthen(request.headers_mut(), &member);
        let report = Report::new(&self.settings, request.head());
        let body = request.request.body_mut();
        let wrap = |body| Body::wrap(FieldBody::new(body, Edit::new(member, report)));
        *body = body.take().map(wrap);
    }

    /// In a browser every body but a form is in memory, and a form is not JSON.
    #[cfg(target_arch = "wasm32")]
    #[expect(clippy::unused_self, reason = "it is used on other targets")]
    fn stream(&self, _: &mut StampableRequest<'_>, _: Member) {}
}
