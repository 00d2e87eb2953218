//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use http::{HeaderName, Uri, header};

use crate::dialect::Api;

/// The default of `--request-timeout`, in seconds.
const LONGEST_REQUEST: u64 = 180;

/// Measures whether an endpoint honors a session-affinity key, under which name, and what it gains.
///
/// Each conversation runs once without a key, and once with a key under each name. These variants are
/// interleaved and have different prompts, so that none warms the cache for another. Without --url,
/// the probe measures a simulation on this machine.
///
/// Exit codes: 0 measured; 1 the endpoint failed; 2 bad usage, nothing was sent; 3 the result fails
/// --fail-if or --min-gain; 4 --fail-if or --min-gain cannot be checked; 130 interrupted.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100, args_override_self = true)]
pub(crate) struct Args {
    /// The full address of the endpoint, usually ending in /v1/chat/completions
    #[arg(
        long,
        value_name = "URL",
        requires = "model",
        help_heading = "Endpoint"
    )]
    pub(crate) url: Option<String>,

    /// The API that the endpoint speaks [default: chosen by the path of --url]
    #[arg(long, value_enum, requires = "url", help_heading = "Endpoint")]
    pub(crate) api: Option<Api>,

    /// The model to request
    #[arg(long, requires = "url", help_heading = "Endpoint")]
    pub(crate) model: Option<String>,

    /// The environment variable that holds the API key
    #[arg(long, value_name = "VAR", requires = "url", help_heading = "Endpoint")]
    pub(crate) api_key_env: Option<String>,

    /// Adds a header to every request; ${VAR} in the value is read from the environment (repeatable)
    #[arg(
        long,
        value_name = "NAME: VALUE",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) header: Vec<String>,

    /// Sets a field of every request body; a dot enters an object: `options.num_ctx=8192` (repeatable)
    #[arg(
        long,
        value_name = "FIELD=JSON",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) set: Vec<String>,

    /// Omits a field from every request body (repeatable)
    #[arg(
        long,
        value_name = "FIELD",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) unset: Vec<String>,

    /// Fails a request that receives no data for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = "Endpoint")]
    pub(crate) timeout: u64,

    /// Fails a request that takes longer than this in total [default: 180, or --timeout if longer]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Endpoint")]
    pub(crate) request_timeout: Option<u64>,

    /// The headers to send the key in, one variant each [default: x-session-affinity]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = header_name, help_heading = "Key")]
    pub(crate) header_name: Vec<HeaderName>,

    /// The top-level body fields to send the key in, one variant each, such as `prompt_cache_key`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = body_field, help_heading = "Key")]
    pub(crate) body_field: Vec<String>,

    /// Tries the known name for the endpoint's host, and then all other known names
    #[arg(long, requires = "url", help_heading = "Key")]
    pub(crate) known: bool,

    /// The response header that names the replica
    #[arg(
        long,
        value_name = "NAME",
        default_value = "x-replica",
        help_heading = "Key"
    )]
    pub(crate) replica_header: HeaderName,

    /// Conversations per variant; a verdict needs at least 6
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Size")]
    pub(crate) conversations: u32,

    /// Sends recorded conversations instead of random words: JSON Lines with `messages`
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Size")]
    pub(crate) conversations_file: Option<PathBuf>,

    /// Requests per conversation
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=100), help_heading = "Size")]
    pub(crate) turns: u32,

    /// Concurrent requests; several numbers are measured one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Size")]
    pub(crate) concurrency: Vec<u32>,

    /// Words in the opening prompt of a conversation, about one token each
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(16..=200_000), help_heading = "Size")]
    pub(crate) prefix_tokens: u32,

    /// Maximum tokens per answer
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Size")]
    pub(crate) max_tokens: u32,

    /// The seed for the random words and the order of requests
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Size")]
    pub(crate) seed: u64,

    /// Replicas in the simulation, if there is no --url
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32), conflicts_with = "url", help_heading = "Size")]
    pub(crate) replicas: u32,

    /// The price of a million uncached prompt tokens
    #[arg(long, value_name = "PRICE", requires = "price_cached", value_parser = price, help_heading = "Result")]
    pub(crate) price_input: Option<f64>,

    /// The price of a million cached prompt tokens
    #[arg(long, value_name = "PRICE", requires = "price_input", value_parser = price, help_heading = "Result")]
    pub(crate) price_cached: Option<f64>,

    /// Exits with code 3 if the key is ignored, or if it gains nothing
    #[arg(long, value_enum, value_name = "FINDING", help_heading = "Result")]
    pub(crate) fail_if: Option<FailIf>,

    /// Exits with code 3 if the best name gains fewer percentage points of cached prompt tokens
    #[arg(long, value_name = "POINTS", value_parser = points, help_heading = "Result")]
    pub(crate) min_gain: Option<f64>,

    /// Writes every request and the result to this file as JSON
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the result to this file as Markdown, for the summary of a CI job
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) markdown: Option<PathBuf>,

    /// Draws the cached share by turn to this file as SVG
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) svg: Option<PathBuf>,

    /// Sends the requests without asking for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The finding that fails a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailIf {
    /// The key is ignored, although there is something to gain
    Ignored,
    /// The key gains nothing, whether it is ignored, not needed or harmful
    NoGain,
}

impl Args {
    /// Returns the address of the endpoint, if there is one.
    ///
    /// It is not parsed with the other arguments: an error there repeats the argument, and an address
    /// may contain a password.
    ///
    /// # Errors
    ///
    /// If the address is not valid; the message says why.
    pub(crate) fn endpoint(&self) -> Result<Option<Uri>, String> {
        self.url.as_deref().map(endpoint).transpose()
    }

    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        let default = self.timeout.max(LONGEST_REQUEST);
        Duration::from_secs(self.request_timeout.unwrap_or(default))
    }
}

fn endpoint(url: &str) -> Result<Uri, String> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err("--url must begin with http:// or https://".to_owned());
    }
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("--url is not a valid address: {error}"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "--url must not contain a password; pass the key with --api-key-env".to_owned(),
        );
    }
    if host.is_empty() {
        return Err("--url has no host".to_owned());
    }
    // Text after the host that is not a port would be ignored, and the default port used.
    if authority != host && uri.port().is_none() {
        return Err("--url has an invalid port".to_owned());
    }
    Ok(uri)
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.trim().parse().map_err(|error| format!("{error}"))?;
    // The layer keeps a header that is already set, so a key under one of these would not be sent.
    let own = [
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::AUTHORIZATION,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
        header::USER_AGENT,
    ];
    if own.contains(&name) {
        return Err("the probe uses this header itself; choose a different name".to_owned());
    }
    Ok(name)
}

fn body_field(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(is_plain) {
        return Err(
            "a field name has 1 to 64 visible ASCII characters, and no quotes or backslashes"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn price(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1e9)
}

fn points(text: &str) -> Result<f64, String> {
    number(text, 0.0..=100.0)
}

fn number(text: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!(
            "must be between {} and {}",
            range.start(),
            range.end()
        ))
    }
}
