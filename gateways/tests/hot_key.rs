//! Fifty requests at once on one key: where they go, with a plain hash and with a bounded one.

use std::io;

use gateways::suite::{count, moved, place, report};
use gateways::{Cluster, Spec, launch};
use tower_session_affinity::header;

/// Requests that are under way at once: no replica answers before all have arrived.
const CHILDREN: usize = 50;

/// 1.5 times the mean of four replicas, rounded up, and one, since Envoy lets a replica that has just
/// reached its bound have one more.
const BOUND: usize = (CHILDREN * 3).div_ceil(8) + 1;

static HAPROXY: Spec = Spec {
    program: "haproxy",
    header_name: header::X_SESSION_AFFINITY,
    launch: |program, setup| launch::haproxy(program, setup, include_str!("../haproxy.cfg")),
    forwards: true,
};

static BOUNDED_HAPROXY: Spec = Spec {
    launch: |program, setup| launch::haproxy(program, setup, &launch::bounded_haproxy()),
    ..HAPROXY
};

static BOUNDED_MAGLEV: Spec = Spec {
    program: "envoy",
    launch: |program, setup| launch::envoy(program, setup, &launch::bounded_maglev()),
    ..HAPROXY
};

static BOUNDED_RING: Spec = Spec {
    program: "envoy",
    launch: |program, setup| launch::envoy(program, setup, &launch::bounded_ring()),
    ..HAPROXY
};

/// Returns how many of fifty requests at once each replica gets, the most first; they share `keys` keys.
async fn shares_at_once(cluster: &Cluster, keys: usize) -> Vec<usize> {
    let requests = (0..CHILDREN).map(|number| cluster.keyed(&format!("chat-7-{}", number % keys)));
    count(
        &cluster
            .send_at_once(&cluster.client(), requests.collect())
            .await,
    )
}

/// Fifty at once are bounded, and one at a time each key has its replica.
async fn a_bounded_hash_spills_only_what_is_above_its_bound(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let shares = shares_at_once(&cluster, 1).await;
    report(
        spec,
        format_args!("bounded, {CHILDREN} at once on one key: {shares:?}"),
    );
    assert!(shares[0] <= BOUND, "{shares:?}");

    let turn = async || {
        let mut met = Vec::new();
        for key in 0..100 {
            let request = cluster.keyed(&format!("chat-{key}"));
            met.extend(cluster.send_all(&cluster.client(), [request]).await);
        }
        met
    };
    let moved = moved(&turn().await, &turn().await);
    assert!(moved.is_empty(), "{moved:?}");
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
    assert_eq!(shares_at_once(&cluster, 1).await, [CHILDREN]);
    Ok(())
}

#[tokio::test]
async fn shards_of_a_key_share_the_replicas() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&HAPROXY).await? else {
        return Ok(());
    };
    let mut most = CHILDREN;
    for keys in [4, 16, CHILDREN] {
        let shares = shares_at_once(&cluster, keys).await;
        report(
            &HAPROXY,
            format_args!("{CHILDREN} at once on {keys} keys: {shares:?}"),
        );
        // The names are fixed, and so is the hash.
        assert!(shares[0] < most, "{keys} keys: {shares:?}");
        most = shares[0];
    }
    Ok(())
}

#[tokio::test]
async fn a_bounded_haproxy_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_HAPROXY).await
}

#[tokio::test]
async fn a_bounded_maglev_table_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_MAGLEV).await
}

#[tokio::test]
async fn a_bounded_hash_ring_spills_only_what_is_above_its_bound() -> io::Result<()> {
    a_bounded_hash_spills_only_what_is_above_its_bound(&BOUNDED_RING).await
}
