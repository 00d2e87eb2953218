//! The labels that requests are counted by.

use http::HeaderName;
use tower_session_affinity::{Destination, Destinations, Outcome, RequestHead};

/// What a layer did, on which route of the application, with which header, towards which host.
///
/// The host is that of the table's row, and `other` where there is none: a host that a caller chooses
/// would otherwise make a series of its own.
pub(crate) fn labels(
    route: &'static str,
    destinations: &Destinations,
    outcome: Outcome,
    head: RequestHead<'_>,
) -> [(&'static str, String); 5] {
    let row = destinations.find(head.uri());
    let header = row.and_then(Destination::header_name);
    let header = header.map_or("none", HeaderName::as_str);
    let host = row.map_or_else(|| "other".to_owned(), |row| row.host().to_string());
    [
        ("route", route.to_owned()),
        ("host", host),
        ("header", header.to_owned()),
        ("outcome", outcome.as_str().to_owned()),
        ("sent", outcome.is_sent().to_string()),
    ]
}
