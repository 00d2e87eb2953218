//! What JavaScript peers sent, recorded from real runs, compared with what this crate sends.
//!
//! `tests/fixtures/peer-vectors.json` has one recorded run per line. `session_affinity` is the
//! peer's option, `user_headers` are the caller's own headers, and `sent` is what arrived, or `null`
//! if the peer failed. `{{k*300}}` stands for `k` repeated 300 times.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    AffinityKey, HostPattern, InvalidAffinityKey, MergePolicy, SessionAffinityLayer,
};

const RUNS: &str = include_str!("fixtures/peer-vectors.json");
const DOCUMENT: &str = include_str!("../docs/peers.md");
const NAME: &str = "x-session-affinity";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A recorded run of a peer.
struct Run {
    /// Name and version.
    peer: String,
    mode: String,
    case: String,
    option: Option<String>,
    /// The caller's own affinity header.
    caller: Option<String>,
    /// The affinity headers that arrived, or `None` if the peer failed.
    sent: Option<Vec<String>>,
}

/// What this crate does in place of the peer.
enum Ours {
    Refused(InvalidAffinityKey),
    Sent {
        replace: Vec<String>,
        keep: Vec<String>,
    },
}

/// An item of a list in the document; all peers with the same item share it.
#[derive(PartialEq)]
struct Line {
    option: String,
    caller: String,
    sent: String,
    replace: String,
    keep: String,
    verdict: String,
}

/// What this crate does, compared with the peer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Same,
    Better,
    Refused,
}

impl Run {
    fn read(run: &Value) -> Option<Self> {
        let text = |field: &str| run[field].as_str().map(unfold);
        let (system, version, mode) = (text("system")?, text("version")?, text("mode")?);
        let sent = run["sent"]
            .as_array()
            .map(|headers| affinity_headers(headers));
        let option = match system.as_str() {
            // opencode has no such option: it sends the id of its own session.
            "opencode" => sent.as_ref()?.first().cloned(),
            _ => text("session_affinity"),
        };
        let mut callers = run["user_headers"].as_object().into_iter().flatten();
        Some(Self {
            peer: format!("{system} {version}"),
            mode,
            case: text("case")?,
            option,
            caller: callers
                .find(|(name, _)| name.eq_ignore_ascii_case(NAME))
                .and_then(|(_, value)| value.as_str().map(unfold)),
            sent,
        })
    }

    fn all() -> Vec<Self> {
        let runs: Vec<Value> = serde_json::from_str(RUNS).expect("the fixture is JSON");
        let read = |run| Self::read(run).expect("a run has all fields");
        runs.iter().map(read).collect()
    }

    /// Parses the key as an application does. In JavaScript an empty option counts as no option.
    fn key(&self) -> std::result::Result<Option<AffinityKey>, InvalidAffinityKey> {
        let option = self.option.as_deref().filter(|option| !option.is_empty());
        option.map(str::parse).transpose()
    }

    async fn ours(&self) -> Result<Ours> {
        Ok(match self.key() {
            Err(error) => Ours::Refused(error),
            Ok(key) => Ours::Sent {
                replace: self.send(key.clone(), MergePolicy::Replace).await?,
                keep: self.send(key, MergePolicy::Keep).await?,
            },
        })
    }

    /// Sends the caller's request over a socket and returns the affinity headers that arrive.
    async fn send(&self, key: Option<AffinityKey>, policy: MergePolicy) -> Result<Vec<String>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let uri = Uri::try_from(format!("http://{}/", listener.local_addr()?))?;

        let mut layer = SessionAffinityLayer::new().or(key).merge_policy(policy);
        let mut request = Request::get(uri);
        if self.is_redirected() {
            // The redirect carries the header to a different origin from the one that the key is for.
            layer = layer.only_hosts([HostPattern::from_static("first.example")]);
            request = request.header(NAME, self.option.as_deref().unwrap_or_default());
        }
        if let Some(caller) = &self.caller {
            request = request.header(NAME, caller);
        }
        let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
        let response = client.oneshot(request.body(Empty::<Bytes>::new())?);
        let (head, response) = tokio::join!(read_head(listener), response);
        response?;
        Ok(header_lines(&head?))
    }

    fn is_redirected(&self) -> bool {
        self.case.starts_with("redirect")
    }

    fn line(&self, ours: &Ours) -> Line {
        let retried = match self.case.as_str() {
            "retry-500" => ", sent again after a 500",
            case if case.starts_with("redirect") => ", sent on to another origin",
            _ => "",
        };
        let (replace, keep) = match ours {
            Ours::Refused(_) => (String::new(), String::new()),
            Ours::Sent { replace, keep } => (show_all(replace), show_all(keep)),
        };
        Line {
            option: match self.option.as_deref() {
                None => "no option".to_owned(),
                option => format!("option {}", show(option)),
            } + retried,
            caller: show(self.caller.as_deref()),
            sent: self
                .sent
                .as_deref()
                .map_or("failed with each request".to_owned(), |sent| {
                    format!("sent {}", show_all(sent))
                }),
            replace,
            keep,
            verdict: self.verdict(ours),
        }
    }

    fn verdict(&self, ours: &Ours) -> String {
        let (replace, keep) = match ours {
            Ours::Refused(error) => return error.to_string(),
            Ours::Sent { replace, keep } => (replace, keep),
        };
        let sent = self
            .sent
            .as_ref()
            .expect("no peer fails on a key that is valid here");
        assert!(
            replace.len() <= 1 && keep.len() <= 1,
            "{}: expected at most one header",
            self.case
        );
        let is_many = sent.len() > 1 || sent.iter().any(|value| value.contains(','));
        match (sent == replace, sent == keep) {
            (true, true) => "the same".to_owned(),
            (true, false) => "the same, under `Replace`".to_owned(),
            (false, true) => "the same, under `Keep`".to_owned(),
            _ if is_many => "better: exactly one".to_owned(),
            _ if self.is_redirected() => "better: none, by `.only_hosts`".to_owned(),
            _ => panic!("{} {}: worse than the peer", self.peer, self.case),
        }
    }
}

