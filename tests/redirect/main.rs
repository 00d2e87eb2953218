//! What each origin receives across redirects, retries and hedges, over real sockets.

mod attempts;
mod case;
mod document;
mod origin;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tower::{BoxError, Layer};
use tower_http::follow_redirect::FollowRedirect;
use tower_http_06::follow_redirect::FollowRedirect as FollowRedirect06;
use tower_session_affinity::{
    AffinityKey, HostPattern, KeyExtractor, NoAffinity, SessionAffinityLayer,
};

use case::{Case, From, Place};
use origin::{client, exchange, origins};

const KEY: AffinityKey = AffinityKey::from_static("chat-7");

type Result<T> = std::result::Result<T, BoxError>;
type Outgoing = Request<Empty<Bytes>>;
type Source = Arc<dyn KeyExtractor + Send + Sync>;

/// The affinity headers of one request.
type Received = Vec<String>;

#[tokio::test]
async fn outside_a_redirect_layer_every_key_follows_to_a_different_origin() -> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Outside) {
        let hops = case.hops(&first, &second).await?;
        // The same as at the first origin; `.only_hosts` does not help here.
        assert_eq!(hops.other, [hops.first.clone(), hops.first]);
    }
    Ok(())
}

#[tokio::test]
async fn inside_a_redirect_layer_only_hosts_stops_every_key() -> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Inside && case.only_hosts) {
        let hops = case.hops(&first, &second).await?;
        assert_eq!(hops.other, [Received::new(), Received::new()]);
    }
    Ok(())
}

#[tokio::test]
async fn inside_a_redirect_layer_without_only_hosts_only_a_key_in_the_extensions_stays()
-> Result<()> {
    let (first, second) = origins().await?;
    for case in Case::all().filter(|case| case.place == Place::Inside && !case.only_hosts) {
        let hops = case.hops(&first, &second).await?;
        match case.from {
            From::Extension => assert_eq!(hops.other, [Received::new(), Received::new()]),
            _ => assert_eq!(hops.other, [hops.first.clone(), hops.first]),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_in_the_extensions_stays_within_an_origin_from_tower_http_0_7_on() -> Result<()> {
    let (first, second) = origins().await?;
    let inside = |case: &Case| case.place == Place::Inside && case.from == From::Extension;
    for case in Case::all().filter(inside) {
        let hops = case.hops(&first, &second).await?;
        assert_eq!(hops.same, [vec![KEY.as_str().to_owned()], Received::new()]);
    }
    Ok(())
}

#[tokio::test]
async fn a_no_affinity_marker_is_lost_with_the_extensions() -> Result<()> {
    let (first, second) = origins().await?;
    let layer = SessionAffinityLayer::new().or(KEY);
    let request = |path| -> Result<Outgoing> {
        Ok(Request::get(first.uri(path)?)
            .extension(NoAffinity)
            .body(Empty::new())?)
    };
    let (none, key) = ([""; 0], ["chat-7"]);

    exchange(
        FollowRedirect::new(layer.layer(client())),
        request("/other")?,
    )
    .await?;
    assert_eq!(first.take(), [none]);
    assert_eq!(second.take(), [key]);

    exchange(
        FollowRedirect::new(layer.layer(client())),
        request("/same")?,
    )
    .await?;
    assert_eq!(first.take(), [none, none]);

    exchange(
        FollowRedirect06::new(layer.layer(client())),
        request("/same")?,
    )
    .await?;
    assert_eq!(first.take(), [&none[..], &key[..]]);
    Ok(())
}

#[tokio::test]
async fn only_hosts_withholds_the_key_from_a_side_call_that_lost_its_marker() -> Result<()> {
    let (first, second) = origins().await?;
    let host: HostPattern = first.authority.parse()?;
    let layer = SessionAffinityLayer::new().or(KEY).only_hosts([host]);
    let request = Request::get(first.uri("/other")?).extension(NoAffinity);
    let client = FollowRedirect::new(layer.layer(client()));
    exchange(client, request.body(Empty::new())?).await?;
    assert_eq!([first.take(), second.take()], [[[""; 0]], [[""; 0]]]);
    Ok(())
}
