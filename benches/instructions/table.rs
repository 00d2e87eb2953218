//! The counts as tables, and whether the bounds hold.

use crate::counts::Counts;

/// One contestant of ours beside one of others.
struct Row {
    what: &'static str,
    ours: &'static str,
    beside: &'static str,
    theirs: &'static str,
    id: &'static str,
    /// The ratio that must hold, if any, and the one to aim for.
    bound: Option<f64>,
    aim: Option<f64>,
}

const IF_NOT_PRESENT: &str = "tower-http `if_not_present`";
const OVERRIDING: &str = "tower-http `overriding`";
const CLOSURE: &str = "tower-http, a closure that checks nothing";
const NAMED_INSERT: &str = "hand-written `insert`";
const CONST_INSERT: &str = "hand-written `insert` of a constant name";
const ENTRY: &str = "hand-written `try_entry` of a constant name";

const fn row(
    what: &'static str,
    id: &'static str,
    ours: &'static str,
    (beside, theirs): (&'static str, &'static str),
    bound: Option<f64>,
    aim: Option<f64>,
) -> Row {
    Row {
        what,
        ours,
        beside,
        theirs,
        id,
        bound,
        aim,
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("fixed key", "h5", "fixed", (IF_NOT_PRESENT, "fixed_by_tower_http"), Some(0.88), Some(0.75)),
    row("fixed key", "h13", "fixed", (IF_NOT_PRESENT, "fixed_by_tower_http"), Some(1.0), None),
    row("fixed key, another name", "h5", "other_name", (IF_NOT_PRESENT, "other_name_by_tower_http"), Some(0.88), Some(0.75)),
    row("fixed key, another name", "h13", "other_name", (IF_NOT_PRESENT, "other_name_by_tower_http"), None, None),
    row("key in extensions", "h5", "extension", (IF_NOT_PRESENT, "extension_by_tower_http"), Some(0.93), Some(0.80)),
    row("key in extensions", "h13", "extension", (IF_NOT_PRESENT, "extension_by_tower_http"), Some(1.0), None),
    row("header present", "h5", "present", (IF_NOT_PRESENT, "present_by_tower_http"), Some(1.10), Some(0.95)),
    row("header present", "h13", "present", (IF_NOT_PRESENT, "present_by_tower_http"), Some(1.15), None),
    row("no key", "h5", "no_key", (IF_NOT_PRESENT, "no_key_by_tower_http"), None, None),
    row("closure", "h5", "closure", (CLOSURE, "closure_by_tower_http"), None, None),
    row("`FromHeaders`", "h5", "from_headers", (CLOSURE, "closure_by_tower_http"), None, None),
    row("`Replace`, absent", "h5", "replace", (OVERRIDING, "replace_by_tower_http"), Some(1.0), Some(0.85)),
    row("`Replace`, absent", "h5", "replace", (NAMED_INSERT, "replace_by_hand"), Some(1.12), None),
    row("`Replace`, absent", "h5", "replace", (CONST_INSERT, "replace_by_hand_const"), None, None),
    row("`Replace`, absent", "h5", "replace", (ENTRY, "entry_by_hand"), None, None),
    row("`Replace`, present", "h13", "replace_present", (OVERRIDING, "replace_present_by_tower_http"), None, None),
    row("clone, fixed key", "tower_http", "clones", (IF_NOT_PRESENT, "clones"), Some(1.0), None),
];

/// The rows of the second table, each over these numbers of headers.
const GROWTH: [(&str, &str); 6] = [
    ("fixed", "fixed_by_tower_http"),
    ("extension", "extension_by_tower_http"),
    ("present", "present_by_tower_http"),
    ("replace", "replace_by_tower_http"),
    ("closure", "closure_by_tower_http"),
    ("no_key", "no_key_by_tower_http"),
];
const SIZES: [&str; 7] = ["h0", "h5", "h6", "h9", "h13", "h20", "h100"];

/// What the settings of a layer with a fixed key add.
const SETTINGS: [&str; 6] = [
    "fixed",
    "only_1_host",
    "only_8_hosts",
    "fallbacks_2",
    "fallbacks_4",
    "fallbacks_8",
];

/// What a call costs beyond the bare service's.
fn cost(counts: &Counts, contestant: &str, id: &str) -> f64 {
    let (bare, bare_id) = match contestant {
        "clones" => ("clones", "bare"),
        _ => ("bare", "h5"),
    };
    counts.of(contestant, id) - counts.of(bare, bare_id)
}

/// Prints all tables and returns whether every bound holds.
pub(crate) fn print(counts: &Counts) -> bool {
    println!(
        "| instructions a request | other headers | ours | beside | theirs | ratio | bound | aim | |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let missed = ROWS.iter().filter(|row| !print_row(counts, row)).count();
    print_growth(counts);
    print_settings(counts);
    missed == 0
}

fn print_row(counts: &Counts, row: &Row) -> bool {
    let ours = match row.ours {
        "clones" => cost(counts, "clones", "ours"),
        contestant => cost(counts, contestant, row.id),
    };
    let theirs = cost(counts, row.theirs, row.id);
    let ratio = ours / theirs;
    let holds = row.bound.is_none_or(|bound| ratio <= bound);
    let verdict = match (row.bound, row.aim) {
        (None, _) => "reported",
        _ if !holds => "BOUND MISSED",
        (_, Some(aim)) if ratio <= aim => "bound and aim hold",
        _ => "bound holds",
    };
    let limit = |limit: Option<f64>| limit.map(|limit| format!("{limit:.2}")).unwrap_or_default();
    println!(
        "| {} | {} | {ours:.0} | {} | {theirs:.0} | {ratio:.3} | {} | {} | {verdict} |",
        row.what,
        row.id.strip_prefix('h').unwrap_or_default(),
        row.beside,
        limit(row.bound),
        limit(row.aim),
    );
    holds
}

fn print_growth(counts: &Counts) {
    println!(
        "\n| other headers, ours / tower-http | 0 | 5 | 6, the map grows | 9 | 13 | 20 | 100 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (ours, theirs) in GROWTH {
        print!("| {} ", ours.replace('_', " "));
        for id in SIZES {
            print!(
                "| {:.0} / {:.0} ",
                cost(counts, ours, id),
                cost(counts, theirs, id)
            );
        }
        println!("|");
    }
}

fn print_settings(counts: &Counts) {
    println!("\n| fixed key, 5 headers | instructions |");
    println!("|---|---|");
    for setting in SETTINGS {
        println!(
            "| {} | {:.0} |",
            setting.replace('_', " "),
            cost(counts, setting, "h5")
        );
    }
}
