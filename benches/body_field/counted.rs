//! What is counted. Each function is one contestant, and each id is a shape.

use std::hint::black_box;

use gungraun::{
    Callgrind, Dhat, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group,
};

use crate::contestants::{self, Chat, Ours, layered, request};
use crate::prompt::Shape;

/// The benchmarks of one contestant, with an id for each shape.
macro_rules! contestants {
    ($($contestant:ident($request:ident) $call:block)+) => {
        $(
            #[library_benchmark]
            #[bench::chat_1k("chat_1k")]
            #[bench::chat_64k("chat_64k")]
            #[bench::chat_64k_pieces("chat_64k_pieces")]
            #[bench::chat_4m("chat_4m")]
            #[bench::chat_4m_pieces("chat_4m_pieces")]
            #[bench::dense_64k("dense_64k")]
            #[bench::dense_64k_pieces("dense_64k_pieces")]
            fn $contestant(id: &str) -> usize {
                // Kept until the end, so that freeing it is not counted.
                let pieces = Shape::by_id(id).pieces();
                let $request = request(&pieces);
                $call
            }
        )+

        library_benchmark_group!(name = bodies, benchmarks = [$($contestant),+]);
    };
}

contestants! {
    bare(request) {
        counted_bare(request)
    }
    ours(request) {
        let mut service = layered();
        counted_ours(&mut service, request)
    }
    by_serde_json(request) {
        counted_by_serde_json(request)
    }
}

#[inline(never)]
fn counted_bare(request: Chat) -> usize {
    contestants::bare(black_box(request))
}

#[inline(never)]
fn counted_ours(service: &mut Ours, request: Chat) -> usize {
    contestants::ours(service, black_box(request))
}

#[inline(never)]
fn counted_by_serde_json(request: Chat) -> usize {
    contestants::by_serde_json(black_box(request))
}

gungraun::main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned())))
        .tool(Dhat::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned())));
    library_benchmark_groups = bodies
);

/// Hands over to gungraun, which runs this program again under valgrind.
pub(crate) fn run() {
    main();
}
