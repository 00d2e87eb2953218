//! Where fifty concurrent requests on one key go, with a plain hash and with a bounded one.

use std::io;
use std::time::{Duration, Instant};

use gateways::engine::Launch;
use gateways::suite::{count, moved, place, report};
use gateways::{Cluster, Spec, launch};
use tower_session_affinity::header;

/// Concurrent requests: no replica answers before all of them have arrived.
const CHILDREN: usize = 50;

/// 1.5 times the mean of four replicas, rounded up, plus one: Envoy gives a replica that has just reached
/// its bound one more request.
const BOUND: usize = (CHILDREN * 3).div_ceil(8) + 1;

/// How long keys may take to settle. A longer limit would not let a wrong result pass.
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

/// How the fifty concurrent requests arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrival {
    Burst,
    /// Each is sent when the one before has reached its replica.
    OneByOne,
}

/// Returns how many of fifty concurrent requests each replica gets, in descending order.
async fn shares(spec: &Spec, cluster: &Cluster, keys: usize, arrival: Arrival) -> Vec<usize> {
    let requests = (0..CHILDREN).map(|number| cluster.keyed(&format!("chat-7-{}", number % keys)));
    let requests = requests.collect();
    let client = cluster.client();
    let met = cluster
        .send_held(&client, requests, arrival == Arrival::Burst)
        .await;
    let shares = count(&met);
    report(
        spec,
        format_args!("{CHILDREN} concurrent requests ({arrival:?}) on {keys} keys: {shares:?}"),
    );
    shares
}

/// Fifty concurrent requests are bounded, and with one request at a time each key keeps its replica.
async fn a_bounded_hash_moves_only_requests_above_its_bound(
    spec: &Spec,
    bounds_bursts: bool,
) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    // The gateway has no connection to a replica yet.
    let burst = shares(spec, &cluster, 1, Arrival::Burst).await;
    assert!(
        burst[0] <= BOUND || !bounds_bursts,
        "requests per replica: {burst:?}, expected at most {BOUND}"
    );
    let one_by_one = shares(spec, &cluster, 1, Arrival::OneByOne).await;
    assert!(
        one_by_one[0] <= BOUND,
        "requests per replica: {one_by_one:?}, expected at most {BOUND}"
    );

    let turn = async || {
        let mut met = Vec::new();
        for key in 0..100 {
            let request = cluster.keyed(&format!("chat-{key}"));
            met.extend(cluster.send_all(&cluster.client(), [request]).await);
        }
        met
    };
    // A gateway may still count a request for a moment after its caller has the answer, and send the next
    // request for that replica elsewhere. So wait until two turns in a row agree.
    let begun = Instant::now();
    let mut before = turn().await;
    loop {
        let again = turn().await;
        let moved = moved(&before, &again);
        if moved.is_empty() {
            break;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "keys still move with one request at a time: {moved:?}"
        );
        before = again;
    }
    report_what_moves_under_load(spec, &cluster).await;
    Ok(())
}

/// Asserts nothing, since the number depends on which requests happen to run at the same time.
async fn report_what_moves_under_load(spec: &Spec, cluster: &Cluster) {
    let client = cluster.client();
    let before = place(cluster, &client).await;
    let moved = moved(&before, &place(cluster, &client).await).len();
    report(
        spec,
        format_args!("bounded, eight concurrent requests on 1,000 keys: {moved} keys moved"),
    );
}

#[tokio::test]
async fn a_plain_hash_sends_all_requests_of_one_key_to_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&HAPROXY).await? else {
        return Ok(());
    };
    let shares = shares(&HAPROXY, &cluster, 1, Arrival::Burst).await;
    assert_eq!(shares, [CHILDREN], "requests per replica");
    Ok(())
}

#[tokio::test]
async fn several_keys_spread_a_conversation_over_the_replicas() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&HAPROXY).await? else {
        return Ok(());
    };
    // The keys and the hash are fixed, so the number of replicas is, too.
    for (keys, replicas) in [(4, 3), (16, 4), (CHILDREN, 4)] {
        let shares = shares(&HAPROXY, &cluster, keys, Arrival::Burst).await;
        assert_eq!(shares.len(), replicas, "{keys} keys: {shares:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bounded_haproxy_moves_only_requests_above_its_bound() -> io::Result<()> {
    a_bounded_hash_moves_only_requests_above_its_bound(&BOUNDED_HAPROXY, true).await
}

/// Envoy counts a request once it has a connection, so a burst on new connections exceeds its bound.
#[tokio::test]
async fn a_bounded_maglev_table_moves_only_requests_above_its_bound() -> io::Result<()> {
    a_bounded_hash_moves_only_requests_above_its_bound(&BOUNDED_MAGLEV, false).await
}

#[tokio::test]
async fn a_bounded_hash_ring_moves_only_requests_above_its_bound() -> io::Result<()> {
    a_bounded_hash_moves_only_requests_above_its_bound(&BOUNDED_RING, false).await
}
