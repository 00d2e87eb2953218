//! The confirmation before anything is sent.

use std::io::{self, BufRead, IsTerminal};

use http::Uri;

use crate::args::Args;
use crate::client::shown;
use crate::plan::Plan;
use crate::report::grouped;

/// Says what will be sent, and asks for confirmation unless `--yes` is set.
///
/// # Errors
///
/// If the user declines, or cannot be asked.
pub(crate) fn ask(args: &Args, plan: &Plan, endpoint: &Uri) -> Result<(), &'static str> {
    let size = plan.size();
    eprintln!(
        "This sends {} requests with about {} prompt tokens to {}\nand asks for at most {} output tokens.",
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
            "The prompts are {count} recorded conversations from {}.",
            file.display()
        );
    }
    if args.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(
            "nothing was sent: pass --yes to confirm, since there is no terminal to ask on",
        );
    }
    eprint!("Continue? [y/N] ");
    let mut answer = String::new();
    // Anything that cannot be read is not a yes.
    let _ = io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err("nothing was sent: not confirmed")
    }
}
