//! What is asked of every gateway.
//!
//! Each function starts a gateway of its own, returns at once where the program is missing, panics
//! where a promise is broken, and writes what it saw to the standard error, which
//! `cargo test -- --nocapture` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
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
use crate::{Cluster, Spec};

const KEYS: usize = 1_000;
const KEYLESS: usize = 200;

/// For how long a dead replica is watched: longer than any health check here takes to notice.
const MOURNING: Duration = Duration::from_secs(5);

/// A thousand keys stay on one replica each, and all four have their share.
///
/// # Errors
///
/// If the gateway does not start.
///
/// # Panics
///
/// If a key moves or a replica has less than a tenth of the keys.
pub async fn every_key_stays_on_one_replica(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let placed = place(&cluster, &cluster.client()).await;
    for _turn in 0..2 {
        let moved = moved(&placed, &place(&cluster, &cluster.client()).await);
        assert!(moved.is_empty(), "{moved:?}");
    }
    let shares = count(&placed);
    report(spec, format_args!("{KEYS} keys on {shares:?}"));
    assert_eq!(shares.len(), 4);
    assert!(shares.iter().all(|share| *share >= KEYS / 10), "{shares:?}");
    Ok(())
}

/// Requests without a key, or with a blank one, reach all four replicas.
///
/// # Errors
///
/// If the gateway does not start.
///
/// # Panics
///
/// If a replica has less than a tenth of the requests, or one arrives with a header.
pub async fn requests_without_a_key_spread(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    for lines in [&[][..], &[""], &[" "]] {
        let shares = shares_of_keyless(&cluster, &cluster.client(), lines).await;
        report(spec, format_args!("no key, header {lines:?}: {shares:?}"));
        assert_eq!(shares.len(), 4, "{lines:?} reached {shares:?}");
        let least = KEYLESS / 10;
        assert!(shares.iter().all(|share| *share >= least), "{shares:?}");
        assert_eq!(cluster.sent.take(), BTreeMap::from([(0, KEYLESS)]));
    }
    Ok(())
}

/// A blank header sends all requests to one replica; with the layer they have none, and spread.
///
/// # Errors
///
/// If the gateway does not start.
///
/// # Panics
///
/// If either is not so.
pub async fn blank_headers_pile_up_without_the_layer(spec: &Spec) -> io::Result<()> {
    let Some(cluster) = Cluster::start(spec).await? else {
        return Ok(());
    };
    let bare = shares_of_keyless(&cluster, &cluster.bare_client(), &[""]).await;
    let layered = shares_of_keyless(&cluster, &cluster.client(), &[""]).await;
    report(
        spec,
        format_args!("blank header: {bare:?} without the layer, {layered:?} with it"),
    );
    assert_eq!(bare, [KEYLESS]);
    assert_eq!(layered.len(), 4);
    Ok(())
}

/// Returns how many of 200 requests with these lines and no key each replica gets, the most first.
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

/// When a replica dies no request fails and its keys move; when it comes back they return.
///
/// It dies between two requests: one that it was working on would be lost with any gateway.
///
/// # Errors
///
/// If the gateway does not start.
///
/// # Panics
///
/// If a request fails, more of the other replicas' keys move than `others_moved`, or the keys do not
/// return.
pub async fn a_dead_replica_moves_only_its_keys(
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
    let end = Instant::now() + MOURNING;
    let mut all_moved = BTreeSet::new();
    // On a busy machine that may be one round, begun before the gateway noticed.
    while Instant::now() < end
        || (!all_moved.is_superset(&owned) && Instant::now() < end + PATIENCE)
    {
        all_moved.extend(moved(&before, &place(&cluster, &cluster.client()).await));
    }
    let others = all_moved.difference(&owned).count();
    report(
        spec,
        format_args!(
            "{} keys moved, {} of the dead one",
            all_moved.len(),
            owned.len()
        ),
    );
    assert!(all_moved.is_superset(&owned));
    assert!(others <= others_moved, "{others} others moved");

    cluster.replicas[0].restart().await?;
    let back = Instant::now();
    while place(&cluster, &cluster.client()).await != before {
        assert!(back.elapsed() < PATIENCE, "the keys do not return");
        sleep(Duration::from_millis(100)).await;
    }
    report(
        spec,
        format_args!("keys back within {:.1?}", back.elapsed()),
    );
    Ok(())
}

/// Whatever the caller wrote, the gateway gets one line of the header, and a replica no second one.
///
/// # Errors
///
/// If the gateway does not start.
///
/// # Panics
///
/// If a request leaves with another number of lines.
pub async fn one_line_leaves_whatever_the_caller_wrote(spec: &Spec) -> io::Result<()> {
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
            "{policy:?}"
        );
        let received = cluster.take_received();
        assert_eq!(received, BTreeMap::from([(forwarded, count)]), "{policy:?}");
    }
    // The count sees a second line where there is one.
    let twice = cluster.with_lines(&["a", "b"]);
    cluster.send_all(&cluster.bare_client(), [twice]).await;
    assert_eq!(cluster.sent.take(), BTreeMap::from([(2, 1)]));
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

/// Returns the keys whose replica is another one, by their number.
#[must_use]
pub fn moved(before: &[SocketAddr], after: &[SocketAddr]) -> Vec<usize> {
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter_map(|(key, (before, after))| (before != after).then_some(key))
        .collect()
}

/// Returns how many of these answers each replica gave, the most first.
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

/// Writes what was seen, for the table in the README.
pub fn report(spec: &Spec, seen: fmt::Arguments<'_>) {
    let _ = writeln!(
        io::stderr(),
        "{} ({}): {seen}",
        spec.program,
        spec.header_name
    );
}
