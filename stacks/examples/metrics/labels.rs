//! The labels of the counters.

use http::HeaderName;
use tower_session_affinity::{Destination, Destinations, Outcome, RequestHead};

/// Returns the labels of one request: the route, the host, the header and what the layer did.
///
/// The host is that of the table's row, or `other`. The host of the URI would make a new series for each
/// host that a caller chooses.
pub(crate) fn labels(
    route: &'static str,
    destinations: &Destinations,
    outcome: Outcome,
    head: RequestHead<'_>,
) -> [(&'static str, String); 5] {
    let row = destinations.find(head.uri());
    let header = row.and_then(Destination::header_name);
    let header = header.map_or("none", HeaderName::as_str);
    let host = row.map(|row| row.host().to_string());
    let host = host.unwrap_or_else(|| "other".to_owned());
    [
        ("route", route.to_owned()),
        ("host", host),
        ("header", header.to_owned()),
        ("outcome", outcome.as_str().to_owned()),
        ("sent", outcome.is_sent().to_string()),
    ]
}
