//! How evenly fifty sub-agents of one conversation spread over replicas, by number of shard keys.
#![cfg(feature = "hmac")]

use sha2::{Digest, Sha256};
use tower_session_affinity::{AffinityKey, AffinitySecret};

const CHILDREN: u32 = 50;
const REPLICAS: u8 = 8;
/// The number of conversations to average over.
const CHATS: u32 = 400;

/// Returns the key of a shard of a conversation. Child `i` uses shard `i % shards`.
fn shard_key(secret: &AffinitySecret, chat: u32, shard: u32) -> AffinityKey {
    secret.key_for(["tenant-7", &format!("chat-{chat}"), &shard.to_string()])
}

/// Picks the replica of a key by rendezvous hashing: the one with the highest score.
fn replica_of(key: &AffinityKey) -> u8 {
    let score = |replica: &u8| {
        Sha256::new()
            .chain_update(key.as_str())
            .chain_update([*replica])
            .finalize()
    };
    (0..REPLICAS).max_by_key(score).expect("a replica")
}

/// Means over all conversations.
#[derive(Debug)]
struct Spread {
    /// The fraction of a conversation's children that its busiest replica serves.
    busiest: f64,
    /// The number of replicas that have to read the prompt that the children share.
    readers: f64,
}

fn simulate(shards: u32) -> Spread {
    let secret = AffinitySecret::new(&[7; 32]).expect("32 bytes");
    let (mut busiest, mut readers) = (0, 0);
    for chat in 0..CHATS {
        let mut children_at = [0; REPLICAS as usize];
        for shard in 0..shards {
            let replica = replica_of(&shard_key(&secret, chat, shard));
            children_at[usize::from(replica)] += (shard..CHILDREN).step_by(shards as usize).count();
        }
        busiest += children_at.iter().max().expect("a replica");
        readers += children_at.iter().filter(|children| **children > 0).count();
    }
    let mean = |total: usize| f64::from(u32::try_from(total).expect("fits")) / f64::from(CHATS);
    Spread {
        busiest: mean(busiest) / f64::from(CHILDREN),
        readers: mean(readers),
    }
}

/// For each number of shards, what uniformly random replicas give, computed outside this test.
const EXPECTED: [(u32, Spread); 4] = [
    (
        1,
        Spread {
            busiest: 1.0,
            readers: 1.0,
        },
    ),
    (
        4,
        Spread {
            busiest: 0.417,
            readers: 3.31,
        },
    ),
    (
        16,
        Spread {
            busiest: 0.266,
            readers: 7.06,
        },
    ),
    // As many shards as children: each child has its own key.
    (
        CHILDREN,
        Spread {
            busiest: 0.200,
            readers: 7.99,
        },
    ),
];

#[test]
fn more_shards_relieve_the_busiest_replica_and_make_more_replicas_read_the_prompt() {
    for (shards, expected) in EXPECTED {
        let spread = simulate(shards);
        println!("{shards} shards: {spread:.3?}");
        let near = |found: f64, expected: f64| (found - expected).abs() <= 0.05 * expected;
        assert!(
            near(spread.busiest, expected.busiest) && near(spread.readers, expected.readers),
            "{shards} shards: expected {expected:?} within 5 %, found {spread:?}"
        );
    }
}
