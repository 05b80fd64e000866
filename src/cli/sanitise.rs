//! Makes harmless what others wrote, before a terminal sees it.
//!
//! A log line or a name can hold anything. Written to a terminal as it is, it could move the cursor, set the
//! window's title, answer on the keyboard's behalf or hide text. So control characters become visible text
//! (`\x1b`), and so do the characters that turn the direction of writing around. Colours of log lines are
//! the one thing that may pass, where colours are wanted; what hides text is no colour.

use std::fmt::Write as _;

use crate::domain::display::is_harmful;
pub(super) use crate::domain::display::visible as text_escape;

/// Which escape sequences of a log line may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// Those that set colours and weights, each line by itself.
    Keep,
    /// None; those that set colours are left out, for they say nothing.
    Drop,
}

/// One field of one line: everything that is not printable becomes visible, new lines and tabs too.
pub(super) fn one_line(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        push(&mut harmless, character);
    }
    harmless
}

/// A document of several lines: new lines and tabs stay, everything else that is not printable becomes
/// visible. `escape` writes a character; JSON has its own way.
pub(super) fn document(text: &str, escape: fn(char) -> String) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) && !matches!(character, '\n' | '\t') {
            harmless.push_str(&escape(character));
        } else {
            harmless.push(character);
        }
    }
    harmless
}

/// As JSON escapes a character; it stays the same document.
pub(super) fn json_escape(character: char) -> String {
    let mut units = [0; 2];
    let mut escaped = String::new();
    for unit in character.encode_utf16(&mut units) {
        // Writing to a string does not fail.
        let _ = write!(escaped, "\\u{unit:04x}");
    }
    escaped
}

/// A line of a log, without its end. Tabs stay; the carriage return before the end goes.
pub(super) fn log_line(text: &str, colours: Colours) -> String {
    let mut rest = text.strip_suffix('\r').unwrap_or(text);
    let mut harmless = String::with_capacity(rest.len());
    let mut coloured = false;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = colour_sequence(rest) {
            if colours == Colours::Keep {
                harmless.push_str(&rest[..length]);
                coloured = true;
            }
            rest = &rest[length..];
            continue;
        }
        if character == '\t' {
            harmless.push(character);
        } else {
            push(&mut harmless, character);
        }
        rest = &rest[character.len_utf8()..];
    }
    if coloured {
        harmless.push_str("\x1b[0m");
    }
    harmless
}

fn push(text: &mut String, character: char) {
    match character {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        _ if is_harmful(character) => text.push_str(&text_escape(character)),
        _ => text.push(character),
    }
}

/// The length of the sequence at the beginning of `text`, if that sets colours or weights and nothing else.
fn colour_sequence(text: &str) -> Option<usize> {
    const LONGEST: usize = 32;
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters
        .bytes()
        .take(LONGEST)
        .position(|byte| byte == b'm')?;
    let parameters = &parameters[..end];
    if !parameters
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b';')
    {
        return None;
    }
    // 8 conceals, unless it is part of a colour such as 38;5;8.
    let mut numbers = parameters
        .split(';')
        .map(|number| number.trim_start_matches('0'));
    let is_palette = matches!(parameters.split(';').next(), Some("38" | "48"));
    (is_palette || numbers.all(|number| number != "8")).then_some("\x1b[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        for (text, harmless) in [
            (
                "plain, caf\u{e9}, \u{65e5}\u{672c}",
                "plain, caf\u{e9}, \u{65e5}\u{672c}",
            ),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
            ("\u{9b}6n", "\\x9b6n"),
            ("50%\r60%", "50%\\r60%"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            ("tab\tstays", "tab\tstays"),
            ("ends as in Windows\r", "ends as in Windows"),
        ] {
            assert_eq!(log_line(text, Colours::Keep), harmless);
        }
        assert_eq!(one_line("a\tb\nc\x1b"), "a\\tb\\nc\\x1b");
    }

    #[test]
    fn colours_pass_where_they_are_wanted_and_end_with_the_line() {
        let text = "\x1b[1;32mINFO\x1b[0m ready \x1b[38;5;8mgrey";
        assert_eq!(log_line(text, Colours::Keep), format!("{text}\x1b[0m"));
        assert_eq!(log_line(text, Colours::Drop), "INFO ready grey");
    }

    #[test]
    fn what_hides_text_is_no_colour() {
        assert_eq!(log_line("\x1b[8msecret", Colours::Keep), "\\x1b[8msecret");
        assert_eq!(
            log_line("\x1b[1;08msecret", Colours::Keep),
            "\\x1b[1;08msecret"
        );
        assert_eq!(log_line("\x1b[?25l", Colours::Keep), "\\x1b[?25l");
        assert_eq!(log_line("\x1b[", Colours::Keep), "\\x1b[");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "name": "a\u{9b}31m\u{202e}\x1b" });
        let text = document(&serde_json::to_string(&value).unwrap(), json_escape);
        assert!(text.is_ascii());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
