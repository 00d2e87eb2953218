//! A chat as a Durable Object. Its id is its session, no matter who calls it.

use http::HeaderMap;
use serde_json::json;
use tower_session_affinity::AffinityKey;
use worker::{
    DurableObject, Env, Error, HttpResponse, Request, Response, Result, State, durable_object,
    wasm_bindgen,
};

use crate::ai;

#[durable_object(alarm)]
pub struct Chat {
    state: State,
    env: Env,
}

impl DurableObject for Chat {
    fn new(state: State, env: Env) -> Self {
        Self { state, env }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        if request.path() == "/later" {
            self.state.storage().set_alarm(0).await?;
            return Response::ok("later");
        }
        let prompt = request.text().await?;
        self.key()?.scope(self.ask(&prompt)).await
    }

    /// An alarm does not have a caller, and still sends the same session.
    async fn alarm(&self) -> Result<Response> {
        self.key()?.scope(self.ask("alarm")).await
    }
}

impl Chat {
    /// Returns the object's id, which is 64 hexadecimal digits.
    fn key(&self) -> Result<AffinityKey> {
        let id = self.state.id().to_string();
        id.parse()
            .map_err(|error| Error::RustError(format!("{error}")))
    }

    async fn ask(&self, prompt: &str) -> Result<Response> {
        let input = json!({ "prompt": prompt });
        ai::run(&self.env, input, HeaderMap::new())
            .await?
            .try_into()
    }
}

/// Sends a prompt to the chat with this name.
pub(crate) async fn ask(env: &Env, name: &str, path: &str, prompt: &str) -> Result<HttpResponse> {
    let chat = env.durable_object("CHAT")?.get_by_name(name)?;
    let request = http::Request::post(format!("https://chat/{path}")).body(prompt.to_owned())?;
    chat.fetch_with_request(request.try_into()?)
        .await?
        .try_into()
}
