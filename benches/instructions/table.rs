//! Prints the counts as tables, and checks the bounds.

use std::env;

use crate::counts::Counts;

/// One of our contestants, and the one that it is compared with.
struct Row {
    what: &'static str,
    ours: &'static str,
    beside: &'static str,
    theirs: &'static str,
}

/// The maximum of a ratio, with `--release` and with fat LTO.
struct Bound {
    row: &'static str,
    beside: &'static str,
    set: &'static str,
    release: f64,
    lto: f64,
}

/// The maximum number of instructions that a setting adds to a fixed key with 5 other headers.
struct Addition {
    what: &'static str,
    contestant: &'static str,
    most: f64,
    /// Whether `most` limits the whole cost instead of what is added.
    whole: bool,
}

const IF_NOT_PRESENT: &str = "tower-http `if_not_present`";
const OVERRIDING: &str = "tower-http `overriding`";
const CLOSURE: &str = "tower-http, a closure that checks nothing";
const CONTAINS: &str = "hand-written `if !contains_key { insert }`";
const NAMED_INSERT: &str = "hand-written `insert`";
const CONST_INSERT: &str = "hand-written `insert` of a constant name";
const ENTRY: &str = "hand-written `try_entry`";

const fn row(
    what: &'static str,
    ours: &'static str,
    beside: &'static str,
    theirs: &'static str,
) -> Row {
    Row {
        what,
        ours,
        beside,
        theirs,
    }
}

const ROWS: &[Row] = &[
    row("fixed key", "fixed", IF_NOT_PRESENT, "fixed_by_tower_http"),
    row("fixed key", "fixed", CONTAINS, "fixed_by_hand"),
    row(
        "fixed key, another name",
        "other_name",
        IF_NOT_PRESENT,
        "other_name_by_tower_http",
    ),
    row(
        "key in extensions",
        "extension",
        IF_NOT_PRESENT,
        "extension_by_tower_http",
    ),
    row(
        "header present, first",
        "present_first",
        IF_NOT_PRESENT,
        "present_first_by_tower_http",
    ),
    row(
        "header present, middle",
        "present_middle",
        IF_NOT_PRESENT,
        "present_middle_by_tower_http",
    ),
    row(
        "header present, last",
        "present_last",
        IF_NOT_PRESENT,
        "present_last_by_tower_http",
    ),
    row(
        "header blank",
        "blank",
        IF_NOT_PRESENT,
        "blank_by_tower_http",
    ),
    row(
        "header repeated",
        "repeated",
        IF_NOT_PRESENT,
        "repeated_by_tower_http",
    ),
    row("no key", "no_key", IF_NOT_PRESENT, "no_key_by_tower_http"),
    row("closure", "closure", CLOSURE, "closure_by_tower_http"),
    row(
        "`FromHeaders`",
        "from_headers",
        CLOSURE,
        "closure_by_tower_http",
    ),
    row("`.adopt`", "adopt", CLOSURE, "closure_by_tower_http"),
    row(
        "`Replace`, absent",
        "replace",
        OVERRIDING,
        "replace_by_tower_http",
    ),
    row(
        "`Replace`, absent",
        "replace",
        NAMED_INSERT,
        "replace_by_hand",
    ),
    row(
        "`Replace`, absent",
        "replace",
        CONST_INSERT,
        "replace_by_hand_const",
    ),
    row("`Replace`, absent", "replace", ENTRY, "entry_by_hand"),
    row(
        "`Replace`, present",
        "replace_present",
        OVERRIDING,
        "replace_present_by_tower_http",
    ),
];

const fn bound(
    row: &'static str,
    beside: &'static str,
    set: &'static str,
    release: f64,
    lto: f64,
) -> Bound {
    Bound {
        row,
        beside,
        set,
        release,
        lto,
    }
}

/// The bounds. `docs/benchmarks.md` explains each that is over 1.0.
const BOUNDS: &[Bound] = &[
    bound("fixed key", IF_NOT_PRESENT, "h5", 0.57, 0.77),
    bound("fixed key", IF_NOT_PRESENT, "h13", 0.65, 0.85),
    bound("key in extensions", IF_NOT_PRESENT, "h5", 0.62, 0.80),
    bound("key in extensions", IF_NOT_PRESENT, "h13", 0.68, 0.88),
    bound("header present, middle", IF_NOT_PRESENT, "h5", 0.75, 0.80),
    bound("header present, first", IF_NOT_PRESENT, "h13", 0.88, 0.88),
    bound("header present, middle", IF_NOT_PRESENT, "h13", 0.88, 0.88),
    bound("header present, last", IF_NOT_PRESENT, "h13", 1.15, 1.25),
    bound(
        "header present, middle",
        IF_NOT_PRESENT,
        "crumbs",
        1.25,
        1.25,
    ),
    bound("`FromHeaders`", CLOSURE, "h13", 1.0, 1.15),
    bound("closure", CLOSURE, "h13", 0.95, 1.12),
    bound("`Replace`, absent", OVERRIDING, "h5", 1.0, 1.0),
];

const ADDITIONS: &[Addition] = &[
    addition("`.only_hosts` of 1 host", "only_1_host", 80.0, false),
    addition(
        "`.only_hosts` of 8 hosts, the last matches",
        "only_8_hosts",
        160.0,
        false,
    ),
    addition(
        "`Destinations::known()`, a row in the middle",
        "known_destinations",
        300.0,
        false,
    ),
    addition("2 fallbacks", "fallbacks_2", 500.0, true),
    addition("4 fallbacks", "fallbacks_4", 750.0, true),
    addition("8 fallbacks", "fallbacks_8", 1250.0, true),
];

