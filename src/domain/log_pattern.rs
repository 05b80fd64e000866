//! Which lines a search in a log group is for: the part of `CloudWatch` Logs' filter patterns that is about lines as text.
//!
//! Source: Amazon `CloudWatch` Logs user guide, "Filter pattern syntax": unstructured log events.

/// A filter pattern. The empty one matches every line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPattern {
    /// Each must be in the line, as it is written.
    all: Vec<String>,
    /// `?term`: one of them must be in the line. As in `CloudWatch`, they do not count beside terms of `all`.
    any: Vec<String>,
    /// `-term`: none may be in the line.
    none: Vec<String>,
}

/// A pattern that cannot be read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {0}")]
pub struct InvalidPattern(pub &'static str);

/// The most characters of a pattern, as in `CloudWatch` Logs.
const LONGEST: usize = 1_024;

impl LogPattern {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let mut rest = text.trim();
        if rest.chars().count() > LONGEST {
            return Err(InvalidPattern("it may have 1024 characters at most"));
        }
        if rest.starts_with(['{', '[']) {
            return Err(InvalidPattern(
                "patterns for JSON and for columns are not supported here; use terms and \"quoted phrases\"",
            ));
        }
        let mut pattern = Self::default();
        while !rest.is_empty() {
            let (terms, after) = match rest.as_bytes().first() {
                Some(b'?') => (&mut pattern.any, &rest[1..]),
                Some(b'-') => (&mut pattern.none, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            if after.starts_with('%') {
                return Err(InvalidPattern(
                    "regular expressions are not supported here; use terms and \"quoted phrases\"",
                ));
            }
            let (term, after) = if let Some(quoted) = after.strip_prefix('"') {
                phrase(quoted)?
            } else {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            };
            if term.is_empty() {
                return Err(InvalidPattern("a term is empty"));
            }
            terms.push(term);
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Whether a line is one that is looked for.
    pub fn matches(&self, line: &str) -> bool {
        let has = |term: &String| line.contains(term.as_str());
        let wanted = if self.all.is_empty() {
            self.any.is_empty() || self.any.iter().any(has)
        } else {
            self.all.iter().all(has)
        };
        wanted && !self.none.iter().any(has)
    }
}

/// What stands before the closing quote, and what comes after it.
fn phrase(text: &str) -> Result<(String, &str), InvalidPattern> {
    let mut phrase = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((phrase, &text[at + 1..])),
            '\\' => phrase.extend(characters.next().map(|(_, escaped)| escaped)),
            other => phrase.push(other),
        }
    }
    Err(InvalidPattern("a quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_phrases_are_looked_for_as_cloudwatch_does() {
        for (pattern, line, found) in [
            ("", "anything", true),
            ("  ", "", true),
            ("ERROR", "[ERROR 400] BAD REQUEST", true),
            ("ERROR", "an error", false),
            ("ERROR 400", "400 and ERROR", true),
            ("ERROR 401", "ERROR 400", false),
            ("\"ERROR 400\"", "[ERROR 400]", true),
            ("\"ERROR 400\"", "400 ERROR", false),
            ("\"say \\\"hi\\\"\" you", "you say \"hi\"", true),
            ("?ERROR ?WARN", "WARN: low", true),
            ("?ERROR ?WARN", "INFO: fine", false),
            ("ERROR ?WARN", "ERROR", true),
            ("ERROR -400", "ERROR 400", false),
            ("ERROR -400", "ERROR 401", true),
            ("-\"low disk\"", "the low disk", false),
            ("-\"low disk\"", "the disk", true),
        ] {
            let read = LogPattern::parse(pattern).unwrap();
            assert_eq!(read.matches(line), found, "{pattern} in {line}");
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        for pattern in [
            "{ $.a = 1 }",
            "[a, b]",
            "%err.*%",
            "a %b%",
            "\"open",
            "?",
            "- a",
            "\"\"",
        ] {
            assert!(LogPattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(LogPattern::parse(&"x".repeat(1_025)).is_err());
    }
}
