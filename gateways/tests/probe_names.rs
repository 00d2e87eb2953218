//! The probe finds which of several headers a real gateway hashes.
//!
//! Behind the gateway are four small replicas. Each remembers the last conversations that it answered, so the
//! cached tokens show which header works. Without a key, vllm-router sends every conversation to one replica,
//! where they evict each other.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateways::engine::Launch;
use gateways::{Process, Setup, find_program, launch};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_session_affinity::header::X_SESSION_ID;

/// How long a gateway may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many conversations a replica remembers: more than its share, and fewer than all.
const REMEMBERED: usize = 32;

/// The prompts that a replica has answered, the latest last: how each begins, and its number of words.
type Seen = Arc<Mutex<Vec<(String, usize)>>>;

/// Starts a replica that serves until the test's runtime ends.
async fn replica(seen: Seen) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            let service = service_fn(move |request| answer(request, seen.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
    let Some(messages) = body["messages"].as_array() else {
        // A router's request for the worker's models.
        let models = json!({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "loopback"}]});
        return Ok(response("application/json", models.to_string()));
    };
    let start = messages[0]["content"].to_string();
    let words = messages
        .iter()
        .map(|message| message["content"].to_string().split(' ').count())
        .sum();
    let before = remember(&mut seen.lock().expect("no panic"), start, words);
    let token = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}]});
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1,
            "prompt_tokens_details": {"cached_tokens": before.unwrap_or(0)}}});
    Ok(response(
        "text/event-stream",
        format!("data: {token}\n\ndata: {usage}\n\ndata: [DONE]\n\n"),
    ))
}

/// Returns how many words of a prompt were remembered, and remembers all of them.
fn remember(seen: &mut Vec<(String, usize)>, start: String, words: usize) -> Option<usize> {
    let known = seen.iter().position(|(other, _)| *other == start);
    let before = known.map(|at| seen.remove(at).1);
    if seen.len() == REMEMBERED {
        seen.remove(0);
    }
    seen.push((start, words));
    before
}

fn response(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    response
}

/// Runs the probe with two header names against a gateway in front of four replicas, and returns its verdict.
///
/// Returns `None` if the gateway is missing.
async fn verdict(program: &str, launch: Launch) -> io::Result<Option<Value>> {
    let Some(path) = find_program(program) else {
        return Ok(None);
    };
    let seen: Vec<_> = (0..4).map(|_| Seen::default()).collect();
    let mut replicas = Vec::new();
    for seen in &seen {
        replicas.push(replica(seen.clone()).await?);
    }
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(replicas, folder.path())?;
    let mut process = Process::start(&launch(&path, &setup), folder.path())?;
    ready(&mut process, setup.listen, &seen).await?;
    let json = folder.path().join("probe.json");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command
        .args(["run", "--quiet", "--release", "-p", "affinity-probe", "--"])
        .args([
            "--url",
            &format!("http://{}/v1/chat/completions", setup.listen),
        ])
        .args([
            "--model",
            "m",
            "--yes",
            "--header-name",
            "x-session-id,x-session-affinity",
        ])
        .args(["--conversations", "24", "--turns", "4"])
        .arg("--json")
        .arg(&json);
    // The replicas must answer in the meantime.
    let ran = tokio::task::spawn_blocking(move || command.output()).await??;
    let Output {
        status,
        stdout,
        stderr,
    } = ran;
    let _ = writeln!(
        io::stderr(),
        "{program}: {}",
        String::from_utf8_lossy(&stdout)
    );
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(json)?)?;
    Ok(Some(report["verdict"].clone()))
}

/// Sends requests with new keys until the gateway has used every replica.
async fn ready(process: &mut Process, gateway: SocketAddr, replicas: &[Seen]) -> io::Result<()> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let is_used = |seen: &Seen| !seen.lock().expect("no panic").is_empty();
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        if replicas.iter().all(is_used) {
            break;
        }
        process.check()?;
        assert!(
            Instant::now() < deadline,
            "the gateway does not use all replicas within a minute"
        );
        let body = json!({"model": "m", "messages": [{"role": "user", "content": format!("ready {number}")}]});
        let request = Request::post(format!("http://{gateway}/v1/chat/completions"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(X_SESSION_ID, format!("ready-{number}"))
            .body(Full::from(body.to_string()));
        // This fails until the gateway listens and knows its replicas.
        let _ = client.request(request.map_err(io::Error::other)?).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn honored(verdict: &Value) -> Vec<&str> {
    let names = verdict["variants"].as_array().expect("a list").iter();
    let names = names.filter(|name| name["finding"] == "honored");
    names.filter_map(|name| name["name"].as_str()).collect()
}

#[tokio::test]
async fn the_probe_finds_the_header_that_nginx_is_configured_to_hash() -> io::Result<()> {
    let launch: Launch =
        |program, setup| launch::nginx(program, setup, include_str!("../nginx.conf"));
    if let Some(verdict) = verdict("nginx", launch).await? {
        assert_eq!(honored(&verdict), ["x-session-affinity"], "{verdict}");
    }
    Ok(())
}

#[tokio::test]
async fn the_probe_finds_the_header_that_vllm_router_hashes() -> io::Result<()> {
    let launch: Launch = |program, setup| launch::vllm_router(program, setup, "consistent_hash");
    if let Some(verdict) = verdict("vllm-router", launch).await? {
        assert_eq!(honored(&verdict), ["x-session-id"], "{verdict}");
    }
    Ok(())
}
