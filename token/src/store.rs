//! Where tokens are remembered.

use std::sync::Arc;

use crate::{Session, Token};

/// The store of a layer whose type names none.
#[cfg(feature = "memory")]
pub(crate) type DefaultStore = crate::MemoryStore;
/// The store of a layer whose type names none.
#[cfg(not(feature = "memory"))]
pub(crate) type DefaultStore = Arc<dyn TokenStore + Send + Sync>;

/// A memory of tokens, by session.
///
/// The layer reads it before each request and changes it after an answer, on the thread that polls the
/// request. So a store must return at once and not wait for a network: one that several processes share
/// keeps a copy in each of them. It can forget whatever it likes: a session without a token starts anew.
/// It must not call the layer back.
///
/// Which failures make a session forget its token is decided and counted by the layer, so a store only
/// stores. What it is given are copies that pin no read buffer, so it can keep them. The trait is
/// dyn-compatible: `Arc<dyn TokenStore + Send + Sync>` is a store.
///
/// # Examples
///
/// A plain map, which two clients share. It has no bounds and ignores lifetimes, so it suits a known
/// number of sessions and a gateway whose tokens do not expire:
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
    /// Returns the token of this session, if it is remembered and its lifetime has not ended.
    fn get(&self, session: &Session) -> Option<Token>;

    /// Remembers this token for as long as its [`lifetime`](Token::lifetime), and replaces any other.
    fn put(&self, session: &Session, token: Token);

    /// Remembers this token unless there is one already, and returns whether it does.
    ///
    /// The layer calls this instead of [`put`](Self::put) where
    /// [the first token wins](crate::AffinityTokenLayer::first_token_wins). The default reads and then
    /// puts: of two threads that do so at once the later one wins, so override it where that matters.
    fn put_first(&self, session: &Session, token: Token) -> bool {
        let is_first = self.get(session).is_none();
        if is_first {
            self.put(session, token);
        }
        is_first
    }

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

    fn put_first(&self, session: &Session, token: Token) -> bool {
        (**self).put_first(session, token)
    }

    fn forget(&self, session: &Session, token: &Token) {
        (**self).forget(session, token);
    }
}
