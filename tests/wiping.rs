//! A secret leaves nothing on the heap after it is dropped.
//!
//! The stack is not searched: moves leave copies there, which only later calls overwrite.
#![cfg(all(feature = "hmac", target_os = "linux"))]

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use sha2::block_api::compress256;
use tower_session_affinity::AffinitySecret;

const HEX: &str = "9f1c6ab0e7d24358bb0e61f7a4953d2c1e88f06759cad3b4420d7be96f15a8c3";

/// Bytes to search for, stored inverted so that the search does not find itself.
struct Needle(Vec<u8>);

impl Needle {
    fn new(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().map(|byte| !byte).collect())
    }

    /// The state of SHA-256 after the first block of the inner hash, for a secret of at most 64 bytes.
    /// This is what `hmac` keeps of the secret.
    fn key_schedule(secret: &[u8]) -> Self {
        let mut state = [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        let mut block = [0x36; 64];
        for (byte, secret) in block.iter_mut().zip(secret) {
            *byte ^= secret;
        }
        compress256(&mut state, &[block]);
        Self::new(state.into_iter().flat_map(u32::to_ne_bytes))
    }

    /// Counts how often these bytes occur on the heap.
    fn on_heap(&self) -> usize {
        let memory = File::open("/proc/self/mem").expect("the memory");
        let mut buffer = [0; 1 << 14];
        let mut found = 0;
        for mut range in heap() {
            while range.start < range.end {
                // A mapping may have shrunk since it was listed.
                let Ok(len @ 1..) = memory.read_at(&mut buffer, range.start) else {
                    break;
                };
                let windows = buffer[..len].windows(self.0.len());
                let same = |window: &&[u8]| {
                    window
                        .iter()
                        .zip(&self.0)
                        .all(|(one, other)| *one == !other)
                };
                found += windows.filter(same).count();
                // Reads overlap, so that a match across two of them is found.
                let overlap = if len < buffer.len() {
                    0
                } else {
                    self.0.len() - 1
                };
                range.start += (len - overlap) as u64;
            }
        }
        found
    }
}

/// Returns the writable anonymous mappings, except this thread's stack.
fn heap() -> Vec<Range<u64>> {
    let on_stack = 0_u8;
    let on_stack = (&raw const on_stack) as u64;
    let maps = fs::read_to_string("/proc/self/maps").expect("the memory's map");
    let range = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let range = address(start)?..address(end)?;
        let anonymous = rest.split_whitespace().count() == 4 || rest.ends_with("[heap]");
        (rest.starts_with("rw") && anonymous && !range.contains(&on_stack)).then_some(range)
    };
    maps.lines().filter_map(range).collect()
}

fn octets(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

#[test]
fn clones_share_one_key_schedule_that_is_wiped_with_the_last_of_them() {
    let key_schedule = Needle::key_schedule(&octets(HEX));
    let secret = AffinitySecret::from_hex(HEX).expect("a secret");
    let other = secret.clone();
    let key = other.key_for(["tenant-7", "chat-7"]);
    assert_eq!(
        key_schedule.on_heap(),
        1,
        "expected clones to share one key schedule"
    );

    drop(secret);
    assert_eq!(
        key_schedule.on_heap(),
        1,
        "expected the remaining clone to keep the key schedule"
    );
    drop((other, key));
    assert_eq!(
        key_schedule.on_heap(),
        0,
        "expected the key schedule to be wiped"
    );
}

#[test]
fn decoded_bytes_are_not_left_on_the_heap() {
    // Long enough that some of it would survive reuse of the memory.
    let hex: String = HEX.chars().rev().collect();
    let mut raw = octets(&hex).repeat(200);
    let piece = Needle::new(raw[..32].iter().copied());
    assert_ne!(
        piece.on_heap(),
        0,
        "expected the search to find the test's own copy"
    );
    raw.fill(0);
    assert_eq!(
        piece.on_heap(),
        0,
        "expected the test's own copy to be overwritten"
    );

    let secret = AffinitySecret::from_hex(&hex.repeat(200)).expect("a secret");
    assert_eq!(piece.on_heap(), 0, "expected the decoded bytes to be wiped");
    drop(secret);
}

#[test]
fn the_text_without_its_white_space_is_not_left_on_the_heap() {
    // Different from the other tests' secrets, since tests run concurrently.
    let hex = "5d0b83e6c19f472ad8f0364eb17529ca6e94d20f5b7ac8134fe92d61a0873bc5";
    let piece = Needle::new(hex.bytes().take(32));
    let mut copy = hex.as_bytes().to_vec();
    assert_ne!(
        piece.on_heap(),
        0,
        "expected the search to find the test's own copy"
    );
    copy.fill(0);
    assert_eq!(
        piece.on_heap(),
        0,
        "expected the test's own copy to be overwritten"
    );

    // No two digits are adjacent in the text itself: only the crate joins them.
    let text: String = hex.chars().flat_map(|digit| [digit, '\n']).collect();
    let secret = AffinitySecret::from_hex(&text.repeat(200)).expect("a secret");
    assert_eq!(piece.on_heap(), 0, "expected the joined digits to be wiped");
    drop(secret);
}
