//! The checks that every gateway must pass.
//!
//! Each function starts its own gateway, and returns at once if the program is missing. It panics if a check fails.
//! It writes what it measured to standard error, which `cargo test -- --nocapture` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use tower::{Layer as _, Service};
use tower_session_affinity::{MergePolicy, SessionAffinityLayer};

use crate::cluster::PATIENCE;
use crate::process::print;
use crate::{Cluster, Spec};

const KEYS: usize = 1_000;
const KEYLESS: usize = 200;

/// How long keys are watched after a replica dies: longer than any health check here takes to notice.
const WATCH: Duration = Duration::from_secs(5);

/// Each of 1,000 keys stays on one replica, and all four replicas get a share of the keys.
///
/// # Errors
///
/// Returns an error if the gateway does not start.
///
/// # Panics
///
/// If a key moves, or if a replica gets less than a tenth of the keys.
pub async fn every_key_stays_on_one_replica(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let placed = place(&cluster, &cluster.client()).await;
    for _turn in 0..2 {
        let moved = moved(&placed, &place(&cluster, &cluster.client()).await);
        assert!(moved.is_empty(), "keys that moved: {moved:?}");
    }
    let shares = count(&placed);
    report(spec, format_args!("{KEYS} keys on {shares:?}"));
    assert_eq!(shares.len(), 4, "replicas that got keys: {shares:?}");
    assert!(
        shares.iter().all(|share| *share >= KEYS / 10),
        "a replica got less than a tenth of the keys: {shares:?}"
    );
    Ok(())
}

/// Requests without a key, or with a blank header, reach all four replicas.
///
/// # Errors
///
/// Returns an error if the gateway does not start.
///
/// # Panics
///
/// If a replica gets less than a tenth of the requests, or if a request has the header.
pub async fn requests_without_a_key_are_spread_over_all_replicas(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    for lines in [&[][..], &[""], &[" "]] {
        let shares = shares_of_keyless(&cluster, &cluster.client(), lines).await;
        report(spec, format_args!("no key, header {lines:?}: {shares:?}"));
        assert_eq!(
            shares.len(),
            4,
            "replicas that got requests with the header {lines:?}: {shares:?}"
        );
        let least = KEYLESS / 10;
        assert!(
            shares.iter().all(|share| *share >= least),
            "a replica got less than a tenth of the requests: {shares:?}"
        );
        assert_eq!(
            cluster.sent.take(),
            BTreeMap::from([(0, KEYLESS)]),
            "requests by number of header lines"
        );
    }
    Ok(())
}

/// Blank headers send all requests to one replica. The layer removes them, and the requests spread.
///
/// # Errors
///
/// Returns an error if the gateway does not start.
///
/// # Panics
///
/// If either is not the case.
pub async fn blank_headers_all_go_to_one_replica_without_the_layer(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let bare = shares_of_keyless(&cluster, &cluster.bare_client(), &[""]).await;
    let layered = shares_of_keyless(&cluster, &cluster.client(), &[""]).await;
    report(
        spec,
        format_args!("blank header: {bare:?} without the layer, {layered:?} with it"),
    );
    assert_eq!(bare, [KEYLESS], "requests per replica without the layer");
    assert_eq!(layered.len(), 4, "replicas with the layer: {layered:?}");
    Ok(())
}

