//! Where tokens are remembered.

use std::sync::Arc;

use crate::{Session, Token};

/// The store of a layer whose type does not name one.
#[cfg(feature = "memory")]
pub(crate) type DefaultStore = crate::MemoryStore;
/// The store of a layer whose type does not name one.
#[cfg(not(feature = "memory"))]
pub(crate) type DefaultStore = Arc<dyn TokenStore + Send + Sync>;

/// Stores tokens by session.
///
/// The layer reads the store before each request and changes it after the response, on the thread that polls
/// the request. So a store must return at once and must not wait for the network; a store that several
/// processes share keeps a copy in each of them. It must not call back into the layer. It may forget any token
/// at any time: the session then starts over.
///
/// The layer counts failures and decides when a token is dead, so a store only stores. Sessions and tokens are
/// copies that do not keep a read buffer alive, so a store can keep them. The trait is dyn-compatible:
/// `Arc<dyn TokenStore + Send + Sync>` is a store.
///
/// # Examples
///
/// A plain map that two clients share. It has no bounds and ignores lifetimes, so it suits a known number of
/// sessions and a gateway whose tokens do not expire:
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex, PoisonError};
///
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_affinity_token::{
///     AffinityTokenLayer, Session, Token, TokenStore, header,
/// };
/// use tower_session_affinity::AffinityKey;
///
/// #[derive(Default)]
/// struct PlainMap(Mutex<HashMap<Session, Token>>);
///
/// impl TokenStore for PlainMap {
///     fn get(&self, session: &Session) -> Option<Token> {
///         let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         map.get(session).cloned()
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
/// let layer = || {
///     AffinityTokenLayer::new(header::X_SESSION_TOKEN)
///         .store(shared.clone())
/// };
/// let one = ServiceBuilder::new().layer(layer()).service(gateway);
/// let other = ServiceBuilder::new().layer(layer()).service(gateway);
///
/// let key = AffinityKey::from_static("chat-7");
/// let uri = "https://llm.example/v1/chat";
/// let turn = || Request::get(uri).extension(key.clone()).body(());
/// assert_eq!(one.oneshot(turn()?).await?.into_body(), None);
/// assert_eq!(other.oneshot(turn()?).await?.into_body().unwrap(), "replica-3");
/// # Ok(())
/// # }
/// ```
pub trait TokenStore {
    /// Returns the token of this session, if it is remembered and its lifetime has not ended.
    fn get(&self, session: &Session) -> Option<Token>;

    /// Remembers this token until its [`lifetime`](Token::lifetime) ends, and replaces any other.
    fn put(&self, session: &Session, token: Token);

    /// Remembers this token unless there is one already, and returns whether it did.
    ///
    /// The layer calls this instead of [`put`](Self::put) if
    /// [the first token wins](crate::AffinityTokenLayer::first_token_wins). The default implementation reads and
    /// then puts, so of two concurrent threads the later one can win; override it if that matters.
    fn put_first(&self, session: &Session, token: Token) -> bool {
        let is_first = self.get(session).is_none();
        if is_first {
            self.put(session, token);
        }
        is_first
    }

    /// Forgets this token, but not a different one that has replaced it.
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
