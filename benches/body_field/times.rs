//! How long the contestants take, in turns.

use std::hint::black_box;

use crate::clock::Clock;
use crate::contestants::{bare, by_serde_json, layered, ours, request};
use crate::prompt::Shape;

const ROUNDS: usize = 41;

/// As many bytes as a turn has at least.
const BYTES_A_TURN: usize = 4 << 20;

/// The times of one round, in nanoseconds a byte.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) bare: f64,
    pub(crate) ours: f64,
    pub(crate) by_serde_json: f64,
}

pub(crate) fn rounds(shape: Shape) -> Vec<Round> {
    let pieces = shape.pieces();
    let size: usize = pieces.iter().map(bytes::Bytes::len).sum();
    let requests = BYTES_A_TURN.div_ceil(size);
    let mut service = layered();
    let turn = |send: &mut dyn FnMut(_) -> usize| {
        let requests: Vec<_> = (0..requests).map(|_| request(&pieces)).collect();
        let bytes = u32::try_from(requests.len() * size).expect("some megabytes");
        let clock = Clock::start();
        for request in requests {
            black_box(send(black_box(request)));
        }
        clock.elapsed().as_secs_f64() * 1e9 / f64::from(bytes)
    };
    let mut round = || Round {
        bare: turn(&mut bare),
        ours: turn(&mut |request| ours(&mut service, request)),
        by_serde_json: turn(&mut by_serde_json),
    };
    round();
    (0..ROUNDS).map(|_| round()).collect()
}
