//! The task that synchronizes the memory of this process with Redis.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, RedisResult, Script};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tower_affinity_token::{Session, Token};

use crate::changes::Kind;
use crate::shared::Shared;
use crate::value::{self, Message, Sender, Value};

/// How long Redis may take to respond before the connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the subscription is checked with a ping.
const BEAT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);
const LONGEST_REFRESH: Duration = Duration::from_secs(24 * 3600);
/// The sessions in one command: few enough that Redis can serve other clients in between.
const BATCH: usize = 100;
/// The most entries in `written`; more than that trigger a refresh, which clears it.
const MAX_WRITTEN: usize = 100_000;

pub(crate) struct Sync {
    client: Client,
    shared: Arc<Shared>,
    prefix: String,
    script: Script,
    process: u64,
    max_idle: Duration,
    refreshed: Instant,
    /// When each token from Redis was written since the last refresh, since that is not a use of it.
    written: HashMap<Session, Instant>,
}

/// The two connections to Redis: one for commands, one for the subscription.
struct Connected {
    commands: MultiplexedConnection,
    sink: PubSubSink,
    messages: PubSubStream,
}

/// The connection is lost. The reason does not matter, since the task tries again anyway.
struct Lost;

impl From<redis::RedisError> for Lost {
    fn from(_: redis::RedisError) -> Self {
        Self
    }
}

impl From<tokio::time::error::Elapsed> for Lost {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self
    }
}

impl Sync {
    pub(crate) fn new(
        client: Client,
        shared: Arc<Shared>,
        prefix: String,
        process: u64,
        max_idle: Duration,
    ) -> Self {
        Self {
            client,
            shared,
            prefix,
            script: Script::new(include_str!("change.lua")),
            process,
            max_idle,
            refreshed: Instant::now(),
            written: HashMap::new(),
        }
    }

    /// Connects, and reconnects after each loss, until the store aborts the task.
    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begin = Instant::now();
            // It does not matter which of the two failed.
            if let Ok(connected) = self.connect().await {
                let _lost = self.follow(connected).await;
            }
            // A Redis that accepts connections but refuses commands, such as one that is out of memory, also gets
            // the backoff.
            if begin.elapsed() > 2 * LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            self.shared.set_connected(false);
            self.shared.changes().send_again();
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects, and subscribes before anything is read, so that no change is missed.
    async fn connect(&self) -> Result<Connected, Lost> {
        let pubsub = async {
            let mut pubsub = self.client.get_async_pubsub().await?;
            pubsub.subscribe(self.channel()).await?;
            RedisResult::Ok(pubsub)
        };
        let (sink, messages) = timeout(PATIENCE, pubsub).await??.split();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let commands = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        Ok(Connected {
            commands: timeout(PATIENCE, commands).await??,
            sink,
            messages,
        })
    }

