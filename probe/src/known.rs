//! The names that providers are known to read, by host.

use http::Uri;
use tower_session_affinity::Destinations;

use crate::variant::Carrier;

/// Returns the known names for the endpoint's host, followed by all other known names.
pub(crate) fn carriers(endpoint: &Uri) -> Vec<Carrier> {
    let known = Destinations::known();
    let rows = known.find(endpoint).into_iter().chain(known.iter());
    rows.flat_map(|row| {
        let header = row.header_name().cloned().map(Carrier::Header);
        let field = row
            .body_field_name()
            .map(|name| Carrier::BodyField(name.to_owned()));
        header.into_iter().chain(field)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_host_comes_first() {
        for (url, first) in [
            ("https://api.x.ai/v1/chat/completions", "x-grok-conv-id"),
            (
                "https://openrouter.ai/api/v1/chat/completions",
                "x-session-id",
            ),
        ] {
            let names: Vec<_> = carriers(&Uri::from_static(url))
                .iter()
                .map(Carrier::to_string)
                .collect();
            assert_eq!(names[0], first);
            assert!(names.len() > 2, "{names:?}");
        }
    }
}