/// Sends 200 requests with these header lines and no key, and returns how many each replica gets, in
/// descending order.
///
/// # Panics
///
/// If a request fails.
pub async fn shares_of_keyless<S>(
    cluster: &Cluster,
    client: &S,
    lines: &[&'static str],
) -> Vec<usize>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone,
    S::Error: fmt::Debug,
{
    let requests = (0..KEYLESS).map(|_| cluster.with_lines(lines));
    count(&cluster.send_all(client, requests).await)
}

/// When a replica dies, no request fails and its keys move. When it comes back, they return.
///
/// It dies between two requests: a request that it is working on would be lost with any gateway.
///
/// # Errors
///
/// Returns an error if the gateway does not start.
///
/// # Panics
///
/// If a request fails, if more than `others_moved` keys of the other replicas move, or if the keys do not
/// return.
pub async fn when_a_replica_dies_only_its_keys_move_and_return_with_it(
    spec: &Spec,
    others_moved: usize,
) -> io::Result<()> {
    let Some(mut cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let before = place(&cluster, &cluster.client()).await;
    let dead = cluster.replicas[0].address;
    let owned: BTreeSet<_> = (0..KEYS).filter(|key| before[*key] == dead).collect();

    cluster.replicas[0].kill().await?;
    let end = Instant::now() + WATCH;
    let mut all_moved = BTreeSet::new();
    // On a busy machine, five seconds may be one round that began before the gateway noticed.
    while Instant::now() < end
        || (!all_moved.is_superset(&owned) && Instant::now() < end + PATIENCE)
    {
        all_moved.extend(moved(&before, &place(&cluster, &cluster.client()).await));
    }
    let others = all_moved.difference(&owned).count();
    report(
        spec,
        format_args!(
            "{} keys moved; the dead replica had {}",
            all_moved.len(),
            owned.len()
        ),
    );
    let stayed = owned.difference(&all_moved).count();
    assert_eq!(stayed, 0, "keys of the dead replica that did not move");
    assert!(
        others <= others_moved,
        "{others} keys of the other replicas moved, expected at most {others_moved}"
    );

    cluster.replicas[0].restart().await?;
    let back = Instant::now();
    while place(&cluster, &cluster.client()).await != before {
        assert!(
            back.elapsed() < PATIENCE,
            "the keys do not return to the restarted replica within a minute"
        );
        sleep(Duration::from_millis(100)).await;
    }
    report(
        spec,
        format_args!("keys back within {:.1?}", back.elapsed()),
    );
    Ok(())
}

/// Whatever the caller wrote, the gateway gets one line of the header, and a replica gets at most one.
///
/// # Errors
///
/// Returns an error if the gateway does not start.
///
/// # Panics
///
/// If a request is sent or forwarded with a different number of lines.
pub async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote(
    spec: &Spec,
) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let forwarded = usize::from(spec.forwards);
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        let client = SessionAffinityLayer::new()
            .header_name(spec.header_name.clone())
            .merge_policy(policy)
            .layer(cluster.bare_client());
        let requests = [&[][..], &["", ""], &["a"], &["a", "b"], &["", "a", "b"]].map(|lines| {
            let mut request = cluster.with_lines(lines);
            *request.extensions_mut() = cluster.keyed("ours").extensions().clone();
            request
        });
        let count = requests.len();
        cluster.send_all(&client, requests).await;
        assert_eq!(
            cluster.sent.take(),
            BTreeMap::from([(1, count)]),
            "requests to the gateway by number of header lines, with {policy:?}"
        );
        let received = cluster.take_received();
        assert_eq!(
            received,
            BTreeMap::from([(forwarded, count)]),
            "requests to the replicas by number of header lines, with {policy:?}"
        );
    }
    // The counter does see a second line if there is one.
    let twice = cluster.with_lines(&["a", "b"]);
    cluster.send_all(&cluster.bare_client(), [twice]).await;
    assert_eq!(
        cluster.sent.take(),
        BTreeMap::from([(2, 1)]),
        "requests of a client without the layer by number of header lines"
    );
    Ok(())
}

/// Sends one request for each of 1,000 keys and returns the replicas that answered.
///
/// # Panics
///
/// If a request fails.
pub async fn place<S>(cluster: &Cluster, client: &S) -> Vec<SocketAddr>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>> + Clone,
    S::Error: fmt::Debug,
{
    let requests = (0..KEYS).map(|key| cluster.keyed(&format!("chat-{key}")));
    cluster.send_all(client, requests).await
}

/// Returns the numbers of the keys whose replica is a different one.
#[must_use]
pub fn moved(before: &[SocketAddr], after: &[SocketAddr]) -> Vec<usize> {
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter_map(|(key, (before, after))| (before != after).then_some(key))
        .collect()
}

/// Returns how many of these answers each replica gave, in descending order.
#[must_use]
pub fn count(answers: &[SocketAddr]) -> Vec<usize> {
    let mut shares = BTreeMap::<_, usize>::new();
    for replica in answers {
        *shares.entry(replica).or_default() += 1;
    }
    let mut shares: Vec<_> = shares.into_values().collect();
    shares.sort_unstable_by(|a, b| b.cmp(a));
    shares
}

/// Prints a measurement, for the tables of the guide.
pub fn report(spec: &Spec, seen: fmt::Arguments<'_>) {
    print(&format!("{} ({}): {seen}", spec.program, spec.header_name));
}
