//! A service binding, which calls a different Worker by its name.

use axum::body::Body;
use http::Request;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{FromScope, SessionAffinityLayer};
use worker::{Env, HttpResponse, Result};

/// Sends a prompt to the other Worker. The layer sends the session for any URL, because the binding decides which
/// Worker is called.
pub(crate) async fn ask(env: &Env, prompt: String) -> Result<HttpResponse> {
    let other = env.service("OTHER")?;
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(service_fn(|request: Request<Body>| {
            other.fetch_request(request)
        }));
    client
        .oneshot(Request::post("https://other/rest").body(Body::from(prompt))?)
        .await
}
