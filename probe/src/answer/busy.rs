//! The wait that a busy endpoint asks for.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

/// OpenAI's and Azure's headers with milliseconds.
const MILLISECONDS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-retry-after-ms"];

/// Anthropic's status for an overloaded service.
const OVERLOADED: u16 = 529;

/// Whether a retry makes sense: always for 429, and for 503 and 529 if they say when.
pub(super) fn is_busy(status: StatusCode, retry_after: Option<Duration>) -> bool {
    let says_when = status == StatusCode::SERVICE_UNAVAILABLE || status.as_u16() == OVERLOADED;
    status == StatusCode::TOO_MANY_REQUESTS || says_when && retry_after.is_some()
}

/// Reads milliseconds, seconds with or without a fraction and a unit, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let texts = |name: &str| {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok().map(str::trim))
            .collect::<Vec<_>>()
    };
    let milliseconds = MILLISECONDS.iter().flat_map(|name| texts(name));
    let mut milliseconds = milliseconds.filter_map(|text| span(text, 1e-3));
    let asked = texts(header::RETRY_AFTER.as_str());
    milliseconds.next().or_else(|| {
        asked
            .into_iter()
            .find_map(|text| span(text, 1.0).or_else(|| until(text)))
    })
}

/// Reads a number with a unit; without one, `unit` is the unit in seconds.
fn span(text: &str, unit: f64) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let units = [
        ("ms", 1e-3),
        ("seconds", 1.0),
        ("sec", 1.0),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let named = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = named.unwrap_or((&text, unit));
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64((number * unit).max(0.0)).ok()
}

fn until(date: &str) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn millis(name: &'static str, value: &str) -> Option<u128> {
        let value = HeaderValue::try_from(value).expect("valid");
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), value)]);
        retry_after(&headers).map(|wait| wait.as_millis())
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        let in_an_hour = millis("retry-after", &in_an_hour);
        assert!(
            in_an_hour.is_some_and(|wait| (3_500_000..=3_600_000).contains(&wait)),
            "{in_an_hour:?}"
        );
        assert_eq!(millis("retry-after", "7"), Some(7000));
        assert_eq!(
            millis("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(0)
        );
        assert_eq!(
            millis("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT"),
            Some(0)
        );
        assert_eq!(millis("retry-after", "soon"), None);
        assert_eq!(millis("retry-after", "inf"), None);
    }

    #[test]
    fn fractions_units_and_milliseconds_are_read() {
        for (name, value, expected) in [
            ("retry-after", "0.5", 500),
            ("retry-after", "1.5s", 1500),
            ("retry-after", "250ms", 250),
            ("retry-after", "-1", 0),
            ("retry-after-ms", "250", 250),
            ("x-ms-retry-after-ms", "250.5", 250),
        ] {
            assert_eq!(millis(name, value), Some(expected), "{name}: {value}");
        }
    }

    #[test]
    fn milliseconds_take_precedence_over_seconds() {
        let headers = [("retry-after", "1"), ("retry-after-ms", "20")];
        let headers = headers.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        assert_eq!(
            retry_after(&HeaderMap::from_iter(headers)),
            Some(Duration::from_millis(20))
        );
    }

    #[test]
    fn an_endpoint_is_busy_if_it_says_when_to_retry_and_with_429_always() {
        let when = Some(Duration::ZERO);
        let busy = |status, when| is_busy(StatusCode::from_u16(status).expect("a status"), when);
        assert!(busy(429, None) && busy(503, when) && busy(529, when));
        assert!(!busy(503, None) && !busy(529, None) && !busy(500, when));
    }
}
