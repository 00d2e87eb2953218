//! A real Redis, and processes that share tokens through it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gateways::{Process, find_program};
use tempfile::TempDir;
use tower_affinity_token::{Session, Token, TokenStore};
use tower_affinity_token_redis::{RedisTokenStore, redis};

/// How long an operation may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Redis on a socket of its own. It starts empty.
pub(crate) struct Redis {
    program: PathBuf,
    folder: TempDir,
    process: Option<Process>,
}

/// A process with a store of its own. It executes one command per line, and ends with its input.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Redis {
    /// Starts Redis; `None` if `redis-server` is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut redis = Self::prepare()?;
        redis.restart();
        Some(redis)
    }

    /// Chooses the socket without starting Redis.
    pub(crate) fn prepare() -> Option<Self> {
        Some(Self {
            program: find_program("redis-server")?,
            folder: tempfile::tempdir().unwrap(),
            process: None,
        })
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(&self.program);
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--pidfile")
            .arg(self.folder.path().join("pid"));
        let mut process = Process::start(&command, self.folder.path()).unwrap();
        eventually("Redis answers", || {
            process.check().unwrap();
            let mut connection = self.client().get_connection()?;
            redis::cmd("PING").query::<()>(&mut connection)
        });
        self.process = Some(process);
    }

    /// Sends `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        signal(name, id.trim());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn client(&self) -> redis::Client {
        client(&self.socket())
    }

    pub(crate) fn store(&self) -> RedisTokenStore {
        RedisTokenStore::builder(self.client()).start()
    }

    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> redis::Value {
        let mut connection = self.client().get_connection().unwrap();
        redis::cmd(command)
            .arg(arguments)
            .query(&mut connection)
            .unwrap()
    }

    /// Whether Redis delays the command of a client.
    pub(crate) fn blocks_a_client(&self) -> bool {
        let clients: String = redis::from_redis_value(self.command("CLIENT", &["LIST"])).unwrap();
        let mut fields = clients.split_whitespace();
        fields.any(|field| field.starts_with("flags=") && field.contains('b'))
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        redis::from_redis_value(self.command("KEYS", &["*"])).unwrap()
    }
}

impl Peer {
    pub(crate) fn start(redis: &Redis) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "peer", "--ignored", "--nocapture"])
            .env("SOCKET", redis.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            child,
            input,
            answers,
        }
    }

    /// Sends `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.answers
            .recv_timeout(PATIENCE)
            .expect("the process responds")
    }

    pub(crate) fn until(&mut self, line: &str, answer: &str) {
        eventually(&format!("`{line}` gives `{answer}`"), || {
            let found = self.ask(line);
            (found == answer).then_some(()).ok_or(found)
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.expect("the child process ends");
    }
}

/// Executes commands: the main function of a [`Peer`].
pub(crate) fn obey(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let guard = runtime.enter();
    let store = RedisTokenStore::builder(client(socket)).start();
    drop(guard);
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", key] => shown(&store, key),
            ["put", key, value] => {
                store.put(&session(key), token(value));
                "done".into()
            }
            ["forget", key, value] => {
                store.forget(&session(key), &token(value));
                "done".into()
            }
            ["state"] => format!("{} {}", store.is_connected(), store.unconfirmed()),
            ["len"] => store.len().to_string(),
            _ => panic!("unknown command"),
        };
        eprintln!("{answer}");
    }
}

fn signal(name: &str, id: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), id])
        .status();
    assert!(sent.unwrap().success());
    if name == "STOP" {
        until("the process is stopped", || {
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            state.contains(") T ")
        });
    }
}

fn client(socket: &Path) -> redis::Client {
    redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap()
}

pub(crate) fn session(key: &str) -> Session {
    format!("https api.example x-session-token {key}")
        .parse()
        .unwrap()
}

pub(crate) fn token(text: &str) -> Token {
    Token::try_from(text.as_bytes()).unwrap()
}

/// Returns the token of a session as text, or a dash.
pub(crate) fn shown(store: &impl TokenStore, key: &str) -> String {
    let token = store.get(&session(key));
    token.map_or("-".into(), |token| {
        String::from_utf8(token.as_bytes().to_vec()).unwrap()
    })
}

/// Waits until `check` succeeds; its last error is shown if it never does.
pub(crate) fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut check: impl FnMut() -> Result<T, E>,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match check() {
            Ok(value) => return value,
            Err(error) => assert!(
                Instant::now() < end,
                "waited {PATIENCE:?} until {what}; found {error:?}"
            ),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn until(what: &str, mut check: impl FnMut() -> bool) {
    eventually(what, || check().then_some(()).ok_or(false));
}
