//! Spawned tasks, which do not inherit the scope unless they take it along.

use futures_util::{FutureExt, future::join};
use tower_session_affinity::AffinityFutureExt;
use worker::{Context, Env, wasm_bindgen_futures::spawn_local};

use crate::rest;

/// Calls a model in two tasks, and waits for both.
pub(crate) async fn spawn(env: &Env, prompt: &str) {
    let (bare, bare_done) = ask(env, prompt, "bare").remote_handle();
    spawn_local(bare);
    let (taken, taken_done) = ask(env, prompt, "taken along").remote_handle();
    spawn_local(taken.in_current_affinity());
    join(bare_done, taken_done).await;
}

/// Calls a model twice in each of two tasks, which continue after the response.
pub(crate) fn wait_until(env: &Env, context: &Context, prompt: &str) {
    context.wait_until(ask(env, prompt, "bare"));
    context.wait_until(ask(env, prompt, "taken along").in_current_affinity());
}

fn ask(env: &Env, prompt: &str, how: &str) -> impl Future<Output = ()> + use<> {
    let (env, prompt) = (env.clone(), format!("{prompt} {how}"));
    async move {
        for _ in 0..2 {
            if let Err(error) = rest::chat(&env, &prompt).await {
                worker::console_error!("{error}");
            }
        }
    }
}
