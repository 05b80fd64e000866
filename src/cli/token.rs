//! The secret that clients show and the server asks for.
//!
//! It comes from the environment or from a file, never from a flag: a command line can be read by every
//! user of the machine. It is never printed.

use std::fmt;
use std::str::FromStr;

/// A bearer token: visible ASCII, at least one character, no white space.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text that cannot be a token. It does not say the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token is not valid: it must have 1 to 4096 visible ASCII characters and no white space within"
)]
pub struct InvalidToken;

impl Token {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `NEARGATE_TOKEN`, unless it is not set or empty.
    pub fn from_environment() -> Result<Option<Self>, InvalidToken> {
        match std::env::var("NEARGATE_TOKEN") {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => text.parse().map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(InvalidToken),
        }
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    /// White space around it does not count: a file usually ends with a new line.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        let valid =
            (1..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidToken)
        }
    }
}

/// Without the secret, so that it cannot get into a log by accident.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_checked_and_never_shown() {
        let token: Token = "s3cret\n".parse().unwrap();
        assert_eq!(token.expose(), "s3cret");
        assert_eq!(format!("{token:?}"), "Token(…)");
        for text in ["", " \n", "two words", "caf\u{e9}", "a\r\nX-Header: b"] {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text:?}");
        }
    }
}
