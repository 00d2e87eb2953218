//! The body-field layer as a middleware of reqwest-middleware 0.5.

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next, Result};

use super::PromptCacheKeyLayer;
use crate::KeyExtractor;
use crate::client::reqwest::StampableRequest;

/// A middleware for reqwest-middleware 0.5, which wraps reqwest 0.13 (feature `reqwest-middleware`).
///
/// A key in the extensions of `reqwest-middleware` is seen, as with
/// [`SessionAffinityLayer`](crate::SessionAffinityLayer).
///
/// # Examples
///
/// ```
/// use reqwest_middleware::{ClientBuilder, reqwest::Client};
/// use tower_session_affinity::{AffinityKey, Destination, PromptCacheKeyLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/v1/responses", listener.local_addr()?);
/// # let echo = async |body: String| body;
/// # tokio::spawn(axum::serve(listener, axum::Router::new().fallback(echo)).into_future());
/// let local = Destination::body_field("127.0.0.1", "prompt_cache_key")?;
/// let layer = PromptCacheKeyLayer::new().destinations(local.into());
/// let client = ClientBuilder::new(Client::new()).with(layer).build();
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let request = client.post(url).header("content-type", "application/json").body("{}");
/// let response = request.with_extension(key).send().await?;
/// assert_eq!(response.text().await?, r#"{ "prompt_cache_key":"chat-7"}"#);
/// # Ok(())
/// # }
/// ```
///
/// A body in memory stays in memory, so retries may be above or below. A body that streams cannot be sent
/// again, with or without this layer.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<K> Middleware for PromptCacheKeyLayer<K>
where
    K: KeyExtractor + Send + Sync + 'static,
{
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let stamp = &self.settings.stamp;
        stamp.write(&mut StampableRequest::new(&mut request, extensions));
        next.run(request, extensions).await
    }
}
