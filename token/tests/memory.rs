//! The bounds of the default store, and what it keeps.

use std::time::{Duration, Instant};

use allocation_counter::measure;
use http::{HeaderValue, Uri};
use tower_affinity_token::{MemoryStore, Session, Token, TokenStore, header::X_SESSION_TOKEN};

fn session(number: usize) -> Session {
    session_of(&format!("chat-{number}"))
}

fn session_of(key: &str) -> Session {
    let (uri, key) = (Uri::from_static("https://a.example/"), key.parse().unwrap());
    Session::new(&X_SESSION_TOKEN, &uri, &key).unwrap()
}

/// Bounded only in sessions.
fn of_sessions(max_sessions: usize) -> MemoryStore {
    MemoryStore::bounded(max_sessions, usize::MAX, Duration::MAX)
}

/// Bounded only in idle time.
fn of_idle_time(max_idle: Duration) -> MemoryStore {
    MemoryStore::bounded(usize::MAX, usize::MAX, max_idle)
}

fn remembered(store: &MemoryStore, numbers: std::ops::Range<usize>) -> Vec<usize> {
    let is_remembered = |number: &usize| store.get(&session(*number)).is_some();
    numbers.filter(is_remembered).collect()
}

fn token(text: &str) -> Token {
    text.as_bytes().try_into().unwrap()
}

#[test]
fn the_number_of_sessions_is_bounded() {
    let store = of_sessions(100);
    for number in 0..10_000 {
        store.put(&session(number), token("t"));
    }
    assert_eq!(store.len(), 100);
}

#[test]
fn a_store_is_empty_until_a_session_is_put() {
    let store = MemoryStore::new();
    assert!(store.is_empty());
    store.put(&session(0), token("t"));
    assert!(!store.is_empty());
}

#[test]
fn debug_shows_only_the_number_of_sessions() {
    let store = MemoryStore::new();
    store.put(&session(0), token("t"));
    assert_eq!(store.len(), 1);
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 1, .. }");
}

#[test]
fn at_the_bound_the_least_recently_used_session_is_evicted() {
    let store = of_sessions(3);
    for number in 0..3 {
        store.put(&session(number), token("t"));
        assert_eq!(store.len(), number + 1);
    }
    assert!(store.get(&session(0)).is_some());
    assert_eq!(store.len(), 3);
    store.put(&session(3), token("t"));
    assert_eq!(store.len(), 3);
    assert_eq!(remembered(&store, 0..4), [0, 2, 3]);
}

#[test]
fn an_idle_session_is_forgotten() {
    let store = of_idle_time(Duration::from_millis(20));
    store.put(&session(0), token("t"));
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(store.get(&session(0)), None);
    assert!(store.is_empty());
}

#[test]
fn a_session_in_use_is_not_forgotten() {
    const IDLE: Duration = Duration::from_millis(200);
    let store = of_idle_time(IDLE);
    let (mut put, mut used) = (Instant::now(), Instant::now());
    store.put(&session(0), token("t"));
    while put.elapsed() < 2 * IDLE {
        std::thread::sleep(IDLE / 20);
        let now = Instant::now();
        let found = store.get(&session(0));
        // A sleep can last longer than asked for. Then the session was idle, and starts over.
        if used.elapsed() < IDLE {
            assert_eq!(
                found,
                Some(token("t")),
                "forgotten {:?} after the put",
                put.elapsed()
            );
        } else {
            store.put(&session(0), token("t"));
            put = now;
        }
        used = now;
    }
}

#[test]
fn the_default_bounds_are_100_000_sessions_64_mebibytes_and_an_hour() {
    assert_eq!(MemoryStore::MAX_SESSIONS, 100_000);
    assert_eq!(MemoryStore::MAX_BYTES, 64 << 20);
    assert_eq!(MemoryStore::MAX_IDLE, Duration::from_secs(60 * 60));
    let store = MemoryStore::default();
    for number in 0..100_500 {
        store.put(&session(number), token("t"));
    }
    assert_eq!(store.len(), 100_000);
}

