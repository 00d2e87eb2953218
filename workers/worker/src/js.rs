//! Calls JavaScript methods that the crate `worker` does not have.

use serde_json::Value;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{Array, Function, JSON, Promise, Reflect};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{HttpResponse, Result, response_from_wasm, web_sys};

/// Calls a method.
///
/// Passes the arguments as JSON text: `serde_wasm_bindgen` turns a JSON object into a `Map`, in which the binding does
/// not find any property, so the model would get `{}`.
pub(crate) fn call(target: &JsValue, method: &str, arguments: &Value) -> Result<JsValue> {
    let arguments: Array = JSON::parse(&arguments.to_string())?.dyn_into()?;
    let method: Function = Reflect::get(target, &method.into())?.dyn_into()?;
    Ok(Reflect::apply(&method, target, &arguments)?)
}

/// Waits for the response of a method that returns a promise.
pub(crate) async fn response(promise: JsValue) -> Result<HttpResponse> {
    let promise: Promise = promise.dyn_into()?;
    response_from_wasm(
        JsFuture::from(promise)
            .await?
            .dyn_into::<web_sys::Response>()?,
    )
}
