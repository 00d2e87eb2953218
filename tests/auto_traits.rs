//! What may cross threads, be cloned, and be used behind `dyn`.

use std::panic::{RefUnwindSafe, UnwindSafe};

use tower_session_affinity::{
    AffinityKey, FromExtension, FromHeaders, HostPattern, InvalidAffinityKey, InvalidHostPattern,
    KeyExtractor, MergePolicy, NoAffinity, Or, Outcome, RequestHead, SessionAffinity,
    SessionAffinityLayer,
};

fn shareable<T: Clone + Send + Sync + Unpin + std::fmt::Debug>() {}

#[test]
fn everything_public_is_clone_send_sync_unpin_and_debug() {
    shareable::<AffinityKey>();
    shareable::<InvalidAffinityKey>();
    shareable::<HostPattern>();
    shareable::<InvalidHostPattern>();
    shareable::<FromExtension>();
    shareable::<FromHeaders>();
    shareable::<Or<FromExtension, AffinityKey>>();
    shareable::<MergePolicy>();
    shareable::<NoAffinity>();
    shareable::<Outcome>();
    shareable::<SessionAffinityLayer<Or<FromExtension, AffinityKey>>>();
    shareable::<SessionAffinity<(), FromExtension>>();
}

#[test]
fn errors_are_errors_that_cross_threads() {
    fn error<T: std::error::Error + Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    error::<InvalidAffinityKey>();
    error::<InvalidHostPattern>();
}

#[test]
fn a_head_is_copy() {
    fn copy<T: Copy>() {}
    copy::<RequestHead<'_>>();
}

#[test]
fn a_service_is_send_sync_and_clone_as_its_parts_are() {
    fn layer_of<K: Clone + Send + Sync + 'static>(_: &SessionAffinityLayer<K>)
    where
        SessionAffinity<(), K>: Clone + Send + Sync + 'static,
    {
    }
    let captured = String::from("captured");
    layer_of(&SessionAffinityLayer::new().or_fn(move |_| captured.parse().ok()));
}

#[test]
fn the_extractor_trait_is_dyn_compatible() {
    let _: &dyn KeyExtractor = &FromExtension;
}
