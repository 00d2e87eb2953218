//! Text that is safe to print to a terminal.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Characters that are invisible, although their category is not a format character.
const INVISIBLE: [(char, char); 7] = [
    ('\u{34f}', '\u{34f}'),   // combining grapheme joiner
    ('\u{115f}', '\u{1160}'), // Hangul fillers
    ('\u{17b4}', '\u{17b5}'), // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'), // Mongolian variation selectors
    ('\u{3164}', '\u{3164}'), // Hangul filler
    ('\u{fe00}', '\u{fe0f}'), // variation selectors
    ('\u{ffa0}', '\u{ffa0}'), // half-width Hangul filler
];

/// Removes invisible characters and those that change the direction of text, and replaces control
/// characters and line breaks with spaces.
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter_map(shown).collect()
}

/// Whether a character is invisible or a control character, so that it could split a word unnoticed.
pub(super) fn is_invisible(c: char) -> bool {
    shown(c) != Some(c)
}

fn shown(c: char) -> Option<char> {
    match c.general_category() {
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Some(' '),
        GeneralCategory::Format
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate
        | GeneralCategory::Unassigned => None,
        _ if INVISIBLE
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c)) =>
        {
            None
        }
        _ if ('\u{e0000}'..='\u{e0fff}').contains(&c) => None,
        _ => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(visible("\x1b[31mred\u{9b}\r\n"), " [31mred   ");
    }

    #[test]
    fn bidirectional_and_zero_width_characters_are_removed() {
        let hidden = "\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{e0041}\u{fe0f}\u{3164}\u{e000}";
        assert_eq!(visible(&format!("a{hidden}b")), "ab");
    }

    #[test]
    fn letters_of_every_script_are_kept() {
        for text in ["grün", "プロンプト", "नमस्ते", "ไม่พบ", "🙂", "שלום"]
        {
            assert_eq!(visible(text), text);
        }
    }
}
