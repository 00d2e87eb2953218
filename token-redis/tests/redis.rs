//! Stores that share tokens through a real Redis; skipped if it is not installed.

mod support;

use std::time::Duration;

use support::{Peer, Redis, session, shown, token, until};
use tower_affinity_token::{MemoryStore, TokenStore};
use tower_affinity_token_redis::RedisTokenStore;

/// Runs a test in a runtime whose tasks continue while the test blocks.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn connected(redis: &Redis) -> RedisTokenStore {
    let store = redis.store();
    until("the store is connected", || store.is_connected());
    store
}

#[test]
#[ignore = "a process that other tests start"]
fn peer() {
    if let Some(socket) = std::env::var_os("SOCKET") {
        support::obey(socket.as_ref());
    }
}

#[test]
fn processes_see_each_others_tokens_and_which_are_forgotten() {
    let Some(redis) = Redis::start() else { return };
    let (mut one, mut other) = (Peer::start(&redis), Peer::start(&redis));
    one.ask("put chat-7 replica-3");
    other.until("get chat-7", "replica-3");
    other.ask("put chat-7 replica-4");
    one.until("get chat-7", "replica-4");
    one.ask("forget chat-7 replica-4");
    other.until("get chat-7", "-");
}

#[test]
fn a_process_that_starts_later_loads_all_tokens() {
    let Some(redis) = Redis::start() else { return };
    let mut one = Peer::start(&redis);
    for chat in 0..1_000 {
        one.ask(&format!("put chat-{chat} replica-{chat}"));
    }
    one.until("state", "true 0");
    drop(one);
    let mut other = Peer::start(&redis);
    other.until("len", "1000");
    assert_eq!(other.ask("get chat-999"), "replica-999");
}

#[test]
fn tokens_are_sent_again_when_redis_comes_back_empty() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let (mut one, mut other) = (Peer::start(&redis), Peer::start(&redis));
    for chat in 0..500 {
        one.ask(&format!("put chat-{chat} replica-1"));
    }
    other.until("len", "500");
    one.until("state", "true 0");
    redis.kill();
    one.until("state", "false 0");
    assert_eq!(one.ask("get chat-499"), "replica-1");
    assert_eq!(other.ask("get chat-499"), "replica-1");
    one.ask("put while-down replica-2");
    redis.restart();
    other.until("get while-down", "replica-2");
    until("Redis has all tokens", || redis.keys().len() == 501);
    drop((one, other));
    Peer::start(&redis).until("len", "501");
}

#[test]
fn a_token_forgotten_while_redis_was_down_is_not_revived_by_another_process() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let (mut one, mut other) = (Peer::start(&redis), Peer::start(&redis));
    one.ask("put chat-7 replica-3");
    other.until("get chat-7", "replica-3");
    redis.kill();
    one.ask("forget chat-7 replica-3");
    // Redis is empty, and learns of the forgotten token before the process that still has it connects.
    other.signal("STOP");
    redis.restart();
    one.until("state", "true 0");
    other.signal("CONT");
    other.until("get chat-7", "-");
    other.until("state", "true 0");
    assert_eq!(one.ask("get chat-7"), "-");
    drop((one, other));
    let mut later = Peer::start(&redis);
    later.until("state", "true 0");
    assert_eq!(later.ask("get chat-7"), "-");
}

#[test]
fn a_change_that_is_lost_with_its_connection_is_sent_again() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let (one, other) = (connected(&redis), connected(&redis));
        one.put(&session("chat-7"), token("dead"));
        until("the other store has the token", || {
            shown(&other, "chat-7") == "dead"
        });
        // Redis receives the next change but does not execute it.
        redis.command("CLIENT", &["PAUSE", "600000", "WRITE"]);
        one.forget(&session("chat-7"), &token("dead"));
        until("Redis has received the change", || redis.blocks_a_client());
        redis.command("CLIENT", &["KILL", "TYPE", "normal"]);
        redis.command("CLIENT", &["UNPAUSE"]);
        until("the other store has forgotten the token", || {
            shown(&other, "chat-7") == "-"
        });
        until("all changes are confirmed", || one.unconfirmed() == 0);
    });
}