impl Line {
    fn show(&self, peers: &Peers) -> String {
        let modes = |modes: &BTreeSet<String>| modes.iter().cloned().collect::<Vec<_>>().join(", ");
        let peers = peers
            .iter()
            .map(|(peer, ways)| format!("{peer} ({})", modes(ways)));
        let peers = peers.collect::<Vec<_>>().join("; ");
        let Self {
            option,
            caller,
            sent,
            replace,
            keep,
            verdict,
        } = self;
        let caller = match caller.as_str() {
            "nothing" => String::new(),
            caller => format!(" beside the caller's {caller}"),
        };
        let ours = match self.group() {
            Group::Refused => "we refuse it".to_owned(),
            _ if replace == keep => format!("we send {keep}"),
            _ => format!("we send {replace} under `Replace` and {keep} under `Keep`"),
        };
        format!("- {option}{caller}: they {sent}, {ours} ({verdict}).\n  *{peers}*")
    }

    fn group(&self) -> Group {
        match self.verdict.split([':', ',']).next() {
            Some("the same") => Group::Same,
            Some("better") => Group::Better,
            _ => Group::Refused,
        }
    }
}

/// Expands `{{k*300}}`.
fn unfold(text: &str) -> String {
    let folded = text
        .strip_prefix("{{k*")
        .and_then(|text| text.strip_suffix("}}"));
    folded.map_or_else(
        || text.to_owned(),
        |count| "k".repeat(count.parse().expect("a number")),
    )
}

fn affinity_headers(headers: &[Value]) -> Vec<String> {
    let pairs = headers
        .iter()
        .filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)));
    pairs
        .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .map(|(_, value)| unfold(value))
        .collect()
}

async fn read_head(listener: TcpListener) -> Result<String> {
    let (mut connection, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    connection
        .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        .await?;
    Ok(String::from_utf8(head)?)
}

fn header_lines(head: &str) -> Vec<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .map(|(_, value)| value.to_owned())
        .collect()
}

fn show(value: Option<&str>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) if value.len() > 99 => format!("`k`, {} times", value.len()),
        Some(value) => format!("`{value:?}`"),
    }
}

fn show_all(values: &[String]) -> String {
    match values {
        [] => "nothing".to_owned(),
        values => {
            let values: Vec<_> = values.iter().map(|value| show(Some(value))).collect();
            values.join(" and ")
        }
    }
}

/// The peers of an item, each with the modes in which it sent.
type Peers = BTreeMap<String, BTreeSet<String>>;

/// Returns the list of each group.
async fn lists() -> Result<BTreeMap<Group, String>> {
    let mut lines: Vec<(Line, Peers)> = Vec::new();
    for run in Run::all() {
        let line = run.line(&run.ours().await?);
        let known = lines.iter().position(|(other, _)| *other == line);
        let index = known.unwrap_or_else(|| {
            lines.push((line, Peers::new()));
            lines.len() - 1
        });
        lines[index].1.entry(run.peer).or_default().insert(run.mode);
    }
    let mut lists = BTreeMap::new();
    for (line, peers) in lines {
        let list: &mut String = lists.entry(line.group()).or_default();
        writeln!(list, "{}", line.show(&peers))?;
    }
    Ok(lists)
}

#[tokio::test]
async fn every_recorded_run_has_the_outcome_that_the_document_states() -> Result<()> {
    for (group, list) in lists().await? {
        println!("{list}");
        assert!(
            DOCUMENT.contains(&list),
            "docs/peers.md does not have this list ({group:?}):\n{list}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn replace_sends_the_option_over_any_caller_header() -> Result<()> {
    let mut count = 0;
    for run in Run::all().into_iter().filter(|run| !run.is_redirected()) {
        if let (Ok(Some(key)), Ours::Sent { replace, .. }) = (run.key(), run.ours().await?) {
            assert_eq!(replace, [key.as_str()], "{} {}", run.peer, run.case);
            count += 1;
        }
    }
    assert_eq!(
        count, 24,
        "expected 24 recorded runs with a valid option, found {count}"
    );
    Ok(())
}

#[tokio::test]
async fn keep_sends_the_caller_header_over_any_option() -> Result<()> {
    let mut count = 0;
    for run in Run::all() {
        let Some(caller) = run.caller.as_ref().filter(|caller| !caller.is_empty()) else {
            continue;
        };
        if let Ours::Sent { keep, .. } = run.ours().await? {
            assert_eq!(keep, [caller.as_str()], "{} {}", run.peer, run.case);
            count += 1;
        }
    }
    assert_eq!(
        count, 17,
        "expected 17 recorded runs with a caller's header, found {count}"
    );
    Ok(())
}

#[test]
fn an_option_that_a_peer_failed_on_or_altered_is_refused() {
    for run in Run::all() {
        let Some(option) = run.option.as_deref().filter(|option| !option.is_empty()) else {
            continue;
        };
        let failed = run.sent.is_none();
        let altered = run.sent.iter().flatten().any(|value| {
            // If the caller sets the header as well, its value is sent instead.
            run.caller.is_none() && value != option
        });
        if failed || altered {
            assert!(
                run.key().is_err(),
                "{} {}: expected the key to be refused",
                run.peer,
                run.case
            );
        }
    }
}
