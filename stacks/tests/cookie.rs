//! A web application whose cookie is the session of its calls.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{
    AffinityScopeLayer, AffinitySecret, FromCookie, FromScope, InvalidCookieName,
    SessionAffinityLayer,
};

use crate::support::{Server, connector};

/// The wiring: the cookie of a login is a credential, so the key is derived from it.
fn app(model: String, secret: AffinitySecret) -> Result<Router, InvalidCookieName> {
    let session = FromCookie::new("sid")?.derived(secret);
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(Client::builder(TokioExecutor::new()).build(connector()));
    let ask = async move || {
        let request = Request::post(model).body(Body::empty());
        let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let answer = client.oneshot(request).await;
        answer.map_err(|_| StatusCode::BAD_GATEWAY)
    };
    Ok(Router::new()
        .fallback(ask)
        .layer(AffinityScopeLayer::new().or(session)))
}

#[tokio::test]
async fn a_login_reaches_the_model_as_a_derived_key_over_http1_and_over_http2() {
    let secret = AffinitySecret::new(&[7; 32]).unwrap();
    let model = Server::start().await;
    let app = app(model.url("/v1/chat"), secret.clone()).unwrap();
    let app = Server::with(app).await;
    for http2 in [false, true] {
        let browser = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build(connector());
        // Over HTTP/2 a browser sends each cookie in a header of its own.
        let request = Request::get(app.url("/"));
        let request = if http2 {
            request
                .header("cookie", "theme=dark")
                .header("cookie", "sid=s3cret")
        } else {
            request.header("cookie", "theme=dark; sid=s3cret")
        };
        let answer = browser.request(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    let key = secret.key_for(["s3cret"]);
    assert_eq!(model.lines(), [[key.as_str()], [key.as_str()]]);
    assert!(!format!("{:?}", model.arrivals()).contains("s3cret"));
}
