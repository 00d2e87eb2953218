//! A conversation starts fifty children at once on four llama-servers: how one key, several keys and a bounded hash
//! share the load.
//!
//! It takes minutes: `cargo test -p gateways --test fan_out -- --ignored --nocapture --test-threads 1`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use gateways::engine::{Counters, Engine, Kind, Launch, Programs};
use gateways::{bare_client, launch, measure};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};
use tower_session_affinity::{AffinityKey, SessionAffinityLayer};

const CHILDREN: usize = 50;

/// Conversations, one after the other. Each has fifty children.
const CONVERSATIONS: usize = 3;

/// A way to share fifty children out among four replicas.
struct Variant {
    name: &'static str,
    gateway: &'static str,
    launch: Launch,
    /// The number of keys that the children of a conversation share.
    keys: usize,
}

const ONE_KEY: Variant = Variant {
    name: "the parent's key",
    gateway: "nginx",
    launch: |program, setup| launch::nginx(program, setup, &patient(&measure::nginx_conf())),
    keys: 1,
};

/// Lets a published configuration wait an hour for a first token, for a busy machine.
fn patient(published: &str) -> String {
    assert!(
        published.contains("300s"),
        "the configuration has no timeout of 300s"
    );
    published.replace("300s", "3600s")
}

/// What is known from one child's answer.
struct Answer {
    replica: String,
    tokens: Counters,
    first_token: Duration,
}

/// The sums over all conversations.
#[derive(Default)]
struct Outcome {
    /// Requests on the busiest replica of each conversation.
    busiest: Vec<usize>,
    tokens: Counters,
    first_tokens: Vec<Duration>,
}

/// Starts fifty children of each conversation at once, after one turn of the parent.
///
/// Returns `None` if a program is missing or the processor cannot run the server.
async fn fan_out(variant: &Variant) -> io::Result<Option<Outcome>> {
    let Some(programs) = Programs::find(Kind::LlamaCpp, Some(variant.gateway)) else {
        return Ok(None);
    };
    let Some(engine) = Engine::start(&programs, 4, &[], variant.launch).await? else {
        return Ok(None);
    };
    let (mut outcome, mut all) = (Outcome::default(), Counters::default());
    let before = engine.counters().await?;
    for conversation in 0..CONVERSATIONS {
        let parent = ask(engine.address, key(conversation, 0), conversation, "parent").await?;
        all += parent.tokens;
        let children = (0..CHILDREN).map(|number| {
            let key = key(conversation, number % variant.keys);
            ask(engine.address, key, conversation, format!("child {number}"))
        });
        let answers = try_join_all(children).await?;
        outcome.add(&answers);
    }
    all += outcome.tokens;
    assert_eq!(
        all,
        engine.settled(before, all).await?,
        "tokens that the answers report (left), tokens that the engine counts (right)"
    );
    tell(variant, &mut outcome);
    Ok(Some(outcome))
}

fn key(conversation: usize, shard: usize) -> AffinityKey {
    let key = format!("chat-{conversation}-{shard}").parse();
    key.expect("a valid key")
}

/// Sends the conversation so far, followed by a task, and reads the streamed answer.
async fn ask(
    gateway: SocketAddr,
    key: AffinityKey,
    conversation: usize,
    task: impl std::fmt::Display,
) -> io::Result<Answer> {
    let rules = (0..40).map(|rule| format!("Rule {rule} of case {conversation}: stay polite.\n"));
    let body = json!({
        "model": "m", "temperature": 0, "max_tokens": 8,
        "stream": true, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": rules.collect::<String>()},
            {"role": "user", "content": format!("You are the {task}. Say what you do.")},
        ],
    });
    let request = Request::post(format!("http://{gateway}/v1/chat/completions"))
        .header(header::CONTENT_TYPE, "application/json")
        .extension(key)
        .body(Full::from(Bytes::from(body.to_string())))
        .map_err(io::Error::other)?;
    let client = SessionAffinityLayer::new().layer(bare_client());
    let sent = Instant::now();
    let response = client.oneshot(request).await.map_err(io::Error::other)?;
    assert_eq!(response.status(), 200);
    let replica = response.headers()["x-replica"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let mut body = response.into_body();
    let (mut text, mut first_token) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if first_token.is_none() && events(&text).any(|event| has_token(&event)) {
            first_token = Some(sent.elapsed());
        }
    }
    let usage = events(&text).find(|event| event["usage"].is_object());
    let usage = &usage.ok_or_else(|| io::Error::other("an answer without usage"))?["usage"];
    let count = |value: &Value| value.as_u64().expect("a number of tokens");
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
    Ok(Answer {
        replica,
        tokens: Counters {
            computed: count(&usage["prompt_tokens"]) - cached,
            cached,
        },
        first_token: first_token.ok_or_else(|| io::Error::other("an answer without a token"))?,
    })
}

