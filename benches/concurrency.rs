//! Whether the count of references to one key shows when many stamp with it; a report, not a gate.
//!
//! `cargo bench --bench concurrency`. A key that was made at run time shares its bytes with each header
//! that is made of it, through one atomic count; a literal's bytes need none. Each task has its clone of
//! the layer, and stamps and clears the headers of one request over and over, with nothing in between:
//! more contention than any client can make.

use std::env;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use tower_session_affinity::{AffinityKey, FromExtension, Or, SessionAffinityLayer, header};

mod shared;

const ROUNDS: usize = 21;
const STAMPS: u32 = 100_000;
const TASKS: [usize; 3] = [1, 2, 8];

type FixedKeyLayer = SessionAffinityLayer<Or<FromExtension, AffinityKey>>;

fn main() {
    // `cargo test --benches` asks only whether it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("| nanoseconds a stamp, {cores} cores | 1 task | 2 tasks | 8 tasks |");
    println!("|---|---|---|---|");
    let fixed = |key| SessionAffinityLayer::new().or(key);
    let shared = fixed(shared::key());
    report("one key, made at run time", || shared.clone());
    report("a key made at run time for each task", || {
        fixed(shared::key())
    });
    let literal = fixed(AffinityKey::from_static("chat-0123456789"));
    report("one key, a literal", || literal.clone());
}

fn report(what: &str, layer: impl Fn() -> FixedKeyLayer) {
    print!("| {what} ");
    for tasks in TASKS {
        let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round(tasks, &layer)).collect();
        rounds.sort_unstable();
        // Another program on the machine can only add time.
        let (least, median) = (rounds[0], rounds[ROUNDS / 2]);
        print!("| {least}, median {median} ");
    }
    println!("|");
}

/// Lets all tasks stamp at once and returns the time that a core had for one stamp, in nanoseconds.
fn round(tasks: usize, layer: &impl Fn() -> FixedKeyLayer) -> u128 {
    let start = Barrier::new(tasks + 1);
    let layers: Vec<_> = (0..tasks).map(|_| layer()).collect();
    let elapsed = thread::scope(|scope| {
        let tasks: Vec<_> = layers
            .iter()
            .map(|layer| scope.spawn(|| task(layer, &start)))
            .collect();
        start.wait();
        let started = Instant::now();
        for task in tasks {
            task.join().expect("a stamp never panics");
        }
        started.elapsed()
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let running = tasks.min(cores) as u128;
    elapsed.as_nanos() * running / (tasks as u128 * u128::from(STAMPS))
}

fn task(layer: &FixedKeyLayer, start: &Barrier) {
    let (mut parts, ()) = shared::request(5).into_parts();
    start.wait();
    for _ in 0..STAMPS {
        black_box(layer.stamp(
            &parts.method,
            &parts.uri,
            &mut parts.headers,
            &parts.extensions,
        ));
        black_box(parts.headers.remove(header::X_SESSION_AFFINITY));
    }
}
