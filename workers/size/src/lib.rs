//! A Worker that hands requests on, with as much of the crate as its features say: what is weighed.

use axum::{Router, body::Body, extract::Request};
use http::StatusCode;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
#[cfg(feature = "layer")]
use tower_session_affinity as affinity;
use worker::{Context, Env, Fetch, HttpRequest, HttpResponse, Result, event};

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, _: Context) -> Result<http::Response<Body>> {
    let app = Router::new().fallback(async |request| hand_on(env, request).await);
    #[cfg(feature = "scope")]
    let app = app.layer(affinity::AffinityScopeLayer::new().or(sessions()));
    Ok({ app }.call(request).await?)
}

#[cfg(feature = "layer")]
fn sessions() -> affinity::FromHeaders {
    affinity::FromHeaders::new([affinity::header::X_SESSION_ID])
}

#[worker::send]
async fn hand_on(env: Env, request: Request) -> Result<HttpResponse, StatusCode> {
    let client = ServiceBuilder::new();
    #[cfg(all(feature = "layer", not(feature = "scope")))]
    let client = client.layer(affinity::SessionAffinityLayer::new().or(sessions()));
    #[cfg(all(feature = "scope", not(feature = "hmac")))]
    let client = client.layer(affinity::SessionAffinityLayer::new().or(affinity::FromScope));
    let client = client.service(service_fn(async |request: Request| {
        Fetch::Request(request.try_into()?).send().await?.try_into()
    }));
    client
        .oneshot(request)
        .await
        .map_err(|_: worker::Error| StatusCode::BAD_GATEWAY)
}
