//! Prints the table of counts and times, and checks the bounds.

use crate::counts::Counts;
use crate::prompt::{Kind, SHAPES, Shape};
use crate::times::{Round, rounds};

/// The maximum number of instructions for each byte of a chat, minus those of the bare body.
const CHAT: f64 = 5.0;

/// The same if no string is long.
const DENSE: f64 = 18.0;

/// For the member.
const ALLOCATIONS: f64 = 1.0;

/// Prints a line for each shape, and returns whether all bounds hold.
pub(crate) fn print(counts: &Counts) -> bool {
    println!(
        "| body | bytes | instructions per byte: ours | bound | `serde_json` | allocations: ours | `serde_json` \
         | ns per byte: bare | ours | `serde_json` | ours / `serde_json` | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    // All of them, so that one failure does not hide the next.
    let holds = SHAPES.map(|shape| print_line(counts, shape));
    holds.into_iter().all(|holds| holds)
}

fn print_line(counts: &Counts, shape: Shape) -> bool {
    let size = shape.pieces().iter().map(bytes::Bytes::len).sum::<usize>();
    let bytes = f64::from(u32::try_from(size).expect("some megabytes"));
    let instructions =
        |contestant| (counts.of(contestant, shape.id) - counts.of("bare", shape.id)) / bytes;
    let blocks = |contestant| counts.metric(contestant, shape.id, "TotalBlocks");
    let allocations = |contestant| blocks(contestant) - blocks("bare");
    // For a small body, most of the cost is that of the request.
    let bound = match shape.kind {
        Kind::Chat if shape.size < 64 * 1024 => f64::INFINITY,
        Kind::Chat => CHAT,
        Kind::Dense => DENSE,
    };
    let ours = instructions("ours");
    let within = ours <= bound && allocations("ours") <= ALLOCATIONS;
    let rounds = rounds(shape);
    let time = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    println!(
        "| {} | {size} | {ours:.2} | {} | {:.2} | {:.0} | {:.0} | {:.3} | {:.3} | {:.3} | {:.3} | {} |",
        name(shape),
        if bound.is_finite() {
            bound.to_string()
        } else {
            String::new()
        },
        instructions("by_serde_json"),
        allocations("ours"),
        allocations("by_serde_json"),
        time(|round| round.bare),
        time(|round| round.ours),
        time(|round| round.by_serde_json),
        time(|round| round.ours / round.by_serde_json),
        if within {
            "bounds hold"
        } else {
            "OVER A BOUND"
        },
    );
    within
}

fn name(shape: Shape) -> String {
    let kind = match shape.kind {
        Kind::Chat => "chat",
        Kind::Dense => "numbers and short strings",
    };
    if shape.piece < shape.size {
        format!("{kind}, pieces of 8 KiB")
    } else {
        format!("{kind}, one piece")
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
