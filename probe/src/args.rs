//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use http::{HeaderName, Uri, header};

use crate::dialect::Api;

/// The seconds that a request may take, where nothing else is said.
const LONGEST_REQUEST: u64 = 180;

/// Tells whether an endpoint honours a session-affinity key, under which name, and what it gains.
///
/// Every conversation is run once without a key and once with a key under each name. The variants are
/// interleaved and have different prompts, so that none warms the cache of another. With no --url it
/// measures a simulation on this machine.
///
/// Exit codes: 0 measured; 1 the endpoint failed; 2 bad usage, nothing was sent; 3 --fail-if or
/// --min-gain is met; 4 --fail-if or --min-gain was given, and there is no telling; 130 interrupted.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100, args_override_self = true)]
pub(crate) struct Args {
    /// The whole address of an endpoint, mostly one that ends in /v1/chat/completions
    #[arg(
        long,
        value_name = "URL",
        requires = "model",
        help_heading = "Endpoint"
    )]
    pub(crate) url: Option<String>,

    /// The interface that the endpoint speaks; by default the end of --url tells
    #[arg(long, value_enum, requires = "url", help_heading = "Endpoint")]
    pub(crate) api: Option<Api>,

    /// The model to ask for
    #[arg(long, requires = "url", help_heading = "Endpoint")]
    pub(crate) model: Option<String>,

    /// The environment variable that holds the API key
    #[arg(long, value_name = "VAR", requires = "url", help_heading = "Endpoint")]
    pub(crate) api_key_env: Option<String>,

    /// Another header of every request, repeatable; ${VAR} in the value is read from the environment
    #[arg(
        long,
        value_name = "NAME: VALUE",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) header: Vec<String>,

    /// A field of every request's body, repeatable; a dot leads into an object: `options.num_ctx=8192`
    #[arg(
        long,
        value_name = "FIELD=JSON",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) set: Vec<String>,

    /// Leaves a field out of every request's body, repeatable
    #[arg(
        long,
        value_name = "FIELD",
        requires = "url",
        help_heading = "Endpoint"
    )]
    pub(crate) unset: Vec<String>,

    /// Seconds without a byte after which a request has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = "Endpoint")]
    pub(crate) timeout: u64,

    /// Seconds that a request may take in all [default: 180, or --timeout if that is longer]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Endpoint")]
    pub(crate) request_timeout: Option<u64>,

    /// The headers that carry the key, a variant each [default: x-session-affinity]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = header_name, help_heading = "Key")]
    pub(crate) header_name: Vec<HeaderName>,

    /// The top-level fields of the body that carry the key, a variant each, such as `prompt_cache_key`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = body_field, help_heading = "Key")]
    pub(crate) body_field: Vec<String>,

    /// Tries the name that is known for the endpoint's host, and then all other known names
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

    /// Conversations in each variant; a verdict takes at least 6
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Size")]
    pub(crate) conversations: u32,

    /// Recorded conversations instead of random words: a line of JSON with `messages` for each
    #[arg(long, value_name = "FILE", requires = "url", help_heading = "Size")]
    pub(crate) conversations_file: Option<PathBuf>,

    /// Requests in a conversation
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=100), help_heading = "Size")]
    pub(crate) turns: u32,

    /// Requests under way at once; several numbers are measured one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Size")]
    pub(crate) concurrency: Vec<u32>,

    /// The words that a conversation begins with, of about one token each
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(16..=200_000), help_heading = "Size")]
    pub(crate) prefix_tokens: u32,

    /// The most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Size")]
    pub(crate) max_tokens: u32,

    /// The seed of the random words and orders
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Size")]
    pub(crate) seed: u64,

    /// Replicas of the simulation, without --url
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32), conflicts_with = "url", help_heading = "Size")]
    pub(crate) replicas: u32,

    /// The price of a million prompt tokens that are not cached
    #[arg(long, value_name = "PRICE", requires = "price_cached", value_parser = price, help_heading = "Result")]
    pub(crate) price_input: Option<f64>,

    /// The price of a million prompt tokens from cache
    #[arg(long, value_name = "PRICE", requires = "price_input", value_parser = price, help_heading = "Result")]
    pub(crate) price_cached: Option<f64>,

    /// Ends with code 3 if every name is ignored, or if none gains anything
    #[arg(long, value_enum, help_heading = "Result")]
    pub(crate) fail_if: Option<FailIf>,

    /// Ends with code 3 if the best name gains fewer percentage points of the prompt from cache
    #[arg(long, value_name = "POINTS", value_parser = points, help_heading = "Result")]
    pub(crate) min_gain: Option<f64>,

    /// Writes every request and the result to this file
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) json: Option<PathBuf>,

    /// Writes the result to this file as Markdown, for the summary of a CI job
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) markdown: Option<PathBuf>,

    /// Draws the cached share by turn into this file
    #[arg(long, value_name = "FILE", help_heading = "Result")]
    pub(crate) svg: Option<PathBuf>,

    /// Sends the requests to --url without asking first
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The finding that is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailIf {
    /// No name makes a difference, though there is something to gain
    Ignored,
    /// No name gains anything, whether it is ignored, not needed or does harm
    NoGain,
}

impl Args {
    /// Returns the address of the endpoint, if one was given, or says what is wrong with it.
    ///
    /// It is not parsed with the other arguments, since these are repeated when they are wrong, and
    /// this one may hold a password.
    pub(crate) fn endpoint(&self) -> Result<Option<Uri>, String> {
        self.url.as_deref().map(endpoint).transpose()
    }

    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        let by_default = self.timeout.max(LONGEST_REQUEST);
        Duration::from_secs(self.request_timeout.unwrap_or(by_default))
    }
}

fn endpoint(url: &str) -> Result<Uri, String> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err("--url must begin with http:// or https://".to_owned());
    }
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("--url is no address: {error}"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    if authority.contains('@') {
        return Err("--url must not hold a password; give the key with --api-key-env".to_owned());
    }
    if host.is_empty() {
        return Err("--url has no host".to_owned());
    }
    // What is behind the host and no port would be passed over, and another port asked.
    if authority != host && uri.port().is_none() {
        return Err("--url has an invalid port".to_owned());
    }
    Ok(uri)
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.trim().parse().map_err(|error| format!("{error}"))?;
    // The layer keeps a header that is already there, so a key under one of these would not be sent.
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
        return Err("the requests need this header for something else".to_owned());
    }
    Ok(name)
}

fn body_field(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(is_plain) {
        return Err(
            "a field has 1 to 64 visible ASCII characters without quotes and backslashes"
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
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(format!("it is not in {} to {}", range.start(), range.end()))
    }
}
