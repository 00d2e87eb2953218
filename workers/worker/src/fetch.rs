//! `fetch` as a tower client, with the layer around it.

use axum::body::Body;
use http::Request;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use worker::web_sys::{self, RequestInit, RequestRedirect};
use worker::{Error, Fetch, HttpResponse, Result};

pub(crate) fn client() -> impl Service<Request<Body>, Response = HttpResponse, Error = Error> {
    ServiceBuilder::new()
        // Outside the layer, which then sees the host of each redirect.
        .layer(FollowRedirectLayer::new())
        .layer(crate::session::layer())
        .service(service_fn(fetch))
}

async fn fetch(request: Request<Body>) -> Result<HttpResponse> {
    let request = worker::request_to_wasm(request)?;
    // Otherwise the runtime follows redirects inside the layer and takes the header along. `worker::RequestRedirect`
    // in the extensions has no effect, because `request_to_wasm` looks for a private type of that name.
    let manual = RequestInit::new();
    manual.set_redirect(RequestRedirect::Manual);
    let request = web_sys::Request::new_with_request_and_init(&request, &manual)?;
    Fetch::Request(request.into()).send().await?.try_into()
}
