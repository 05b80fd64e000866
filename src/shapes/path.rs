//! How a place in a document is written: `containerDefinitions[1].portMappings[0].hostPort`.
//!
//! Names that would be mistaken for something else are put in brackets and quotes, as
//! `dockerLabels["com.example.team"]`. Whatever a sender wrote is cut and freed of control characters
//! before it becomes part of a path or a message, because both end up on terminals.

/// Longer texts are cut when they become part of a path or message.
const LONGEST: usize = 64;

/// The path of the field `name` of what is at `path`.
pub(super) fn field(path: &str, name: &str) -> String {
    let segment = segment(name);
    if path.is_empty() || segment.starts_with('[') {
        format!("{path}{segment}")
    } else {
        format!("{path}.{segment}")
    }
}

/// The path of the item `index` of what is at `path`.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// What follows on the field `name` at the beginning of `path`, if that is what it begins with.
pub(super) fn strip_field<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(segment(name).as_str())?;
    match rest.as_bytes().first() {
        None | Some(b'[') => Some(rest),
        Some(b'.') => Some(&rest[1..]),
        Some(_) => None,
    }
}

/// The index at the beginning of `path` and what follows on it.
pub(super) fn strip_index(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// Whether `path` is `other` or lies within it.
pub(super) fn is_within(path: &str, other: &str) -> bool {
    other.is_empty()
        || path
            .strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// `text`, cut and made harmless, between backticks.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", harmless(text))
}

/// `text` as it is, but for characters that do something to a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect()
}

fn segment(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("[\"{}\"]", harmless(name))
    }
}

fn harmless(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .flat_map(|c| {
            let escaped = c.is_control() || is_invisible(c) || c == '"';
            let plain = (!escaped).then_some(c);
            let hidden = escaped.then(|| c.escape_default());
            plain.into_iter().chain(hidden.into_iter().flatten())
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Characters that change the direction of text or take no room: a name with them is not what it seems.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_and_read() {
        let path = field(&item(&field("", "containerDefinitions"), 1), "dockerLabels");
        assert_eq!(path, "containerDefinitions[1].dockerLabels");
        let path = field(&path, "com.example");
        assert_eq!(
            path,
            "containerDefinitions[1].dockerLabels[\"com.example\"]"
        );

        let rest = strip_field(&path, "containerDefinitions").unwrap();
        let (index, rest) = strip_index(rest).unwrap();
        let rest = strip_field(rest, "dockerLabels").unwrap();
        assert_eq!((index, strip_field(rest, "com.example")), (1, Some("")));
        assert_eq!(strip_field("cpus", "cpu"), None);
        assert!(is_within("a[1].b", "a[1]") && !is_within("a[10]", "a[1"));
    }

    #[test]
    fn what_a_sender_wrote_is_made_harmless() {
        assert_eq!(quote("\u{1b}[31m\u{202e}x"), "`\\u{1b}[31m\\u{202e}x`");
        assert_eq!(quote(&"x".repeat(70)).chars().count(), 67);
    }
}
