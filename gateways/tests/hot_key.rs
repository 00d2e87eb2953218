//! Fifty requests at once on one key: where they go, with a plain hash and with a bounded one.

use std::io;
use std::time::{Duration, Instant};

use gateways::engine::Launch;
use gateways::suite::{count, moved, place, report};
use gateways::{Cluster, Spec, launch};
use tower_session_affinity::header;

/// Requests that are under way at once: no replica answers before all have arrived.
const CHILDREN: usize = 50;

/// 1.5 times the mean of four replicas, rounded up, and one, since Envoy lets a replica that has just
/// reached its bound have one more.
const BOUND: usize = (CHILDREN * 3).div_ceil(8) + 1;

/// Nothing passes because of it.
const PATIENCE: Duration = Duration::from_secs(90);

static HAPROXY: Spec = spec("haproxy", |program, setup| {
    launch::haproxy(program, setup, include_str!("../haproxy.cfg"))
});

static BOUNDED_HAPROXY: Spec = spec("haproxy", |program, setup| {
    launch::haproxy(program, setup, &launch::bounded_haproxy())
});

static BOUNDED_MAGLEV: Spec = spec("envoy", |program, setup| {
    launch::envoy(program, setup, &launch::bounded_maglev())
});

static BOUNDED_RING: Spec = spec("envoy", |program, setup| {
    launch::envoy(program, setup, &launch::bounded_ring())
});

const fn spec(program: &'static str, launch: Launch) -> Spec {
    Spec {
        program,
        header_name: header::X_SESSION_AFFINITY,
        launch,
        forwards: true,
    }
}

/// How fifty requests that are under way together come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Coming {
    AtOnce,
    /// Each when the one before has reached its replica.
    InTurn,
}

/// Returns how many of fifty requests that are under way together each replica gets, the most first.
async fn shares(spec: &Spec, cluster: &Cluster, keys: usize, coming: Coming) -> Vec<usize> {
    let requests = (0..CHILDREN).map(|number| cluster.keyed(&format!("chat-7-{}", number % keys)));
    let requests = requests.collect();
    let client = cluster.client();
    let met = cluster
        .send_held(&client, requests, coming == Coming::AtOnce)
        .await;
    let shares = count(&met);
    report(
        spec,
        format_args!("{CHILDREN} {coming:?} on {keys} keys: {shares:?}"),
    );
    shares
}

/// Fifty that are under way together are bounded, and one at a time each key has its replica.
async fn a_bounded_hash_spills_only_what_is_above_its_bound(
    spec: &Spec,
    bounded_at_once: bool,
) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    // Before there is any connection to a replica.
    let at_once = shares(spec, &cluster, 1, Coming::AtOnce).await;
    assert!(at_once[0] <= BOUND || !bounded_at_once, "{at_once:?}");
    let in_turn = shares(spec, &cluster, 1, Coming::InTurn).await;
    assert!(in_turn[0] <= BOUND, "{in_turn:?}");

    let turn = async || {
        let mut met = Vec::new();
        for key in 0..100 {
            let request = cluster.keyed(&format!("chat-{key}"));
            met.extend(cluster.send_all(&cluster.client(), [request]).await);
        }
        met
    };
    // A gateway may count a request for a moment longer than its caller waits, and send the next one of
    // the same replica elsewhere. So two turns in a row are alike, and not the first two.
    let begun = Instant::now();
    let mut before = turn().await;
    loop {
        let again = turn().await;
        let moved = moved(&before, &again);
        if moved.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{moved:?}");
        before = again;
    }
    report_what_moves_under_load(spec, &cluster).await;
    Ok(())
}

/// How many it is depends on which requests happen to meet, so nothing is asserted.
async fn report_what_moves_under_load(spec: &Spec, cluster: &Cluster) {
    let client = cluster.client();
    let before = place(cluster, &client).await;
    let moved = moved(&before, &place(cluster, &client).await).len();
    report(
        spec,
        format_args!("bounded, eight at once on 1,000 keys: {moved} keys moved"),
    );
}

#[tokio::test]
async fn a_plain_hash_sends_all_of_one_key_to_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&HAPROXY).await? else {
        return Ok(());
    };
    let shares = shares(&HAPROXY, &cluster, 1, Coming::AtOnce).await;
    assert_eq!(shares, [CHILDREN]);
    Ok(())
}

#[tokio::test]
async fn shards_of_a_key_share_the_replicas() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&HAPROXY).await? else {
        return Ok(());
    };
    // The names of the keys are fixed, and so is the hash.
    for (keys, replicas) in [(4, 3), (16, 4), (CHILDREN, 4)] {
        let shares = shares(&HAPROXY, &cluster, keys, Coming::AtOnce).await;
        assert_eq!(shares.len(), replicas, "{keys} keys: {shares:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bounded_haproxy_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_HAPROXY, true).await
}

/// Envoy counts a request once it has a connection, so that those that come at once outrun its bound.
#[tokio::test]
async fn a_bounded_maglev_table_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_MAGLEV, false).await
}

#[tokio::test]
async fn a_bounded_hash_ring_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_RING, false).await
}
