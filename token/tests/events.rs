//! The events of the feature `tracing`.
#![cfg(feature = "tracing")]

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use support::{InFlight, TOKEN, answer, client, issue, send, turn};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

mod support;

const A: &str = "https://a.example/chat";

/// Records the level, the target and the fields of each event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn logged(run: impl FnOnce(&AffinityTokenLayer)) -> Vec<String> {
    let log = Log::default();
    let layer = AffinityTokenLayer::new(TOKEN);
    tracing::subscriber::with_default(log.clone(), || run(&layer));
    std::mem::take(&mut log.0.lock().unwrap())
}

fn line(level: Level, outcome: &str) -> String {
    format!(r#"{level} tower_affinity_token outcome="{outcome}" header_name="x-session-token""#)
}

#[test]
fn each_outcome_is_an_event_with_its_name_and_the_header_name() {
    let lines = logged(|layer| {
        issue(&client(layer), A, "secret-chat", "secret-token");
        send(&client(layer), turn(A, "secret-chat"), answer(410, None));
        InFlight::<MemoryStore>::send(layer, turn(A, "secret-chat")).fail();
    });
    let expected = [
        line(Level::TRACE, "nothing_remembered"),
        line(Level::TRACE, "issued"),
        line(Level::TRACE, "echoed"),
        line(Level::DEBUG, "forgotten_status"),
        line(Level::TRACE, "nothing_remembered"),
        line(Level::TRACE, "failed"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn unintended_loss_of_affinity_is_one_warning_for_each_kind() {
    let too_long = "t".repeat(4097);
    let lines = logged(|layer| {
        for _ in 0..3 {
            // Services and clones share their warnings.
            let client = client(&layer.clone());
            send(&client, turn("/chat", "chat-1"), answer(200, None));
            send(&client, turn(A, "chat-1"), answer(200, Some(&too_long)));
        }
    });
    let of = |outcome: &str| {
        let lines = lines.iter().filter(|line| line.contains(outcome));
        lines.cloned().collect::<Vec<_>>()
    };
    for kind in ["no_authority", "invalid_token"] {
        let later = line(Level::TRACE, kind);
        assert_eq!(of(kind), [line(Level::WARN, kind), later.clone(), later]);
    }
}

#[test]
fn two_layers_warn_independently() {
    for _ in 0..2 {
        let lines = logged(|layer| {
            send(&client(layer), turn("/chat", "chat-1"), answer(200, None));
        });
        assert_eq!(lines, [line(Level::WARN, "no_authority")]);
    }
}
