//! Which traits the public types implement, and that closures infer.

use std::fmt::Debug;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;
use tower_affinity_token::{
    AffinityToken, AffinityTokenLayer, Ending, InvalidSession, InvalidToken, MemoryStore, Outcome,
    ResponseFuture, Session, Token, TokenStore,
};
use tower_session_affinity::FromExtension;

const NAME: HeaderName = HeaderName::from_static("x-session-token");

fn is_plain<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}

#[test]
fn all_types_are_clone_debug_send_and_sync() {
    is_plain::<AffinityTokenLayer>();
    is_plain::<AffinityToken<()>>();
    is_plain::<MemoryStore>();
    is_plain::<Session>();
    is_plain::<Token>();
    is_plain::<InvalidToken>();
    is_plain::<InvalidSession>();
    is_plain::<Outcome>();
    is_plain::<Ending>();
}

#[test]
fn a_service_is_clone_even_if_its_store_is_not() {
    struct NoClone;
    fn is_clone<T: Clone>() {}
    is_clone::<AffinityToken<(), FromExtension, NoClone>>();
}

#[test]
fn the_future_is_send_if_the_inner_one_is() {
    fn is_send<T: Send + Sync + Unpin>() {}
    is_send::<ResponseFuture<std::future::Ready<Result<Response<()>, ()>>, MemoryStore>>();
}

#[test]
fn a_store_can_be_a_trait_object() {
    let store: Arc<dyn TokenStore + Send + Sync> = Arc::new(MemoryStore::new());
    let layer = AffinityTokenLayer::new(NAME).store(store);
    let inner = tower::service_fn(async |_: Request<()>| Ok::<_, ()>(Response::new(())));
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let _: BoxCloneSyncService<Request<()>, Response<()>, ()> = BoxCloneSyncService::new(service);
}

#[test]
fn closures_need_no_annotation_and_settings_chain_in_any_order() {
    let _ = AffinityTokenLayer::new(NAME)
        .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok())
        .store(MemoryStore::new())
        .forget_on(|status| status.is_server_error())
        .forget_after(3, |ending| ending == Ending::Error)
        .on_outcome(|outcome| assert!(!outcome.as_str().is_empty()))
        .lifetime(|_| None)
        .closed_header(NAME)
        .first_token_wins()
        .token_part(|value| value)
        .opening(HeaderValue::from_static("new"))
        .or_fn(|req| req.uri().path().parse().ok())
        .only_hosts([]);
}
