//! A service binding: the other Worker, by its name.

use axum::body::Body;
use http::Request;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{FromScope, SessionAffinityLayer};
use worker::{Env, HttpResponse, Result};

/// Asks the other Worker. The session goes whatever the URL says: the binding decides who is called.
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
