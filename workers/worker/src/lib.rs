//! A Rust Worker whose calls to models carry its caller's session.
//!
//! `routes` opens the scope. Each of these modules is one kind of call, to be copied: `rest` (over `fetch`),
//! `service`, `ai`, `gateway`, `chat` (a Durable Object) and `tasks`.

mod ai;
mod chat;
mod fetch;
mod gateway;
mod js;
mod rest;
mod routes;
mod service;
mod session;
mod tasks;

use axum::body::Body;
use tower::Service;
use worker::{Context, Env, HttpRequest, Result, event};

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> Result<http::Response<Body>> {
    Ok(routes::app(env, context).call(request).await?)
}
