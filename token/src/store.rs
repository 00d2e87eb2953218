//! Where tokens are remembered.

use std::sync::Arc;

use crate::{Session, Token};

/// A memory of tokens, by session.
///
/// The layer asks it before each request and tells it after each answer, on the thread that polls the
/// request. So a store must answer at once and not wait for a network: one that several processes share
/// keeps a copy in each of them, or lies in memory that they share. It can forget whatever it likes: a
/// session without a token starts anew.
///
/// What it is given is a copy of its own, so it can keep it. The trait is dyn-compatible:
/// `Arc<dyn TokenStore + Send + Sync>` is a store.
///
/// # Examples
///
/// A plain map, which two clients share. It has no bound, so it suits a known number of sessions:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_affinity_token::{AffinityTokenLayer, Session, Token, TokenStore, header};
/// use tower_session_affinity::AffinityKey;
///
/// #[derive(Default)]
/// struct PlainMap(Mutex<HashMap<Session, Token>>);
///
/// impl TokenStore for PlainMap {
///     fn get(&self, session: &Session) -> Option<Token> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
///     }
///
///     fn put(&self, session: &Session, token: Token) {
///         let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         map.insert(session.clone(), token);
///     }
///
///     fn forget(&self, session: &Session, token: &Token) {
///         let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         if map.get(session) == Some(token) {
///             map.remove(session);
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway = service_fn(async |request: Request<()>| {
///     let echoed = request.headers().get("x-session-token").cloned();
///     Response::builder().header("x-session-token", "replica-3").body(echoed)
/// });
/// let shared = Arc::new(PlainMap::default());
/// let layer = || AffinityTokenLayer::new(header::X_SESSION_TOKEN).store(shared.clone());
/// let one = ServiceBuilder::new().layer(layer()).service(gateway);
/// let other = ServiceBuilder::new().layer(layer()).service(gateway);
///
/// let key = AffinityKey::from_static("chat-7");
/// let turn = || Request::get("https://api.example/v1/chat").extension(key.clone()).body(());
/// assert_eq!(one.oneshot(turn()?).await?.into_body(), None);
/// assert_eq!(other.oneshot(turn()?).await?.into_body().unwrap(), "replica-3");
/// # Ok(())
/// # }
/// ```
pub trait TokenStore {
    /// Returns the token of this session, if it is remembered.
    fn get(&self, session: &Session) -> Option<Token>;

    /// Remembers this token, in the place of another.
    fn put(&self, session: &Session, token: Token);

    /// Forgets this token, and no other that came in its place meanwhile.
    fn forget(&self, session: &Session, token: &Token);
}

impl<St: TokenStore + ?Sized> TokenStore for Arc<St> {
    fn get(&self, session: &Session) -> Option<Token> {
        (**self).get(session)
    }

    fn put(&self, session: &Session, token: Token) {
        (**self).put(session, token);
    }

    fn forget(&self, session: &Session, token: &Token) {
        (**self).forget(session, token);
    }
}
