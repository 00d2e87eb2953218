//! Whether many tasks that send the same key contend for its reference count. A report without a bound.
//!
//! `cargo bench --bench concurrency`. A key that was made at run time shares its bytes with each header
//! made from it, through one atomic count. The bytes of a literal need none. Each task has its own clone of
//! the layer. It sets and removes the header of one request repeatedly, and does nothing else: no client
//! can cause more contention. The report has the time that a task had a core for, if the system reports it
//! (Linux), and otherwise wall-clock time.

use std::env;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use tower_session_affinity::{AffinityKey, FromExtension, Or, SessionAffinityLayer, header};

#[path = "shared/clock.rs"]
mod clock;
mod shared;
use clock::Clock;

const ROUNDS: usize = 21;
const STAMPS: u32 = 200_000;
const TASKS: [usize; 3] = [1, 2, 8];

type FixedKeyLayer = SessionAffinityLayer<Or<FromExtension, AffinityKey>>;

fn main() {
    // `cargo test --benches` only checks that it builds.
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
        let (least, median, most) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
        print!("| {median} ({least} to {most}) ");
    }
    println!("|");
}

/// Lets all tasks stamp at once and returns what a stamp took, in nanoseconds.
fn round(tasks: usize, layer: &impl Fn() -> FixedKeyLayer) -> u128 {
    let start = &Barrier::new(tasks);
    let layers: Vec<_> = (0..tasks).map(|_| layer()).collect();
    let taken: Duration = thread::scope(|scope| {
        let spawn = |layer| scope.spawn(move || task(layer, start));
        let tasks: Vec<_> = layers.iter().map(spawn).collect();
        let join = |task: ScopedJoinHandle<'_, _>| task.join().expect("a stamp never panics");
        tasks.into_iter().map(join).sum()
    });
    taken.as_nanos() / (tasks as u128 * u128::from(STAMPS))
}

fn task(layer: &FixedKeyLayer, start: &Barrier) -> Duration {
    let (mut parts, ()) = shared::request(5).into_parts();
    start.wait();
    let clock = Clock::start();
    for _ in 0..STAMPS {
        black_box(layer.stamp(
            &parts.method,
            &parts.uri,
            &mut parts.headers,
            &parts.extensions,
        ));
        black_box(parts.headers.remove(header::X_SESSION_AFFINITY));
    }
    clock.elapsed()
}
