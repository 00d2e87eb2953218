//! Every row of the merge table, and the list of hosts, through every adapter.

use http::Request;
use tower_session_affinity::MergePolicy::{Keep, Replace};
use tower_session_affinity::{
    AffinityKey, FromExtension, HostPattern, MergePolicy, NoAffinity, Or, SessionAffinityLayer,
};

use crate::support::{Adapter, Hosts, Server, key};

type FixedKey = SessionAffinityLayer<Or<FromExtension, Option<AffinityKey>>>;

/// A row of the table in the documentation of `MergePolicy`, with a request that it applies to.
struct Row {
    policy: MergePolicy,
    marked: bool,
    theirs: &'static [&'static str],
    ours: Option<&'static str>,
    sent: &'static [&'static str],
}

/// In the order of the columns: the policy, the caller's lines, our key, the lines that are sent.
const fn row(
    policy: MergePolicy,
    theirs: &'static [&'static str],
    ours: Option<&'static str>,
    sent: &'static [&'static str],
) -> Row {
    Row {
        policy,
        marked: false,
        theirs,
        ours,
        sent,
    }
}

const fn marked(policy: MergePolicy, theirs: &'static [&'static str]) -> Row {
    Row {
        policy,
        marked: true,
        theirs,
        ours: Some("ours"),
        sent: &[],
    }
}

const ROWS: &[Row] = &[
    marked(Keep, &[]),
    marked(Keep, &["theirs"]),
    marked(Replace, &[]),
    marked(Replace, &["theirs"]),
    row(Keep, &["theirs"], Some("ours"), &["theirs"]),
    row(Keep, &["theirs"], None, &["theirs"]),
    row(Keep, &["theirs", "more"], Some("ours"), &["theirs"]),
    row(Keep, &["", "theirs", "more"], None, &["theirs"]),
    row(Keep, &["not, a key"], Some("ours"), &["not, a key"]),
    row(Replace, &["theirs"], Some("ours"), &["ours"]),
    row(Replace, &["theirs"], None, &[]),
    row(Replace, &["", "theirs", "more"], Some("ours"), &["ours"]),
    row(Replace, &["theirs", "more"], None, &[]),
    row(Keep, &[], Some("ours"), &["ours"]),
    row(Keep, &[" "], Some("ours"), &["ours"]),
    row(Keep, &["", "\t "], Some("ours"), &["ours"]),
    row(Replace, &[], Some("ours"), &["ours"]),
    row(Replace, &["", "\t "], Some("ours"), &["ours"]),
    row(Keep, &[], None, &[]),
    row(Keep, &[" "], None, &[]),
    row(Keep, &["", "\t "], None, &[]),
    row(Replace, &[], None, &[]),
    row(Replace, &["", "\t "], None, &[]),
];

impl Row {
    fn layer(&self) -> FixedKey {
        SessionAffinityLayer::new()
            .or(self.ours.map(key))
            .merge_policy(self.policy)
    }

    fn request(&self, url: String) -> Request<String> {
        let mut request = Request::post(url);
        for value in self.theirs {
            request = request.header("x-session-affinity", *value);
        }
        if self.marked {
            request = request.extension(NoAffinity);
        }
        request.body("a prompt".to_owned()).unwrap()
    }
}

/// Sends each row's request without a list of hosts, to a listed host, and to an unlisted one.
async fn assert_follows_the_table(adapter: Adapter) {
    let listed = |row: &&Row| adapter.sees_extensions() || !row.marked;
    for (index, row) in ROWS.iter().enumerate().filter(|(_, row)| listed(row)) {
        let server = Server::start().await;
        let here: HostPattern = server.authority().parse().unwrap();
        let elsewhere = HostPattern::from_static("elsewhere.example");
        let layers = [
            row.layer(),
            row.layer().only_hosts([here]),
            row.layer().only_hosts([elsewhere]),
        ];
        for layer in layers {
            let request = row.request(server.url("/"));
            adapter.send(layer, &Hosts::default(), request).await;
        }
        let sent: Vec<_> = row.sent.iter().map(ToString::to_string).collect();
        assert_eq!(
            server.lines(),
            [sent.clone(), sent, vec![]],
            "{adapter:?}, row {index}"
        );
    }
}

#[tokio::test]
async fn hyper_util_follows_the_table() {
    assert_follows_the_table(Adapter::Hyper).await;
}

#[tokio::test]
async fn a_hook_that_calls_stamp_follows_the_table() {
    assert_follows_the_table(Adapter::Stamp).await;
}

#[tokio::test]
async fn reqwest_follows_the_table() {
    assert_follows_the_table(Adapter::Reqwest).await;
}

#[tokio::test]
async fn the_layer_around_a_client_with_middleware_follows_the_table() {
    assert_follows_the_table(Adapter::AroundMiddleware).await;
}

#[tokio::test]
async fn reqwest_middleware_follows_the_table() {
    assert_follows_the_table(Adapter::Middleware).await;
}

#[tokio::test]
async fn tower_reqwest_follows_the_table() {
    assert_follows_the_table(Adapter::TowerReqwest).await;
}
