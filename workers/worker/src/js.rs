//! Calls of JavaScript for which the crate `worker` has no method.

use serde_json::Value;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{Array, Function, JSON, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{HttpResponse, Result, response_from_wasm, web_sys};

/// Calls a method.
///
/// The arguments cross as text: `serde_wasm_bindgen` makes a `Map` of a JSON object, in which the binding finds
/// no property, so that the model would get `{}`.
pub(crate) fn call(target: &JsValue, method: &str, arguments: &Value) -> Result<JsValue> {
    let arguments: Array = JSON::parse(&arguments.to_string())?.dyn_into()?;
    let method: Function = Reflect::get(target, &method.into())?.dyn_into()?;
    Ok(Reflect::apply(&method, target, &arguments)?)
}

/// Waits for the response that a method has promised.
pub(crate) async fn response(promise: JsValue) -> Result<HttpResponse> {
    let promise: Promise = promise.dyn_into()?;
    response_from_wasm(
        JsFuture::from(promise)
            .await?
            .dyn_into::<web_sys::Response>()?,
    )
}
