//! Recorded conversations from JSON Lines, as evaluation sets and logs store them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::conversation::Message;

/// The longest line in bytes, enough for a conversation that fills the longest context.
const LONGEST_LINE: u64 = 16 << 20;

/// The places of the messages in a line.
const PLACES: [&str; 6] = [
    "/messages",
    "/body/messages",
    "/request/messages",
    "/request/body/messages",
    "/input",
    "",
];

/// A conversation by turns; each ends where the model answers.
pub(crate) type Turns = Vec<Vec<Message>>;

/// Reads up to `most` conversations that have two or more turns.
///
/// # Errors
///
/// If the file cannot be read or a line is not valid. The message names the line and repeats none of it.
pub(crate) fn read(path: &Path, most: usize) -> Result<Vec<Turns>, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut lines = BufReader::new(file);
    let mut conversations = Vec::new();
    for number in 1.. {
        let mut line = Vec::new();
        let read = lines
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line);
        read.map_err(|error| format!("cannot read {shown}: {error}"))?;
        if line.is_empty() || conversations.len() == most {
            break;
        }
        if line.len() as u64 == LONGEST_LINE {
            return Err(format!(
                "{shown}, line {number}: longer than {} MiB",
                LONGEST_LINE >> 20
            ));
        }
        let line = line
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&line)
            .trim_ascii();
        if line.is_empty() {
            continue;
        }
        let turns = turns(line).map_err(|why| format!("{shown}, line {number}: {why}"))?;
        // With a single turn, nothing could come from a cache.
        conversations.extend((turns.len() > 1).then_some(turns));
    }
    Ok(conversations)
}

fn turns(line: &[u8]) -> Result<Turns, &'static str> {
    let line: Value = serde_json::from_slice(line).map_err(|_| "not valid JSON")?;
    let found = PLACES.iter().filter_map(|place| line.pointer(place));
    let messages = found.into_iter().find(|messages| messages.is_array());
    let messages = messages.ok_or("no `messages` array found")?;
    let messages: Vec<Message> =
        serde_json::from_value(messages.clone()).map_err(|_| "a message has no `role`")?;
    let mut turns: Turns = Vec::new();
    let mut turn = Vec::new();
    for message in messages {
        if message.role == "assistant"
            && turn
                .iter()
                .any(|message: &Message| message.role != "assistant")
        {
            turns.push(std::mem::take(&mut turn));
        }
        turn.push(message);
    }
    // After the last answer, there may be no further question.
    if turn.iter().any(|message| message.role != "assistant") {
        turns.push(turn);
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_text(text: &str, most: usize) -> Result<Vec<Turns>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chats.jsonl");
        fs::write(&path, text).expect("written");
        read(&path, most).map_err(|error| error.replace(&path.display().to_string(), "FILE"))
    }

    const TWO: &str = r#"[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]"#;

    #[test]
    fn messages_are_found_where_evaluation_sets_and_logs_store_them() {
        for line in [
            format!(r#"{{"messages":{TWO},"id":1}}"#),
            format!(
                r#"{{"custom_id":"1","method":"POST","body":{{"model":"m","messages":{TWO}}}}}"#
            ),
            format!(r#"{{"request":{{"messages":{TWO}}}}}"#),
            format!(r#"{{"input":{TWO},"ideal":"d"}}"#),
            TWO.to_owned(),
        ] {
            let turns = &read_text(&format!("\u{feff}{line}\r\n\n"), 9).expect("read")[0];
            let roles: Vec<Vec<_>> = turns
                .iter()
                .map(|turn| turn.iter().map(|m| m.role.as_str()).collect())
                .collect();
            assert_eq!(roles, [["system", "user"], ["assistant", "user"]], "{line}");
        }
    }

    #[test]
    fn tool_calls_and_their_results_are_kept() {
        let line = r#"{"messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","tool_call_id":"1","content":"7"}]}"#;
        let turns = &read_text(&line.replace('\n', ""), 9).expect("read")[0];
        let json = serde_json::to_value(&turns[1]).expect("JSON");
        assert_eq!(json[0]["tool_calls"][0]["id"], "1");
        assert_eq!(json[1]["tool_call_id"], "1");
    }

    #[test]
    fn lines_with_one_turn_are_skipped_and_reading_stops_at_the_limit() {
        let one =
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
        let two = format!(r#"{{"messages":{TWO}}}"#);
        let text = [one, &two, &two, "not JSON"].join("\n");
        assert_eq!(read_text(&text, 2).expect("read").len(), 2);
    }

    #[test]
    fn an_invalid_line_is_reported_by_its_number_without_its_text() {
        for (line, why) in [
            ("sk-secret", "not valid JSON"),
            (r#"{"prompt":"a"}"#, "no `messages` array found"),
            (
                r#"{"messages":[{"content":"a"}]}"#,
                "a message has no `role`",
            ),
        ] {
            let text = format!("{{\"messages\":{TWO}}}\n{line}\n");
            assert_eq!(read_text(&text, 9), Err(format!("FILE, line 2: {why}")));
        }
    }
}
