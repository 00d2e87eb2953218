//! The bounds of the memory, and what it holds.

use std::time::{Duration, Instant};

use http::Uri;
use tower_affinity_token::{MemoryStore, Session, Token, TokenStore};
use tower_session_affinity::AffinityKey;

fn session(number: usize) -> Session {
    let key = AffinityKey::try_from(format!("chat-{number}")).unwrap();
    Session::new(&Uri::from_static("https://a.example/"), &key).unwrap()
}

fn token(text: &str) -> Token {
    text.as_bytes().try_into().unwrap()
}

#[test]
fn no_more_sessions_than_the_bound_are_remembered() {
    let store = MemoryStore::bounded(100, MemoryStore::MAX_IDLE);
    for number in 0..10_000 {
        store.put(&session(number), token("t"));
    }
    assert_eq!(store.len(), 100);
}

#[test]
fn a_memory_is_empty_until_a_session_is_remembered() {
    let store = MemoryStore::new();
    assert!(store.is_empty());
    store.put(&session(0), token("t"));
    assert!(!store.is_empty());
}

#[test]
fn debug_shows_how_many_sessions_there_are_and_nothing_of_them() {
    let store = MemoryStore::new();
    store.put(&session(0), token("t"));
    assert_eq!(store.len(), 1);
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 1, .. }");
}

#[test]
fn at_the_bound_the_session_that_was_idle_longest_makes_room() {
    let store = MemoryStore::bounded(3, MemoryStore::MAX_IDLE);
    for number in 0..3 {
        store.put(&session(number), token("t"));
        assert_eq!(store.len(), number + 1);
    }
    assert!(store.get(&session(0)).is_some());
    assert_eq!(store.len(), 3);
    store.put(&session(3), token("t"));
    assert_eq!(store.len(), 3);
    let remembered: Vec<_> = (0..4)
        .filter(|number| store.get(&session(*number)).is_some())
        .collect();
    assert_eq!(remembered, [0, 2, 3]);
}

#[test]
fn a_session_is_forgotten_when_it_was_idle_for_long() {
    let store = MemoryStore::bounded(10, Duration::from_millis(20));
    store.put(&session(0), token("t"));
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(store.get(&session(0)), None);
    assert!(store.is_empty());
}

#[test]
fn a_session_that_is_used_is_not_forgotten() {
    const IDLE: Duration = Duration::from_millis(200);
    let store = MemoryStore::bounded(10, IDLE);
    let (mut put, mut used) = (Instant::now(), Instant::now());
    store.put(&session(0), token("t"));
    while put.elapsed() < 2 * IDLE {
        std::thread::sleep(IDLE / 20);
        let now = Instant::now();
        let found = store.get(&session(0));
        // A machine may sleep for longer than it is told to: then the session was idle, and begins anew.
        if used.elapsed() < IDLE {
            assert_eq!(found, Some(token("t")), "after {:?}", put.elapsed());
        } else {
            store.put(&session(0), token("t"));
            put = now;
        }
        used = now;
    }
}

#[test]
fn the_default_bounds_are_100_000_sessions_and_an_hour() {
    assert_eq!(MemoryStore::MAX_SESSIONS, 100_000);
    assert_eq!(MemoryStore::MAX_IDLE, Duration::from_secs(60 * 60));
    let store = MemoryStore::default();
    for number in 0..100_500 {
        store.put(&session(number), token("t"));
    }
    assert_eq!(store.len(), 100_000);
}

#[test]
fn only_the_token_that_is_named_is_forgotten() {
    let store = MemoryStore::new();
    store.put(&session(0), token("t2"));
    store.forget(&session(0), &token("t1"));
    store.forget(&session(1), &token("t2"));
    assert_eq!(store.get(&session(0)), Some(token("t2")));
    store.forget(&session(0), &token("t2"));
    assert_eq!(store.get(&session(0)), None);
    assert!(store.is_empty());
}

#[test]
fn threads_that_put_and_forget_never_lose_a_token_that_was_not_named() {
    let store = MemoryStore::new();
    std::thread::scope(|scope| {
        let forgetter = scope.spawn(|| {
            for _ in 0..100_000 {
                store.forget(&session(0), &token("old"));
            }
        });
        for _ in 0..100_000 {
            store.put(&session(0), token("old"));
            store.put(&session(0), token("new"));
            assert_eq!(store.get(&session(0)), Some(token("new")));
        }
        forgetter.join().unwrap();
    });
}

#[test]
fn clones_share_what_they_remember() {
    let store = MemoryStore::new();
    store.clone().put(&session(0), token("t"));
    assert_eq!(store.get(&session(0)), Some(token("t")));
}