const fn addition(
    what: &'static str,
    contestant: &'static str,
    most: f64,
    whole: bool,
) -> Addition {
    Addition {
        what,
        contestant,
        most,
        whole,
    }
}

/// What real clients send. The median is taken over these.
const CLIENTS: [&str; 4] = ["client", "full_client", "proxy", "browser"];

/// The rows of the growth table.
const GROWTH: [(&str, &str); 6] = [
    ("fixed", "fixed_by_tower_http"),
    ("extension", "extension_by_tower_http"),
    ("present_middle", "present_middle_by_tower_http"),
    ("replace", "replace_by_tower_http"),
    ("closure", "closure_by_tower_http"),
    ("no_key", "no_key_by_tower_http"),
];
const SIZES: [&str; 7] = ["h0", "h5", "h6", "h9", "h13", "h20", "h100"];

/// The cost of a call, minus that of the bare service.
fn cost(counts: &Counts, contestant: &str, set: &str) -> f64 {
    let (bare, bare_set) = match contestant {
        "clones" => ("clones", "bare"),
        _ => ("bare", "h5"),
    };
    counts.of(contestant, set) - counts.of(bare, bare_set)
}

fn ratio(counts: &Counts, row: &Row, set: &str) -> f64 {
    cost(counts, row.ours, set) / cost(counts, row.theirs, set)
}

/// Prints all tables, and returns whether every bound holds.
pub(crate) fn print(counts: &Counts) -> bool {
    print_clients(counts);
    print_growth(counts);
    let ratios = print_bounds(counts);
    let additions = print_additions(counts);
    let clones = print_clones(counts);
    ratios && additions && clones
}

fn print_clients(counts: &Counts) {
    println!(
        "| ours / theirs, instructions | compared with | 5 | 13 | client, 4 | client, 8 | proxy, 11 | browser, 16 | \
         median of the last four |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in ROWS {
        print!("| {} | {} ", row.what, row.beside);
        for set in ["h5", "h13"].into_iter().chain(CLIENTS) {
            let (ours, theirs) = (cost(counts, row.ours, set), cost(counts, row.theirs, set));
            print!("| {ours:.0} / {theirs:.0} = {:.2} ", ours / theirs);
        }
        println!("| {:.2} |", median(counts, row));
    }
}

fn median(counts: &Counts, row: &Row) -> f64 {
    let mut ratios = CLIENTS.map(|set| ratio(counts, row, set));
    ratios.sort_by(f64::total_cmp);
    f64::midpoint(ratios[1], ratios[2])
}

fn print_growth(counts: &Counts) {
    println!(
        "\n| other headers, ours / tower-http | 0 | 5 | 6, the map grows | 9 | 13 | 20 | 100 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (ours, theirs) in GROWTH {
        print!("| {} ", ours.replace('_', " "));
        for set in SIZES {
            let (ours, theirs) = (cost(counts, ours, set), cost(counts, theirs, set));
            print!("| {ours:.0} / {theirs:.0} ");
        }
        println!("|");
    }
}

fn print_bounds(counts: &Counts) -> bool {
    println!("\n| bound | compared with | headers | ratio | bound | |");
    println!("|---|---|---|---|---|---|");
    let print = |bound: &Bound| {
        let mut rows = ROWS.iter();
        let is_it = |row: &&Row| (row.what, row.beside) == (bound.row, bound.beside);
        let row = rows.find(is_it).expect("a bound is of a row");
        let ratio = ratio(counts, row, bound.set);
        let most = if is_lto() { bound.lto } else { bound.release };
        let set = bound.set.strip_prefix('h').unwrap_or(bound.set);
        println!(
            "| {} | {} | {set} | {ratio:.3} | {most:.2} | {} |",
            bound.row,
            bound.beside,
            verdict(ratio <= most),
        );
        ratio <= most
    };
    BOUNDS.iter().filter(|bound| !print(bound)).count() == 0
}

fn print_additions(counts: &Counts) -> bool {
    println!("\n| fixed key, 5 headers | instructions | more than the plain layer | bound | |");
    println!("|---|---|---|---|---|");
    let plain = cost(counts, "fixed", "h5");
    let print = |addition: &Addition| {
        let whole = cost(counts, addition.contestant, "h5");
        let added = whole - plain;
        let holds = if addition.whole { whole } else { added } <= addition.most;
        let most = addition.most;
        let kind = if addition.whole { "" } else { "+" };
        println!(
            "| {} | {whole:.0} | {added:+.0} | {kind}{most:.0} | {} |",
            addition.what,
            verdict(holds || is_lto()),
        );
        // These bounds apply to `--release` only.
        holds || is_lto()
    };
    ADDITIONS.iter().filter(|addition| !print(addition)).count() == 0
}

fn print_clones(counts: &Counts) -> bool {
    let (ours, theirs) = (
        cost(counts, "clones", "ours"),
        cost(counts, "clones", "tower_http"),
    );
    let holds = ours <= theirs;
    println!(
        "\nA clone of the service: {ours:.0}, {IF_NOT_PRESENT} {theirs:.0}: {}.",
        verdict(holds)
    );
    holds
}

const fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "BOUND MISSED" }
}

/// Whether this program was built with the profile `bench-lto`. Only its folder shows that.
fn is_lto() -> bool {
    env::current_exe().is_ok_and(|path| path.iter().any(|part| part == "bench-lto"))
}
