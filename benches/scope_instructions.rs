//! What a scope costs in instructions, beside a plain `tokio::task_local!` that holds the key.
//!
//! `cargo bench --features scope --bench scope_instructions` counts with callgrind, prints the ratios
//! and fails when one is over its bound. It needs valgrind and the `gungraun-runner` of the version
//! that `Cargo.toml` pins.
//!
//! A task-local does less: it shows its key to every task that runs inside the scope.

use std::error::Error;
use std::process::ExitCode;

#[path = "shared/counts.rs"]
mod counts;

use counts::Counts;

/// How many times the task-local each may cost.
///
/// A poll of the task-local has 72 to 107 instructions, by what the compiler inlines in a program, and one of ours 104.
const ROWS: [(&str, &str, f64); 3] = [
    ("a poll", "poll", 1.5),
    ("the current key", "current", 1.3),
    ("a frame of a body", "frame", 0.75),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    Counts::judge(contestants::run, contestants::REPEATS, print)
}

/// Prints the ratios and returns whether all are within their bounds.
fn print(counts: &Counts) -> bool {
    let mut within = true;
    println!("| | bare | ours | task-local | ratio | bound |");
    println!("|---|---|---|---|---|---|");
    for (name, contestant, bound) in ROWS {
        let [bare, ours, theirs] = ["bare", "ours", "task_local"]
            .map(|side| counts.of(&format!("{contestant}_{side}"), "once"));
        let ratio = (ours - bare) / (theirs - bare);
        within &= ratio <= bound;
        println!("| {name} | {bare:.0} | {ours:.0} | {theirs:.0} | {ratio:.3} | {bound} |");
    }
    let request = counts.of("request_ours", "once") - counts.of("request_bare", "once");
    println!(
        "A request of 5 headers with `FromHeaders`, from its call to its body: {request:.0} more than bare."
    );
    within
}

mod contestants {
    use std::convert::Infallible;
    use std::future::{Ready, poll_fn, ready};
    use std::hint::black_box;
    use std::mem::forget;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use gungraun::{
        Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group,
    };
    use http::{Request, Response};
    use http_body::{Body, Frame, SizeHint};
    use tower::{Layer, Service, service_fn};
    use tower_session_affinity::{AffinityKey, AffinityScopeLayer, FromHeaders, Scoped, header};

    tokio::task_local! {
        static KEY: Option<AffinityKey>;
    }

    /// What one count is the sum of.
    pub(crate) const REPEATS: usize = 100;

    /// A key of run time. It is made where nothing is counted, and so are the thread's locals.
    fn key() -> AffinityKey {
        let _ = AffinityKey::current();
        black_box("chat-0123456789").parse().expect("a valid key")
    }

    /// A body that makes empty frames, and never ends.
    struct Frames;

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    /// A body as one would write it with a task-local.
    struct TaskLocalFrames(Option<AffinityKey>, Frames);

    impl Body for TaskLocalFrames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let key = self.0.clone();
            KEY.sync_scope(key, || Pin::new(&mut self.1).poll_frame(cx))
        }
    }

    fn scoped_body() -> impl Body<Data = Bytes> {
        let mut service = AffinityScopeLayer::new()
            .or(key())
            .layer(service_fn(|_: Request<()>| {
                ready(Ok::<_, Infallible>(Response::new(Frames)))
            }));
        finish(service.call(Request::new(()))).into_body()
    }

    fn finish<T>(future: impl Future<Output = Result<T, Infallible>>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(output)) => output,
            Poll::Pending => unreachable!("it does not wait"),
        }
    }

    fn waiting() -> impl Future<Output = ()> {
        poll_fn(|cx| {
            black_box(cx);
            Poll::Pending
        })
    }

    fn request() -> Request<()> {
        let request = Request::post("https://api.example/v1/chat")
            .header("host", "value")
            .header("user-agent", "value")
            .header("accept", "value")
            .header("content-type", "value")
            .header("x-session-id", "chat-0123456789");
        let request = request.body(()).expect("a valid request");
        // As in a request off the wire, the first clone was made before.
        drop(request.headers()["x-session-id"].clone());
        request
    }

    fn requests() -> Vec<Request<()>> {
        (0..REPEATS).map(|_| request()).collect()
    }

    fn answer(request: Request<()>) -> Ready<Result<Response<Frames>, Infallible>> {
        // What it costs to free a request is not counted.
        forget(request);
        ready(Ok(Response::new(Frames)))
    }

    /// The benchmarks, each of one count.
    macro_rules! contestants {
        ($($contestant:ident $call:block)+) => {
            $(
                #[library_benchmark]
                #[bench::once()]
                fn $contestant() $call
            )+

            library_benchmark_group!(name = scopes, benchmarks = [$($contestant),+]);
        };
    }

    contestants! {
        poll_bare {
            counted_polls(pin!(waiting()));
        }
        poll_ours {
            counted_polls(pin!(Scoped::new(Some(key()), waiting())));
        }
        poll_task_local {
            counted_polls(pin!(KEY.scope(Some(key()), waiting())));
        }
        frame_bare {
            counted_frames(pin!(Frames));
        }
        frame_ours {
            counted_frames(pin!(scoped_body()));
        }
        frame_task_local {
            counted_frames(pin!(TaskLocalFrames(Some(key()), Frames)));
        }
        current_bare {
            counted_reads(|| None);
        }
        current_ours {
            key().sync_scope(|| counted_reads(AffinityKey::current));
        }
        current_task_local {
            let read = || KEY.try_with(Option::clone).ok().flatten();
            KEY.sync_scope(Some(key()), || counted_reads(read));
        }
        request_bare {
            counted_requests(service_fn(answer), requests());
        }
        request_ours {
            let sessions = FromHeaders::new([header::X_SESSION_ID]);
            let layer = AffinityScopeLayer::new().or(sessions);
            let _ = key();
            counted_requests(layer.layer(service_fn(answer)), requests());
        }
    }

    #[inline(never)]
    fn counted_polls(mut future: Pin<&mut impl Future<Output = ()>>) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..REPEATS {
            let _ = black_box(black_box(&mut future).as_mut().poll(&mut cx));
        }
    }

    #[inline(never)]
    fn counted_frames(mut body: Pin<&mut impl Body<Data = Bytes>>) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..REPEATS {
            forget(black_box(black_box(&mut body).as_mut().poll_frame(&mut cx)));
        }
    }

    #[inline(never)]
    fn counted_reads(read: fn() -> Option<AffinityKey>) {
        for _ in 0..REPEATS {
            forget(black_box(black_box(read)()));
        }
    }

    #[inline(never)]
    fn counted_requests<S, B>(mut service: S, requests: Vec<Request<()>>)
    where
        S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    {
        for request in requests {
            forget(black_box(finish(service.call(request))));
        }
    }

    gungraun::main!(
        config = LibraryBenchmarkConfig::default().tool(
            Callgrind::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned()))
        );
        library_benchmark_groups = scopes
    );

    /// Hands over to gungraun, which runs this program again under callgrind.
    pub(crate) fn run() {
        main();
    }
}
