//! The parent of a sub-agent's session.

use http::Request;
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, FromParent, KeyExtractor, ParentKey, Scoped,
};

use crate::{INNER, OUTER, now};

const PARENT: ParentKey = ParentKey(OUTER);

fn parent_of(request: &Request<()>) -> Option<AffinityKey> {
    FromParent.extract(request.into())
}

fn keys() -> (Option<AffinityKey>, Option<ParentKey>) {
    (AffinityKey::current(), ParentKey::current())
}

#[test]
fn the_parent_comes_from_the_extensions_or_else_from_the_scope() {
    let plain = Request::new(());
    let marked = Request::builder().extension(ParentKey(INNER)).body(());
    let marked = marked.unwrap();
    assert_eq!(parent_of(&plain), None);
    assert_eq!(parent_of(&marked), Some(INNER));
    PARENT.sync_scope(|| {
        assert_eq!(parent_of(&plain), Some(OUTER));
        assert_eq!(parent_of(&marked), Some(INNER));
    });
}

#[test]
fn key_and_parent_scopes_nest_in_either_order() {
    let parent_outside = PARENT.scope(INNER.scope(async { keys() }));
    let parent_inside = INNER.scope(PARENT.scope(async { keys() }));
    assert_eq!(now(parent_outside), (Some(INNER), Some(PARENT)));
    assert_eq!(now(parent_inside), (Some(INNER), Some(PARENT)));
    assert_eq!(
        PARENT.sync_scope(|| INNER.sync_scope(keys)),
        (Some(INNER), Some(PARENT))
    );
    assert_eq!(keys(), (None, None));
}

#[test]
fn a_nested_parent_restores_the_outer_one() {
    PARENT.sync_scope(|| {
        assert_eq!(
            ParentKey(INNER).sync_scope(ParentKey::current),
            Some(ParentKey(INNER))
        );
        assert_eq!(ParentKey::current(), Some(PARENT));
    });
}

#[test]
fn a_sub_agent_has_its_own_key_and_the_agents_key_as_its_parent() {
    let agent = async { async { keys() }.in_child_affinity(INNER).await };
    assert_eq!(now(OUTER.scope(agent)), (Some(INNER), Some(PARENT)));
    // An agent without a session is not a parent, whatever its own parent is.
    let agent = async { async { keys() }.in_child_affinity(INNER).await };
    assert_eq!(now(PARENT.scope(agent)), (Some(INNER), None));
}

#[test]
fn a_scope_without_a_key_hides_the_parent_too() {
    let side_call = Scoped::new(None, async { keys() });
    let seen = PARENT.sync_scope(|| OUTER.sync_scope(|| now(side_call)));
    assert_eq!(seen, (None, None));
}
