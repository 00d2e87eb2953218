//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use http::{HeaderName, Uri, header};

/// Tells whether an endpoint honours a session-affinity header, and what it gains.
///
/// Every conversation is run twice, once without a key and once with one. The two are interleaved and
/// have different prompts, so that neither warms the cache of the other. With no --url it measures a
/// simulation on this machine.
///
/// Exit codes: 0 measured, 1 the endpoint failed, 2 bad usage, 130 interrupted.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100, args_override_self = true)]
pub(crate) struct Args {
    /// The whole address of a chat completions endpoint, mostly one that ends in /v1/chat/completions
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) url: Option<String>,

    /// The model to ask for
    #[arg(long, requires = "url")]
    pub(crate) model: Option<String>,

    /// The environment variable that holds the API key
    #[arg(long, value_name = "VAR", requires = "url")]
    pub(crate) api_key_env: Option<String>,

    /// The header that carries the key
    #[arg(long, value_name = "NAME", default_value = "x-session-affinity", value_parser = header_name)]
    pub(crate) header_name: HeaderName,

    /// The response header that names the replica
    #[arg(long, value_name = "NAME", default_value = "x-replica")]
    pub(crate) replica_header: HeaderName,

    /// Conversations, each run with and without a key; a verdict takes at least 6
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) conversations: u32,

    /// Requests in a conversation
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) turns: u32,

    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) concurrency: u32,

    /// The words that a conversation begins with, of about one token each
    #[arg(long, value_name = "N", default_value_t = 1200, value_parser = clap::value_parser!(u32).range(16..=200_000))]
    pub(crate) prefix_tokens: u32,

    /// The most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_tokens: u32,

    /// The seed of the random words and orders
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Seconds without a byte after which a request has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,

    /// Replicas of the simulation, without --url
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32), conflicts_with = "url")]
    pub(crate) replicas: u32,

    /// Writes every request and the result to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Draws the cached share by turn into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Sends the requests to --url without asking first
    #[arg(long)]
    pub(crate) yes: bool,
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
    let name: HeaderName = text.parse().map_err(|error| format!("{error}"))?;
    // The layer keeps a header that is already there, so a key under one of these would not be sent.
    let own = [
        header::ACCEPT,
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::USER_AGENT,
    ];
    if own.contains(&name) {
        return Err("the requests need this header for something else".to_owned());
    }
    Ok(name)
}
