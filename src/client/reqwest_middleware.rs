//! The layer as a middleware of reqwest-middleware 0.5.

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use super::reqwest::StampableRequest;
use crate::{KeyExtractor, SessionAffinityLayer};

/// A middleware for reqwest-middleware 0.5, which wraps reqwest 0.13 (feature `reqwest-middleware`).
///
/// The feature includes `reqwest` and adds `async-trait`. Requests are built and sent as before:
/// `client.post(…).send()`.
///
/// # Examples
///
/// ```
/// use reqwest_middleware::{ClientBuilder, reqwest::Client};
/// use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let echo = async |headers: http::HeaderMap| format!("{:?}", headers["x-session-affinity"]);
/// # tokio::spawn(axum::serve(listener, axum::Router::new().fallback(echo)).into_future());
/// let client = ClientBuilder::new(Client::new()).with(SessionAffinityLayer::new()).build();
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let response = client.get(url).with_extension(key).send().await?;
/// assert_eq!(response.text().await?, r#""chat-7""#);
/// # Ok(())
/// # }
/// ```
///
/// The extensions are those of `reqwest-middleware`: the layer sees an [`AffinityKey`](crate::AffinityKey) or a
/// [`NoAffinity`](crate::NoAffinity) that is set by `.with_extension(…)`. Every attempt of a retry sends the
/// same key, whether the retries are above or below. Everything else, redirects included, is as around a
/// `reqwest::Client`: see `Service<Request>` of [`SessionAffinity`](crate::SessionAffinity).
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<K> Middleware for SessionAffinityLayer<K>
where
    K: KeyExtractor + Send + Sync + 'static,
{
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let mut stampable = StampableRequest::new(&mut request, extensions);
        self.stamp.stamp(&mut stampable);
        next.run(request, extensions).await
    }
}