#[test]
fn forget_removes_only_the_given_token() {
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
fn concurrent_put_and_forget_never_lose_a_different_token() {
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
fn clones_share_their_tokens() {
    let store = MemoryStore::new();
    store.clone().put(&session(0), token("t"));
    assert_eq!(store.get(&session(0)), Some(token("t")));
}

/// The bytes that a session counts for.
fn size(session: &Session, token: &Token) -> usize {
    session.as_str().len() + token.as_bytes().len() + MemoryStore::SESSION_BYTES
}

#[test]
fn the_bytes_are_bounded_and_the_newest_sessions_are_kept() {
    let each = size(&session(0), &token("t"));
    let store = MemoryStore::bounded(usize::MAX, 3 * each + 1, Duration::MAX);
    for number in 0..9 {
        store.put(&session(number), token("t"));
        assert_eq!(store.len(), 3.min(number + 1));
        assert_eq!(store.bytes(), store.len() * each);
    }
    assert_eq!(remembered(&store, 0..9), [6, 7, 8]);
}

#[test]
fn a_longer_token_evicts_others_and_a_shorter_one_makes_room() {
    let each = size(&session(0), &token("t"));
    let store = MemoryStore::bounded(usize::MAX, 3 * each, Duration::MAX);
    for number in 0..3 {
        store.put(&session(number), token("t"));
    }
    store.put(&session(2), token("tt"));
    assert_eq!((store.len(), store.bytes()), (2, 2 * each + 1));
    store.put(&session(2), token("t"));
    store.put(&session(3), token("t"));
    assert_eq!((store.len(), store.bytes()), (3, 3 * each));
    assert_eq!(remembered(&store, 0..4), [1, 2, 3]);
}

#[test]
fn a_session_larger_than_the_bound_is_not_remembered() {
    let store = MemoryStore::bounded(usize::MAX, 10, Duration::MAX);
    store.put(&session(0), token("t"));
    assert_eq!((store.len(), store.bytes()), (0, 0));
}

#[test]
fn forgotten_evicted_and_expired_sessions_take_no_bytes() {
    let store = of_sessions(2);
    for number in 0..4 {
        store.put(&session(number), token("t"));
    }
    store.forget(&session(3), &token("t"));
    assert_eq!(store.bytes(), size(&session(2), &token("t")));
    store.put(&session(2), token("t").with_lifetime(Some(Duration::ZERO)));
    assert_eq!((store.bytes(), store.len()), (0, 0));
    store.put(&session(2), token("t").with_lifetime(Some(Duration::ZERO)));
    assert_eq!(store.get(&session(2)), None);
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 0, .. }");
    assert_eq!(store.bytes(), 0);
}

/// Returns a store with this many sessions, the most bytes that it had allocated, and those at the end.
fn filled(sessions: usize, key_len: usize, token: &Token) -> (MemoryStore, u64, u64) {
    let mut store = None;
    let counted = measure(|| {
        let store = store.insert(MemoryStore::new());
        for number in 0..sessions {
            let session = session_of(&format!("{number:k>key_len$}"));
            // Copied, as the tokens of two responses are.
            let copy = Token::try_from(token.as_bytes()).unwrap();
            store.put(&session, copy.with_lifetime(token.lifetime()));
            // Sending a token allocates its reference count.
            assert!(store.get(&session).is_some());
        }
    });
    let current = counted.bytes_current.try_into().unwrap();
    (store.unwrap(), counted.bytes_max, current)
}

#[test]
fn the_default_store_never_allocates_more_than_its_bound() {
    // The longest tokens, and the most sessions that fit.
    for (sessions, token_len) in [(20_000, 4096), (MemoryStore::MAX_SESSIONS, 200)] {
        let longest = token(&"t".repeat(token_len));
        let (store, most, _) = filled(sessions, 255, &longest);
        let bound = MemoryStore::MAX_BYTES;
        assert!(
            store.bytes() > bound / 10 * 9,
            "expected a nearly full store, found {} of {bound} bytes",
            store.bytes()
        );
        assert!(
            most <= bound as u64,
            "expected at most {bound} bytes, found {most}"
        );
    }
}

#[test]
fn a_session_counts_for_at_least_the_bytes_that_it_takes() {
    let dated = token("t").with_lifetime(Some(Duration::from_secs(3600)));
    // The map doubles its capacity at the last of these sessions.
    for sessions in [3_585, 14_337, 57_345] {
        for token in [&token("t"), &dated] {
            let (store, _, takes) = filled(sessions, 8, token);
            assert_eq!(store.len(), sessions);
            assert!(
                takes <= store.bytes() as u64,
                "{sessions} sessions take {takes} bytes and count for {}",
                store.bytes()
            );
        }
    }
}

#[test]
fn a_token_is_forgotten_after_its_lifetime_even_if_its_session_is_in_use() {
    let store = MemoryStore::new();
    let short = Duration::from_millis(40);
    store.put(&session(0), token("t").with_lifetime(Some(short)));
    store.put(&session(1), token("t").with_lifetime(Some(Duration::MAX)));
    let put = Instant::now();
    while put.elapsed() < 2 * short {
        store.get(&session(0));
        std::thread::sleep(short / 8);
    }
    assert_eq!(store.get(&session(0)), None);
    assert_eq!(store.get(&session(1)), Some(token("t")));
}

#[test]
fn a_token_with_a_lifetime_is_forgotten_if_its_session_is_idle() {
    let store = of_idle_time(Duration::from_millis(20));
    store.put(&session(0), token("t").with_lifetime(Some(Duration::MAX)));
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(store.get(&session(0)), None);
}

#[test]
fn putting_a_token_again_replaces_its_lifetime() {
    let store = MemoryStore::new();
    let over = Some(Duration::ZERO);
    store.put(&session(0), token("t").with_lifetime(over));
    store.put(&session(0), token("t"));
    assert_eq!(store.get(&session(0)), Some(token("t")));
    store.put(&session(0), token("t").with_lifetime(over));
    assert_eq!(store.get(&session(0)), None);
}

#[test]
fn use_of_one_session_evicts_idle_ones() {
    let store = of_idle_time(Duration::from_millis(50));
    for number in 0..20 {
        store.put(&session(number), token("t"));
    }
    std::thread::sleep(Duration::from_millis(60));
    for _ in 0..5 {
        store.get(&session(99));
    }
    // `Debug` does not evict idle sessions before it counts.
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 0, .. }");
}

