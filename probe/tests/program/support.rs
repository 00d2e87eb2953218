//! Runs the program, and servers that answer it as a test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// The API key in all tests, and the environment variable that holds it.
pub(crate) const KEY: &str = "sk-live/0123456789abcdef";
pub(crate) const KEY_ENV: &str = "AFFINITY_PROBE_TEST_KEY";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A server on loopback that closes each connection after one answer, and stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A stream that can be read and written.
pub(crate) trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Received {
    /// Returns the value of a header; the name is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        let line = self.head.lines().find(|l| line(l))?;
        Some(line.split_once(':')?.1.trim())
    }

    /// Returns the turn: the number of the user's messages.
    pub(crate) fn turn(&self) -> usize {
        let messages = self.body.get("messages").or(self.body.get("input"));
        let messages = messages.and_then(Value::as_array).expect("messages");
        messages
            .iter()
            .filter(|message| message["role"] == "user")
            .count()
    }
}

impl Server {
    /// Answers each request with bytes; requests are numbered from 0.
    pub(crate) fn start(
        answer: impl Fn(usize, &Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(|stream| Box::new(stream), answer)
    }

    /// Like [`start`](Self::start), with a wrapper around each connection.
    pub(crate) fn start_on(
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        answer: impl Fn(usize, &Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(wrap, move |index, request, stream| {
            stream.write_all(&answer(index, request))
        })
    }

    /// Lets a function write each answer.
    pub(crate) fn writing(
        write: impl Fn(usize, &Received, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(|stream| Box::new(stream), write)
    }

    fn serve(
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
        write: impl Fn(usize, &Received, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let shared = Arc::new((wrap, write, AtomicUsize::new(0)));
        let thread = thread::spawn({
            let (received, is_over) = (received.clone(), is_over.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (shared, received) = (shared.clone(), received.clone());
                    thread::spawn(move || {
                        let (wrap, write, count) = &*shared;
                        let mut stream = BufReader::new(wrap(stream));
                        let Some(request) = read(&mut stream) else {
                            return;
                        };
                        received.lock().expect("no panic").push(request.clone());
                        let index = count.fetch_add(1, Ordering::SeqCst);
                        // If the client has left, its test decides whether that is an error.
                        let _ = write(index, &request, stream.get_mut());
                        let _ = stream.get_mut().flush();
                    });
                }
            }
        });
        Self {
            address,
            received,
            is_over,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("/v1/chat/completions")
    }

    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread, so that it sees `is_over`.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn read(stream: &mut impl BufRead) -> Option<Received> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let request = Received {
        head,
        body: Value::Null,
    };
    let length = request.header("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Received {
        body: serde_json::from_slice(&body).ok()?,
        ..request
    })
}

/// Returns an answer with two tokens and this usage.
pub(crate) fn answer(usage: &str) -> Vec<u8> {
    stream(&format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}}}}]}}\n\n\
         data: {{\"choices\":[{{\"delta\":{{\"content\":\" indeed\"}},\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
    ))
}

/// Returns the usage of a prompt of 1,000 tokens.
pub(crate) fn usage(cached: u64) -> String {
    format!("{{\"prompt_tokens\":1000,\"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}}}")
}

/// Returns an event stream that ends when the connection closes.
pub(crate) fn stream(events: &str) -> Vec<u8> {
    response("200 OK", "content-type: text/event-stream\r\n", events)
}

pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    bytes(status, headers, body.as_bytes())
}

/// Like [`response`], with a body that need not be text.
pub(crate) fn bytes(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns the cached tokens of a request: 900 of 1,000 with a key, from the second turn on.
pub(crate) fn cached(request: &Received) -> u64 {
    let has_key = request.header("x-session-affinity").is_some();
    if has_key && request.turn() > 1 {
        900
    } else {
        0
    }
}

/// Answers with 900 of 1,000 tokens cached, from the second turn on, if a request has this header or field.
pub(crate) fn reads(name: &'static str) -> impl Fn(usize, &Received) -> Vec<u8> {
    move |_, request| {
        let has_key = request.header(name).is_some() || request.body.get(name).is_some();
        answer(&usage(if has_key && request.turn() > 1 {
            900
        } else {
            0
        }))
    }
}

/// Returns the program, with the API key in its environment and no terminal.
pub(crate) fn probe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affinity-probe"));
    command.args(args).env(KEY_ENV, KEY).stdin(Stdio::null());
    command
}

/// Returns the command of a small run: 6 conversations of 2 turns, one request at a time.
pub(crate) fn probe_url(url: &str, args: &[&str]) -> Command {
    let mut command = probe(&[
        "--url",
        url,
        "--model",
        "m",
        "--api-key-env",
        KEY_ENV,
        "--yes",
    ]);
    command.args([
        "--conversations=6",
        "--turns=2",
        "--concurrency=1",
        "--prefix-tokens=32",
    ]);
    command.args(args);
    command
}

/// The output and the exit code of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program and checks what every run must satisfy.
pub(crate) fn run(mut command: Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let ran = Ran {
        code: status.code(),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    };
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains("panicked"), "{text}");
        assert!(!text.contains(KEY), "the API key was printed: {text}");
        assert!(
            !text.contains('\x1b'),
            "a control sequence was printed without a terminal: {text:?}"
        );
    }
    ran
}
