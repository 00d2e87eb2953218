//! Which types can be cloned and can cross threads.

use std::panic::{RefUnwindSafe, UnwindSafe};

use tower_session_affinity::{
    AffinityKey, Destination, Destinations, FromCookie, FromExtension, FromFn, FromHeaders,
    FromParent, HostPattern, InvalidAffinityKey, InvalidCookieName, InvalidDestination,
    InvalidHostPattern, MergePolicy, NoAffinity, Or, Outcome, ParentKey, RequestHead,
    SessionAffinity, SessionAffinityLayer,
};
#[cfg(feature = "scope")]
use tower_session_affinity::{
    AffinityScope, AffinityScopeLayer, FromScope, Scoped, ScopedBody, ScopedResponseFuture,
};
#[cfg(feature = "hmac")]
use tower_session_affinity::{
    AffinitySecret, DerivedFromCookie, DerivedFromHeaders, InvalidAffinitySecret,
};
#[cfg(feature = "body-field")]
use tower_session_affinity::{FieldBody, PromptCacheKey, PromptCacheKeyLayer};

fn shareable<T: Clone + Send + Sync + Unpin + std::fmt::Debug>() {}

#[test]
fn types_of_every_build_are_clone_send_sync_unpin_and_debug() {
    shareable::<AffinityKey>();
    shareable::<InvalidAffinityKey>();
    shareable::<HostPattern>();
    shareable::<InvalidHostPattern>();
    shareable::<Destination>();
    shareable::<Destinations>();
    shareable::<InvalidDestination>();
    shareable::<FromCookie>();
    shareable::<InvalidCookieName>();
    shareable::<FromExtension>();
    shareable::<FromFn<fn(RequestHead<'_>) -> Option<AffinityKey>>>();
    shareable::<FromHeaders>();
    shareable::<FromParent>();
    shareable::<ParentKey>();
    shareable::<Or<FromExtension, AffinityKey>>();
    shareable::<MergePolicy>();
    shareable::<NoAffinity>();
    shareable::<Outcome>();
    shareable::<SessionAffinityLayer<Or<FromExtension, AffinityKey>>>();
    shareable::<SessionAffinity<(), FromExtension>>();
}

#[cfg(feature = "hmac")]
#[test]
fn types_of_the_hmac_feature_are_clone_send_sync_unpin_and_debug() {
    shareable::<AffinitySecret>();
    shareable::<InvalidAffinitySecret>();
    shareable::<DerivedFromCookie>();
    shareable::<DerivedFromHeaders>();
}

#[cfg(feature = "body-field")]
#[test]
fn types_of_the_body_field_feature_are_clone_send_sync_unpin_and_debug() {
    shareable::<PromptCacheKeyLayer>();
    shareable::<PromptCacheKey<(), FromExtension>>();
    shareable::<FieldBody<()>>();
}

#[cfg(feature = "scope")]
#[test]
fn types_of_the_scope_feature_are_send_sync_and_debug() {
    fn crosses_threads<T: Send + Sync + std::fmt::Debug>() {}
    shareable::<FromScope>();
    shareable::<AffinityScopeLayer>();
    shareable::<AffinityScope<()>>();
    crosses_threads::<Scoped<std::future::Ready<()>>>();
    crosses_threads::<ScopedBody<()>>();
    crosses_threads::<ScopedResponseFuture<std::future::Ready<()>>>();
}

#[test]
fn errors_implement_error_and_cross_threads() {
    fn error<T: std::error::Error + Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    error::<InvalidAffinityKey>();
    error::<InvalidHostPattern>();
    error::<InvalidDestination>();
    error::<InvalidCookieName>();
    #[cfg(feature = "hmac")]
    error::<InvalidAffinitySecret>();
}

#[test]
fn request_head_is_copy() {
    fn copy<T: Copy>() {}
    copy::<RequestHead<'_>>();
}

#[test]
fn a_service_is_clone_send_and_sync_if_its_source_is() {
    fn layer_of<K: Clone + Send + Sync + 'static>(_: &SessionAffinityLayer<K>)
    where
        SessionAffinity<(), K>: Clone + Send + Sync + 'static,
    {
    }
    let captured = String::from("captured");
    layer_of(&SessionAffinityLayer::new().or_fn(move |_| captured.parse().ok()));
}