#[test]
fn put_first_succeeds_if_there_is_no_token_or_an_expired_one() {
    let store = MemoryStore::new();
    // An older session, since the expired one would be evicted if it were the least recently used.
    store.put(&session(1), token("t"));
    let over = token("t0").with_lifetime(Some(Duration::ZERO));
    store.put(&session(0), over);
    assert!(store.put_first(&session(0), token("t1")));
    assert!(!store.put_first(&session(0), token("t2")));
    assert_eq!(store.get(&session(0)), Some(token("t1")));
    store.forget(&session(0), &token("t1"));
    assert!(store.put_first(&session(0), token("t2")));
    assert_eq!(store.get(&session(0)), Some(token("t2")));
}

#[test]
fn of_concurrent_calls_of_put_first_exactly_one_wins() {
    for number in 0..200 {
        let store = MemoryStore::new();
        let wins = std::thread::scope(|scope| {
            let put = |text: &'static str| {
                let store = &store;
                scope.spawn(move || store.put_first(&session(number), token(text)))
            };
            let threads = [put("a"), put("b"), put("c"), put("d")];
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(wins.iter().filter(|wins| **wins).count(), 1);
    }
}

#[test]
fn a_token_is_returned_as_a_sensitive_value_and_without_a_lifetime() {
    let store = MemoryStore::new();
    for lifetime in [None, Some(Duration::from_secs(600))] {
        store.put(&session(0), token("t").with_lifetime(lifetime));
        let token = store.get(&session(0)).unwrap();
        assert_eq!(token.lifetime(), None);
        assert!(HeaderValue::from(token).is_sensitive());
    }
}

#[test]
fn a_snapshot_has_the_remaining_lifetime_and_the_last_use_of_each_session() {
    let store = MemoryStore::new();
    let lifetime = Duration::from_secs(600);
    store.put(&session(0), token("a").with_lifetime(Some(lifetime)));
    store.put(&session(1), token("b"));
    let before_use = Instant::now();
    store.get(&session(0));
    let snapshot = store.snapshot();
    let [(one, b, b_used), (zero, a, a_used)] = &snapshot[..] else {
        panic!("expected two sessions, found {}", snapshot.len());
    };
    assert_eq!((one, b), (&session(1), &token("b")));
    assert_eq!((zero, a), (&session(0), &token("a")));
    assert_eq!(b.lifetime(), None);
    assert!(a.lifetime().is_some_and(|rest| rest < lifetime));
    assert!(*b_used <= before_use && before_use <= *a_used);
}
