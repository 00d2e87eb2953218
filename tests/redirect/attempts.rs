//! Which key each attempt of a retry or hedge carries.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tower::hedge::Hedge;
use tower::retry::Retry;
use tower::{BoxError, Layer, Service};
use tower_session_affinity::{SessionAffinityLayer, from_fn};

use crate::case::{Case, From, Place};
use crate::origin::{client, exchange, origins};
use crate::{Outgoing, Result, Source};

/// Retries a request at most this many times while the answer is a server error.
#[derive(Clone)]
struct Again(usize);

impl<B, E> tower::retry::Policy<Outgoing, http::Response<B>, E> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Outgoing,
        result: &mut std::result::Result<http::Response<B>, E>,
    ) -> Option<Self::Future> {
        let failed = result
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error());
        self.0 = self.0.checked_sub(1)?;
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }
}

impl tower::hedge::Policy<Outgoing> for Again {
    fn clone_request(&self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Outgoing) -> bool {
        true
    }
}

#[tokio::test]
async fn every_attempt_of_a_retry_carries_the_same_single_key() -> Result<()> {
    let (first, _second) = origins().await?;
    for case in Case::all() {
        let (layer, request) = (case.layer(&first)?, case.from.request(first.uri("/busy")?)?);
        match case.place {
            Place::Outside => {
                exchange(layer.layer(Retry::new(Again(2), client())), request).await?;
            }
            Place::Inside => {
                exchange(Retry::new(Again(2), layer.layer(client())), request).await?;
            }
        }
        assert_eq!(first.take(), vec![case.expected(); 3]);
    }
    Ok(())
}

#[tokio::test]
async fn a_closure_is_asked_for_each_attempt_inside_a_retry_and_once_outside() -> Result<()> {
    let (first, _second) = origins().await?;
    let request = || From::Fixed.request(first.uri("/busy")?);
    let layer = || {
        let attempts = AtomicUsize::new(0);
        let count = move || attempts.fetch_add(1, Ordering::Relaxed);
        let source: Source = Arc::new(from_fn(move |_| count().to_string().parse().ok()));
        SessionAffinityLayer::new().or(source)
    };
    exchange(Retry::new(Again(2), layer().layer(client())), request()?).await?;
    assert_eq!(first.take(), [["0"], ["1"], ["2"]]);

    exchange(layer().layer(Retry::new(Again(2), client())), request()?).await?;
    assert_eq!(first.take(), [["0"], ["0"], ["0"]]);
    Ok(())
}

#[tokio::test]
async fn every_attempt_of_a_hedge_carries_the_same_single_key() -> Result<()> {
    let (first, _second) = origins().await?;
    for case in Case::all() {
        let (layer, request) = (case.layer(&first)?, case.from.request(first.uri("/slow")?)?);
        match case.place {
            Place::Outside => exchange(layer.layer(hedged(client())), request).await?,
            Place::Inside => exchange(hedged(layer.layer(client())), request).await?,
        }
        assert_eq!(first.take(), vec![case.expected(); 2]);
    }
    Ok(())
}

/// Sends a second attempt if there is no answer after a millisecond.
fn hedged<S>(service: S) -> Hedge<S, Again>
where
    S: Service<Outgoing> + Clone,
    S::Error: Into<BoxError>,
{
    let (points, percentile, period) = (1, 0.9, Duration::from_secs(60));
    Hedge::new_with_mock_latencies(service, Again(1), points, percentile, period, &[1; 10])
}
