//! How evenly a conversation that starts fifty sub-agents spreads, by the key that they get.
#![cfg(feature = "hmac")]

use sha2::{Digest, Sha256};
use tower_session_affinity::{AffinityKey, AffinitySecret};

const CHILDREN: u32 = 50;
const REPLICAS: u8 = 8;
/// As many conversations as the mean is taken over.
const CHATS: u32 = 400;

/// The key of a shard of a conversation; child number `i` of it gets shard `i % shards`.
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

/// The means over all conversations.
#[derive(Debug)]
struct Spread {
    /// The part of its children that the busiest replica of a conversation serves.
    busiest: f64,
    /// The replicas that read the prompt which the children share.
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

/// By shards: what uniformly random replicas give, worked out apart from this test.
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
    // As many shards as children: each child has a key of its own.
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
        let near = |one: f64, other: f64, bound: f64| (one - other).abs() <= bound * other;
        assert!(
            near(spread.busiest, expected.busiest, 0.05),
            "{shards} shards: {spread:?}"
        );
        assert!(
            near(spread.readers, expected.readers, 0.05),
            "{shards} shards: {spread:?}"
        );
    }
}
