//! What lock contention costs.
//!
//! `cargo bench -p tower-affinity-token --bench contention` sends requests of 10,000 sessions with remembered
//! tokens through one layer, on one thread and then on two. It compares `MemoryStore` with a plain map behind
//! one lock, which has no order and no bounds. Each run with one is followed by a run with the other.
//!
//! It prints the ratio of their CPU times, which include spinning on a lock, as the median of seven pairs of
//! runs. It also prints the voluntary context switches on the lock, as the minimum of the seven. Linux counts
//! both for each thread, so other load on the machine does not matter. There is no bound.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex, PoisonError};

use http::HeaderValue;
use support::{Gateway, NEW, TOKEN, exchange, key, remember, request};
use tower_affinity_token::{
    AffinityTokenLayer, MemoryStore, Session, Token, TokenStore, header::X_SESSION_TOKEN,
};
use tower_layer::Layer;
use tower_session_affinity::{AffinityKey, FromExtension};

mod support;

const SESSIONS: usize = 10_000;
const REQUESTS: usize = 200_000;
const PAIRS: usize = 7;

/// A map behind one lock.
#[derive(Default)]
struct LockedMap(Mutex<HashMap<Session, Token>>);

impl TokenStore for LockedMap {
    fn get(&self, session: &Session) -> Option<Token> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(session).cloned()
    }

    fn put(&self, session: &Session, token: Token) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(session.clone(), token);
    }

    fn forget(&self, session: &Session, token: &Token) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.get(session) == Some(token) {
            map.remove(session);
        }
    }
}

/// What threads have used.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: u64,
    switches: u64,
}

/// Returns the token in the response to the request with this number.
type Answers = fn(usize) -> Option<HeaderValue>;

const ANSWERS: [(&str, Answers); 4] = [
    ("no token", |_| None),
    ("the same token", |_| Some(TOKEN)),
    ("a new token, one in a hundred", |number| {
        (number % 100 == 0).then_some(if number % 200 == 0 { NEW } else { TOKEN })
    }),
    ("a new token, each time", |number| {
        Some(if number / SESSIONS % 2 == 0 {
            NEW
        } else {
            TOKEN
        })
    }),
];

fn main() {
    // `cargo test --benches` only checks that it builds.
    if env::args().nth(1).as_deref() != Some("--bench") {
        return;
    }
    println!(
        "| responses bring | time ratio, 1 thread | time ratio, 2 threads \
         | switches per million requests, 2 threads | with the map |"
    );
    println!("|---|---|---|---|---|");
    for (what, answers) in ANSWERS {
        let (ours, map) = (
            remembering(MemoryStore::new()),
            remembering(Arc::new(LockedMap::default())),
        );
        let pairs = |threads| {
            let pair = |_| (run(&ours, threads, answers), run(&map, threads, answers));
            (0..PAIRS).map(pair).collect::<Vec<_>>()
        };
        let (one, two) = (pairs(1), pairs(2));
        let switches = |cost: fn(&(Cost, Cost)) -> u64| {
            let least = two.iter().map(cost).min().expect("runs");
            least * 1_000_000 / (2 * REQUESTS as u64)
        };
        println!(
            "| {what} | {:.2} | {:.2} | {} | {} |",
            median_ratio(&one),
            median_ratio(&two),
            switches(|pair| pair.0.switches),
            switches(|pair| pair.1.switches),
        );
    }
}

fn remembering<St>(store: St) -> AffinityTokenLayer<FromExtension, St>
where
    St: TokenStore + Clone,
{
    let layer = AffinityTokenLayer::with_store(X_SESSION_TOKEN, store);
    for number in 0..SESSIONS {
        remember(&layer, number);
    }
    layer
}

#[expect(clippy::cast_precision_loss, reason = "two digits are printed")]
fn median_ratio(pairs: &[(Cost, Cost)]) -> f64 {
    let ratio = |(ours, map): &(Cost, Cost)| ours.nanoseconds as f64 / map.nanoseconds as f64;
    let mut ratios: Vec<f64> = pairs.iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Returns the cost of all threads together.
fn run<St>(layer: &AffinityTokenLayer<FromExtension, St>, threads: usize, answers: Answers) -> Cost
where
    St: TokenStore + Clone + Send + Sync,
{
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let converse = |thread| {
            let start = &start;
            scope.spawn(move || converse(layer, thread, start, answers))
        };
        let threads: Vec<_> = (0..threads).map(converse).collect();
        let costs = threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread ends"));
        costs.fold(Cost::default(), |sum, cost| Cost {
            nanoseconds: sum.nanoseconds + cost.nanoseconds,
            switches: sum.switches + cost.switches,
        })
    })
}

fn converse<St>(
    layer: &AffinityTokenLayer<FromExtension, St>,
    thread: usize,
    start: &Barrier,
    answers: Answers,
) -> Cost
where
    St: TokenStore + Clone,
{
    let keys: Vec<AffinityKey> = (0..SESSIONS).map(key).collect();
    let mut service = layer.layer(Gateway::new(None));
    let blank = request(None);
    start.wait();
    let before = Cost::of_this_thread();
    // Steps of different sizes take the threads through the sessions in different orders.
    let mut session = thread;
    for number in 0..REQUESTS {
        session = (session + 7919 + 1000 * thread) % SESSIONS;
        let mut request = black_box(&blank).clone();
        request.extensions_mut().insert(keys[session].clone());
        service.get_mut().token = answers(number);
        exchange(&mut service, request);
    }
    let after = Cost::of_this_thread();
    Cost {
        nanoseconds: after.nanoseconds - before.nanoseconds,
        switches: after.switches - before.switches,
    }
}

impl Cost {
    fn of_this_thread() -> Self {
        let read = |file| fs::read_to_string(format!("/proc/thread-self/{file}")).expect("Linux");
        let times = read("schedstat");
        let status = read("status");
        let switches = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
        Self {
            nanoseconds: number(times.split(' ').next()).expect("a time"),
            switches: number(switches).expect("a number of switches"),
        }
    }
}