#[test]
fn redis_keeps_a_newer_token_when_an_older_one_is_forgotten() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let store = connected(&redis);
        store.put(&session("chat-7"), token("old"));
        until("all changes are confirmed", || store.unconfirmed() == 0);
        // The store does not hear of the newer token.
        let key = RedisTokenStore::PREFIX.to_owned() + session("chat-7").as_str();
        redis.command("SET", &[&key, "+0 new"]);
        store.forget(&session("chat-7"), &token("old"));
        until("all changes are confirmed", || store.unconfirmed() == 0);
        assert_eq!(shown(&connected(&redis), "chat-7"), "new");
    });
}

#[test]
fn a_newer_token_reaches_a_process_that_has_just_forgotten_the_old_one() {
    run(async {
        let Some(mut redis) = Redis::start() else {
            return;
        };
        let (one, other) = (connected(&redis), connected(&redis));
        one.put(&session("chat-7"), token("old"));
        until("the other store has the token", || {
            shown(&other, "chat-7") == "old"
        });
        redis.signal("STOP");
        // Redis gets the newer token first, and then learns that the old one is dead.
        other.put(&session("chat-7"), token("new"));
        one.forget(&session("chat-7"), &token("old"));
        assert_eq!(shown(&one, "chat-7"), "-");
        redis.signal("CONT");
        until("the first store has the newer token", || {
            shown(&one, "chat-7") == "new"
        });
        until("all changes are confirmed", || {
            one.unconfirmed() + other.unconfirmed() == 0
        });
        assert_eq!(shown(&other, "chat-7"), "new");
        let later = connected(&redis);
        assert_eq!(shown(&later, "chat-7"), "new");
        redis.kill();
    });
}

#[test]
fn of_two_first_tokens_the_one_that_reaches_redis_first_wins_everywhere() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let (one, other) = (connected(&redis), connected(&redis));
        redis.signal("STOP");
        assert!(one.put_first(&session("chat-7"), token("a")));
        assert!(other.put_first(&session("chat-7"), token("b")));
        assert!(!one.put_first(&session("chat-7"), token("c")));
        redis.signal("CONT");
        until("all changes are confirmed", || {
            one.unconfirmed() + other.unconfirmed() == 0
        });
        until("both stores have the same token", || {
            let found = shown(&one, "chat-7");
            found == shown(&other, "chat-7") && ["a", "b"].contains(&found.as_str())
        });
    });
}

#[test]
fn stores_work_while_redis_is_stopped_or_absent() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let Some(absent) = Redis::prepare() else {
            return;
        };
        let (stopped, alone) = (connected(&redis), absent.store());
        redis.signal("STOP");
        // Redis does not respond during this loop, so nothing in it waits for a response.
        for chat in 0..1_000 {
            for store in [&stopped, &alone] {
                let key = format!("chat-{chat}");
                store.put(&session(&key), token("replica-1"));
                assert_eq!(shown(store, &key), "replica-1");
                store.forget(&session(&key), &token("replica-1"));
                assert!(store.put_first(&session(&key), token("replica-2")));
            }
        }
        assert_eq!((stopped.unconfirmed(), alone.unconfirmed()), (1_000, 1_000));
        redis.signal("CONT");
        until("all changes are confirmed", || stopped.unconfirmed() == 0);
        assert_eq!(shown(&connected(&redis), "chat-999"), "replica-2");
    });
}

#[test]
fn waiting_changes_are_bounded_and_dropped_ones_are_counted() {
    run(async {
        let Some(mut redis) = Redis::prepare() else {
            return;
        };
        let store = redis.store();
        let sessions = RedisTokenStore::MAX_WAITING + 10;
        for chat in 0..sessions {
            // Two changes of one session take one place in the queue.
            store.put(&session(&format!("chat-{chat}")), token("replica-1"));
            store.put(&session(&format!("chat-{chat}")), token("replica-2"));
        }
        assert_eq!(store.unconfirmed(), RedisTokenStore::MAX_WAITING);
        assert_eq!(store.dropped(), 10);
        // A dropped change is still in memory, and is sent because Redis lacks it.
        redis.restart();
        let later = connected(&redis);
        until("the later store has all sessions", || {
            later.len() == sessions
        });
        assert_eq!(shown(&later, "chat-0"), "replica-2");
    });
}