    async fn follow(&mut self, connected: Connected) -> Result<(), Lost> {
        let Connected {
            mut commands,
            mut sink,
            messages,
        } = connected;
        let mut messages = pin!(messages);
        let found = self.load(&mut commands).await?;
        let missing = self.shared.memory.snapshot().into_iter();
        let missing = missing.filter(|(session, ..)| !found.contains(session));
        self.send_known(&mut commands, missing).await?;
        self.shared.set_connected(true);

        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refresh = interval((self.max_idle / 4).clamp(SHORTEST_REFRESH, LONGEST_REFRESH));
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.reset();
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                message = messages.next() => self.take(message.ok_or(Lost)?.get_payload_bytes()),
                () = shared.changed() => {
                    self.send_changes(&mut commands).await?;
                }
                _ = beat.tick() => {
                    timeout(PATIENCE, sink.ping::<redis::Value>()).await??;
                }
                _ = refresh.tick() => self.refresh(&mut commands).await?,
            }
            if self.written.len() > MAX_WRITTEN {
                self.refresh(&mut commands).await?;
            }
        }
    }

    /// Loads everything that Redis has, and returns the sessions that were found.
    async fn load(
        &mut self,
        commands: &mut MultiplexedConnection,
    ) -> Result<HashSet<Session>, Lost> {
        let mut found = HashSet::new();
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(self.pattern())
                .arg("COUNT")
                .arg(BATCH)
                .query_async(commands)
                .await?;
            if !keys.is_empty() {
                let values: Vec<Option<Vec<u8>>> =
                    redis::cmd("MGET").arg(&keys).query_async(commands).await?;
                for (key, value) in keys.iter().zip(values) {
                    let text = key.strip_prefix(self.prefix.as_bytes());
                    let session = text.and_then(value::session);
                    if let Some((session, value)) = session.zip(value) {
                        if let Some(value) = value::value(&value) {
                            self.apply(&session, value);
                        }
                        found.insert(session);
                    }
                }
            }
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
    }

    /// Applies a change that a process published, possibly this one.
    fn take(&mut self, message: &[u8]) {
        let Some(message) = Message::parse(message) else {
            return;
        };
        let Message {
            sender,
            session,
            value,
        } = message;
        if sender.process == self.process {
            self.shared.confirm(&session, sender.number);
        }
        self.apply(&session, value);
    }

    fn apply(&mut self, session: &Session, value: Value) {
        if self.shared.apply(session, value) {
            self.written.insert(session.clone(), Instant::now());
        }
    }

    async fn send_changes(&self, commands: &mut MultiplexedConnection) -> Result<(), Lost> {
        let changes = self.shared.changes().take(BATCH);
        let changes = changes.iter().map(|(session, change)| {
            let kind = match change.kind {
                Kind::Put => "put",
                Kind::PutFirst => "first",
                Kind::Forget => "forget",
            };
            (session, kind, &change.token, change.number)
        });
        self.send(commands, changes).await
    }

    /// Sends Redis the sessions that were used here, before they expire there.
    async fn refresh(&mut self, commands: &mut MultiplexedConnection) -> Result<(), Lost> {
        let written = std::mem::take(&mut self.written);
        let since = std::mem::replace(&mut self.refreshed, Instant::now());
        let used = self.shared.memory.snapshot().into_iter();
        let used = used.filter(|(session, _, used)| {
            *used > since && written.get(session).is_none_or(|written| used > written)
        });
        self.send_known(commands, used).await
    }

    async fn send_known(
        &self,
        commands: &mut MultiplexedConnection,
        known: impl Iterator<Item = (Session, Token, Instant)>,
    ) -> Result<(), Lost> {
        let known: Vec<_> = known.collect();
        for batch in known.chunks(BATCH) {
            // Redis must learn of forgotten tokens before a snapshot could bring them back.
            while self.shared.changes().has_waiting() {
                self.send_changes(commands).await?;
            }
            // No change has the number 0, so this confirms none.
            let batch = batch
                .iter()
                .map(|(session, token, _)| (session, "known", token, 0));
            self.send(commands, batch).await?;
        }
        Ok(())
    }

    async fn send<'a>(
        &self,
        commands: &mut MultiplexedConnection,
        changes: impl Iterator<Item = (&'a Session, &'static str, &'a Token, u64)>,
    ) -> Result<(), Lost> {
        let mut invocation = self.script.prepare_invoke();
        invocation.arg(self.channel()).arg(self.prefix.len());
        let mut is_empty = true;
        for (session, kind, token, number) in changes {
            is_empty = false;
            let process = self.process;
            let expiry = token.lifetime().unwrap_or(Duration::MAX).min(self.max_idle);
            invocation
                .key(format!("{}{}", self.prefix, session.as_str()))
                .arg(kind)
                .arg(Sender { process, number }.encode())
                .arg(value::millis(expiry))
                .arg(value::encode(token));
        }
        if !is_empty {
            let () = invocation.invoke_async(commands).await?;
        }
        Ok(())
    }

    fn channel(&self) -> String {
        format!("{}changes", self.prefix)
    }

    /// Returns a pattern for keys that begin with the prefix, with its special characters escaped.
    fn pattern(&self) -> String {
        let mut pattern = String::new();
        for character in self.prefix.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + "*"
    }
}
