//! Quantities as pages show them. What is in here writes HTML by itself, and escapes what it is given.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::domain::TimestampMs;
use crate::domain::display::{self, Tone};

/// A point in time: how long ago it is, and exactly when for whoever points at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// The point in time.
    pub(super) at: TimestampMs,
    /// When the page is made.
    pub(super) now: TimestampMs,
}

impl When {
    /// The time that the API writes as `text`.
    pub(super) fn parse(text: &str, now: TimestampMs) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        let at = TimestampMs::from_millis(at.as_millisecond());
        Some(Self { at, now })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, ago) = (self.at, display::ago(self.at, self.now));
        write!(f, "<time datetime=\"{at}\" title=\"{at}\">{ago}</time>")
    }
}

impl HtmlSafe for When {}

/// The class of what has that tone.
const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Busy => "busy",
        Tone::Bad => "bad",
        Tone::Past => "past",
    }
}

/// A word with a tone: the state of something.
#[derive(Clone, Debug, Default, Template)]
#[template(
    ext = "html",
    source = "<span class=\"badge {{ class }}\">{{ text }}</span>"
)]
pub(super) struct Badge {
    text: String,
    class: &'static str,
}

impl HtmlSafe for Badge {}

impl Badge {
    /// `text` in that tone.
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            class: class(tone),
        }
    }

    /// The status of something, in ECS's words, with the tone that goes with it.
    pub(super) fn status(text: &str) -> Self {
        Self::new(text, Tone::of_status(text))
    }

    /// What became of a deployment, in ECS's words, with the tone that goes with it.
    pub(super) fn deployment(text: &str) -> Self {
        Self::new(text, Tone::of_deployment(text))
    }
}

/// SVG that was made here; what it says was escaped when it was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Svg(pub(super) String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

/// The way to the other parts of a list.
#[derive(Clone, Debug, Default, Template)]
#[template(
    ext = "html",
    source = "{% if first.is_some() || next.is_some() %}<nav class=\"pages\" aria-label=\"Pages of the list\">\
{% if let Some(first) = first %}<a href=\"{{ first }}\">First page</a> {% endif %}\
{% if let Some(next) = next %}<a rel=\"next\" href=\"{{ next }}\">Next page</a>{% endif %}</nav>{% endif %}"
)]
pub(super) struct Paging {
    /// Where the list begins, on any page but the first.
    pub(super) first: Option<String>,
    /// Where it goes on, on any page but the last.
    pub(super) next: Option<String>,
}

impl HtmlSafe for Paging {}

impl Paging {
    /// The list at `path`, of which the page was asked for that begins at `token`; `filter` is the rest of the query, as
    /// [`query`] writes it.
    pub(super) fn new(path: &str, filter: &str, token: Option<&str>, next: Option<&str>) -> Self {
        let to = |token: Option<&str>| {
            let token = token.map(|token| query(&[("nextToken", token)]));
            let parts = [Some(filter.to_owned()), token];
            let parts: Vec<String> = parts
                .into_iter()
                .flatten()
                .filter(|part| !part.is_empty())
                .collect();
            match parts.join("&") {
                query if query.is_empty() => path.to_owned(),
                query => format!("{path}?{query}"),
            }
        };
        Self {
            first: token.map(|_| to(None)),
            next: next.map(|next| to(Some(next))),
        }
    }
}

/// `bytes` in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = fmt::Write::write_fmt(&mut out, format_args!("{byte:02x}"));
    }
    out
}

/// A query of these names and values, without those that are empty.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let written = pairs.iter().filter(|(_, value)| !value.is_empty());
    let written = written.map(|(name, value)| format!("{name}={}", segment(value)));
    written.collect::<Vec<_>>().join("&")
}

/// All but the characters that RFC 3986 calls unreserved.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `text` as one segment of a path, or a value of a query.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, &ENCODED).to_string()
}