#[test]
fn a_key_in_redis_expires_with_the_idle_time_or_the_lifetime_of_its_token() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let hour = RedisTokenStore::PREFIX.to_owned() + session("hour").as_str();
        let minute = RedisTokenStore::PREFIX.to_owned() + session("minute").as_str();
        let store = connected(&redis);
        store.put(&session("hour"), token("a"));
        let lifetime = Some(Duration::from_secs(60));
        store.put(&session("minute"), token("a").with_lifetime(lifetime));
        until("all changes are confirmed", || store.unconfirmed() == 0);
        let expiry = |key: &str| -> u64 {
            tower_affinity_token_redis::redis::from_redis_value(redis.command("PTTL", &[key]))
                .unwrap()
        };
        let idle = MemoryStore::MAX_IDLE.as_millis();
        assert!((60_001..=idle).contains(&expiry(&hour).into()));
        assert!((1..=60_000).contains(&expiry(&minute)));
    });
}

#[test]
fn a_session_in_use_stays_in_redis_and_an_idle_one_expires() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let idle = Duration::from_secs(8);
        let start = || {
            RedisTokenStore::builder(redis.client())
                .bounded(10, 10_000, idle)
                .start()
        };
        let (one, other) = (start(), start());
        // Without a refresh, this session would expire first.
        one.put(&session("used"), token("a"));
        until("the other store has the session", || {
            shown(&other, "used") == "a"
        });
        one.put(&session("unused"), token("a"));
        until("Redis has both sessions", || redis.keys().len() == 2);
        let used = RedisTokenStore::PREFIX.to_owned() + session("used").as_str();
        until("Redis has only the session in use", || {
            // If the machine paused for the idle time, the session starts over.
            if shown(&one, "used") == "-" {
                one.put(&session("used"), token("a"));
            }
            redis.keys() == [used.as_str()]
        });
        until("the other store has the session in use", || {
            shown(&other, "used") == "a"
        });
    });
}

#[test]
fn prefixes_with_special_characters_separate_stores() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let start = |prefix| {
            RedisTokenStore::builder(redis.client())
                .prefix(prefix)
                .start()
        };
        let (one, other) = (start("edge[*]?:"), start("edge*:"));
        one.put(&session("chat-7"), token("a"));
        other.put(&session("chat-8"), token("b"));
        until("Redis has both sessions", || redis.keys().len() == 2);
        let (one, other) = (start("edge[*]?:"), start("edge*:"));
        until("both stores are connected", || {
            one.is_connected() && other.is_connected()
        });
        assert_eq!(
            (shown(&one, "chat-7"), shown(&one, "chat-8")),
            ("a".into(), "-".into())
        );
        assert_eq!(
            (shown(&other, "chat-7"), shown(&other, "chat-8")),
            ("-".into(), "b".into())
        );
    });
}

#[test]
fn the_task_ends_with_the_last_clone_of_its_store() {
    run(async {
        let Some(redis) = Redis::start() else { return };
        let channel = RedisTokenStore::PREFIX.to_owned() + "changes";
        let listeners = || -> (String, usize) {
            let found = redis.command("PUBSUB", &["NUMSUB", &channel]);
            tower_affinity_token_redis::redis::from_redis_value(found).unwrap()
        };
        let store = connected(&redis);
        let clone = store.clone();
        drop(store);
        clone.put(&session("chat-7"), token("a"));
        until("the clone's change is confirmed", || {
            clone.unconfirmed() == 0
        });
        assert_eq!(listeners().1, 1);
        drop(clone);
        until("the subscription has ended", || listeners().1 == 0);
    });
}

#[test]
fn debug_shows_no_key_no_token_and_no_password() {
    run(async {
        let client = "redis://:secret@127.0.0.1:1/".to_owned();
        let client = tower_affinity_token_redis::redis::Client::open(client).unwrap();
        let builder = RedisTokenStore::builder(client);
        assert!(!format!("{builder:?}").contains("secret"));
        let store = builder.start();
        store.put(&session("chat-7"), token("replica-3"));
        assert_eq!(
            format!("{store:?}"),
            "RedisTokenStore { is_connected: false, unconfirmed: 1, dropped: 0, .. }"
        );
    });
}
