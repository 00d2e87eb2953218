//! A Worker that forwards requests. Its features select how much of the crate it uses, and `../sizes` measures it.
#![cfg_attr(
    not(feature = "hmac"),
    expect(
        clippy::unnecessary_wraps,
        unused_variables,
        reason = "only the variant with a secret reads `env` and can fail"
    )
)]

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
};
use http::Response;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
#[cfg(feature = "layer")]
use tower_session_affinity as affinity;
use worker::{Context, Env, Error, Fetch, HttpRequest, HttpResponse, Result, event};

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _: Context) -> Result<Response<Body>> {
    let app = Router::new().fallback(forward).with_state(env);
    #[cfg(feature = "scope")]
    let app = app.layer(affinity::AffinityScopeLayer::new().or(sessions()));
    Ok({ app }.call(request).await?)
}

#[worker::send]
async fn forward(State(env): State<Env>, request: Request) -> Result<HttpResponse, String> {
    let fetch = service_fn(async |request: Request| {
        Fetch::Request(request.try_into()?).send().await?.try_into()
    });
    let client = layer(&env).map(|layer| ServiceBuilder::new().layer(layer).service(fetch));
    let answer = async { client?.oneshot(request).await };
    answer.await.map_err(|error: Error| error.to_string())
}

#[cfg(not(feature = "layer"))]
fn layer(env: &Env) -> Result<tower::layer::util::Identity> {
    Ok(tower::layer::util::Identity::new())
}

#[cfg(feature = "layer")]
fn layer(env: &Env) -> Result<affinity::SessionAffinityLayer<impl affinity::KeyExtractor + Clone>> {
    let layer = affinity::SessionAffinityLayer::new();
    #[cfg(not(feature = "scope"))]
    let layer = layer.or(sessions());
    #[cfg(feature = "scope")]
    let layer = layer.or(affinity::FromScope);
    #[cfg(feature = "destinations")]
    let layer = layer.destinations(affinity::Destinations::known());
    #[cfg(feature = "hmac")]
    let layer = layer.derive_per_host(secret(env)?);
    Ok(layer)
}

#[cfg(feature = "layer")]
fn sessions() -> affinity::FromHeaders {
    affinity::FromHeaders::new([affinity::header::X_SESSION_ID])
}

#[cfg(feature = "hmac")]
fn secret(env: &Env) -> Result<affinity::AffinitySecret> {
    let text = env.secret("SECRET")?.to_string();
    affinity::AffinitySecret::from_base64(&text).map_err(|error| error.to_string().into())
}
