//! What a run will send, and whether it may.

use std::io::{self, BufRead, IsTerminal};

use http::Uri;

use crate::args::Args;
use crate::client::shown;
use crate::plan::Plan;
use crate::report::grouped;

/// Says what will be sent, and asks unless `--yes` was given; otherwise returns why it will not.
pub(crate) fn ask(args: &Args, plan: &Plan, endpoint: &Uri) -> Result<(), &'static str> {
    let size = plan.size();
    eprintln!(
        "This sends {} requests with about {} prompt tokens to {},\nand asks for at most {} tokens of answers.",
        grouped(size.requests),
        grouped(size.prompt_tokens),
        shown(endpoint),
        grouped(size.answer_tokens),
    );
    let names = plan.variants.carriers().len();
    if names > 1 {
        eprintln!("It tries {names} names: {}.", plan.variants.list());
    }
    if let Some(file) = &args.conversations_file {
        let count = plan.recorded.len();
        eprintln!(
            "It sends {count} recorded conversations from {}.",
            file.display()
        );
    }
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err("nothing was sent: give --yes, since there is no terminal to ask at");
    }
    eprint!("Go on? [y/N] ");
    let mut answer = String::new();
    // What cannot be read is no yes.
    let _ = io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err("nothing was sent")
    }
}