/// Returns the complete events.
fn events(text: &[u8]) -> impl Iterator<Item = Value> {
    let events = text.split(|byte| *byte == b'\n');
    events.filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data: ")?).ok())
}

fn has_token(event: &Value) -> bool {
    let content = &event["choices"][0]["delta"]["content"];
    content.as_str().is_some_and(|content| !content.is_empty())
}

impl Outcome {
    fn add(&mut self, answers: &[Answer]) {
        let mut shares = BTreeMap::<_, usize>::new();
        for answer in answers {
            *shares.entry(&answer.replica).or_default() += 1;
            self.tokens += answer.tokens;
            self.first_tokens.push(answer.first_token);
        }
        self.busiest.extend(shares.into_values().max());
    }

    /// How many of 1,000 tokens came from a cache.
    fn cached_of_thousand(&self) -> u64 {
        let Counters { computed, cached } = self.tokens;
        1_000 * cached / (computed + cached)
    }
}

/// Prints a row of the guide's table.
fn tell(variant: &Variant, outcome: &mut Outcome) {
    outcome.first_tokens.sort_unstable();
    let times = &outcome.first_tokens;
    let quantile = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let _ = writeln!(
        io::stderr(),
        "| {} | {:?} of {CHILDREN} | {} | {}.{} % | {:.1?} | {:.1?} |",
        variant.name,
        outcome.busiest,
        outcome.tokens.computed,
        outcome.cached_of_thousand() / 10,
        outcome.cached_of_thousand() % 10,
        quantile(50),
        quantile(99),
    );
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn several_keys_share_the_load_and_compute_more_tokens() -> io::Result<()> {
    let mut computed = 0;
    for (name, keys) in [
        ("the parent's key", 1),
        ("4 keys", 4),
        ("16 keys", 16),
        ("a key for each", CHILDREN),
    ] {
        let variant = Variant {
            name,
            keys,
            ..ONE_KEY
        };
        let Some(outcome) = fan_out(&variant).await? else {
            return Ok(());
        };
        let alone = outcome.busiest.iter().all(|busiest| *busiest == CHILDREN);
        assert_eq!(
            alone,
            keys == 1,
            "{name}: requests on the busiest replica: {:?}",
            outcome.busiest
        );
        if keys == 1 {
            computed = outcome.tokens.computed;
        }
        assert!(
            outcome.tokens.computed >= computed,
            "{name}: {} tokens computed, but {computed} with one key",
            outcome.tokens.computed
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_bounded_haproxy_shares_the_load_of_one_key() -> io::Result<()> {
    let variant = Variant {
        name: "the parent's key, HAProxy bounded at 1.5",
        gateway: "haproxy",
        launch: |program, setup| {
            let named = "default_backend replicas\n  http-response set-header x-replica %s";
            let published = launch::bounded_haproxy();
            let published = published.replace("default_backend replicas", named);
            launch::haproxy(program, setup, &patient(&published))
        },
        ..ONE_KEY
    };
    if let Some(outcome) = fan_out(&variant).await? {
        // The bound is on concurrent requests, so a fast replica may get more of them in total.
        let spilled = outcome.busiest.iter().all(|busiest| *busiest < CHILDREN);
        assert!(
            spilled,
            "requests on the busiest replica: {:?}, expected fewer than {CHILDREN}",
            outcome.busiest
        );
    }
    Ok(())
}

/// Children that come at once, each on a new connection, exceed Envoy's bound, so this asserts only that all are
/// answered and that the token counts agree.
#[tokio::test]
#[ignore = "takes minutes"]
async fn a_bounded_envoy_answers_a_burst_on_one_key() -> io::Result<()> {
    let variant = Variant {
        name: "the parent's key, Envoy bounded at 1.5",
        gateway: "envoy",
        launch: |program, setup| launch::envoy(program, setup, &patient(&bounded_envoy())),
        ..ONE_KEY
    };
    fan_out(&variant).await?;
    Ok(())
}

/// Returns the bounded Maglev configuration with two changes: it names the replica in the answer, and it opens a
/// connection for each request, because llama-server closes each one after its answer.
fn bounded_envoy() -> String {
    let named = concat!(
        "          route_config:\n            response_headers_to_add:\n",
        "            - header: { key: x-replica, value: \"%UPSTREAM_REMOTE_ADDRESS%\" }\n",
    );
    let published = launch::bounded_maglev();
    let fresh = "    lb_policy: MAGLEV\n    max_requests_per_connection: 1\n";
    published
        .replace("          route_config:\n", named)
        .replace("    lb_policy: MAGLEV\n", fresh)
}
