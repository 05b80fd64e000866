//! Where a command's words go: data to stdout, talk to stderr, and neither garbles the other.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::failure::Failure;
use super::live::{self, Live};
use super::sanitise::{self, Colours};
use super::table::{Look, Table};
use super::terminal;

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// The API's answer; in a stream, one object a line.
    Json,
    /// The API's answer; in a stream, one document after another.
    Yaml,
}

/// How many digits of an ID are shown where it is only read.
const SHORT_ID: usize = 12;

/// The two outputs of a command, and what is at the other end of them.
pub(super) struct Console {
    stdout: Box<dyn Write + Send + Sync>,
    stderr: Box<dyn Write + Send + Sync>,
    /// What is at the other end of stdout.
    pub(super) stdout_is_terminal: bool,
    /// What is at the other end of stderr.
    pub(super) stderr_is_terminal: bool,
    colour_is_wanted: bool,
    width: Option<u16>,
    /// How answers are printed.
    pub(super) format: Format,
    /// The bars that stand below what is printed to the terminal.
    pub(super) bars: MultiProgress,
    documents: u64,
}

impl Console {
    /// The outputs of this process.
    pub(super) fn of_process(format: Format, verbose: bool) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let stderr_is_terminal = io::stderr().is_terminal();
        // The notes of --verbose would be written across the bars.
        let target = if verbose {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self {
            stdout: Box::new(BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            stdout_is_terminal,
            stderr_is_terminal: stderr_is_terminal && !verbose,
            colour_is_wanted: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: width(
                terminal::size().map(|size| size.columns),
                std::env::var_os("COLUMNS"),
            ),
            format,
            bars: MultiProgress::with_draw_target(target),
            documents: 0,
        }
    }

    /// Outputs that are no terminals.
    #[cfg(test)]
    pub(super) fn plain(
        stdout: Box<dyn Write + Send + Sync>,
        stderr: Box<dyn Write + Send + Sync>,
        format: Format,
    ) -> Self {
        Self {
            stdout,
            stderr,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            colour_is_wanted: true,
            width: None,
            format,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            documents: 0,
        }
    }

    /// Whether talk may have colours.
    pub(super) const fn colours_talk(&self) -> bool {
        self.stderr_is_terminal && self.colour_is_wanted
    }

    /// How tables look.
    pub(super) const fn look(&self) -> Look {
        Look {
            width: self.width,
            colour: self.stdout_is_terminal && self.colour_is_wanted,
        }
    }

    /// Which colours of a log may pass.
    pub(super) const fn log_colours(&self) -> Colours {
        if self.colour_is_wanted {
            Colours::Keep
        } else {
            Colours::Drop
        }
    }

    /// An ID as it is shown: short for a person, whole for a script.
    pub(super) fn id<'a>(&self, id: &'a str) -> &'a str {
        if self.stdout_is_terminal {
            short(id)
        } else {
            id
        }
    }

    /// Data that is text already; names in it have been made harmless.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// A line of data, of which nothing is trusted.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.bytes(format!("{}\n", sanitise::one_line(text)).as_bytes())
    }

    /// A table of data; nothing at all is said on stderr.
    pub(super) fn table(&mut self, table: &Table, nothing: &str) -> io::Result<()> {
        if table.is_empty() {
            self.talk(nothing);
            return Ok(());
        }
        let text = table.render(self.look());
        self.text(&text)
    }

    /// Data as it is, byte for byte.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stdout_is_terminal && self.stderr_is_terminal {
            // Bars stand on the same terminal: they step aside while something is printed.
            let stdout = &mut self.stdout;
            return self
                .bars
                .suspend(|| stdout.write_all(bytes).and_then(|()| stdout.flush()));
        }
        self.stdout.write_all(bytes)
    }

    /// An answer of the API as a document of its own, when that is how answers are printed.
    /// `false` when a person reads and nothing was printed.
    pub(super) fn document(&mut self, document: &impl Serialize) -> Result<bool, Failure> {
        self.structured(document, |document| serde_json::to_string_pretty(document))
    }

    /// The same for one of many answers that come in the course of time: JSON takes one line.
    pub(super) fn record(&mut self, document: &impl Serialize) -> Result<bool, Failure> {
        self.structured(document, |document| serde_json::to_string(document))
    }

    fn structured<T: Serialize>(
        &mut self,
        document: &T,
        json: impl Fn(&T) -> serde_json::Result<String>,
    ) -> Result<bool, Failure> {
        let unprintable = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("the answer cannot be printed: {error}"),
                "ask for it in another form: --output table",
            )
        };
        let text = match self.format {
            Format::Table => return Ok(false),
            Format::Json => {
                let text = json(document).map_err(|error| unprintable(&error))? + "\n";
                self.harmless(text, sanitise::json_escape)
            }
            Format::Yaml => {
                let text =
                    serde_saphyr::to_string(document).map_err(|error| unprintable(&error))?;
                let text = self.harmless(text, sanitise::text_escape);
                let end = if text.ends_with('\n') { "" } else { "\n" };
                let start = if self.documents > 0 { "---\n" } else { "" };
                format!("{start}{text}{end}")
            }
        };
        self.documents += 1;
        self.text(&text)?;
        Ok(true)
    }

    /// A terminal gets nothing that it would obey; anything else gets the document as it is.
    fn harmless(&self, text: String, escape: fn(char) -> String) -> String {
        if self.stdout_is_terminal {
            sanitise::document(&text, escape)
        } else {
            text
        }
    }

    /// Says something to the person.
    pub(super) fn talk(&mut self, text: &str) {
        let text = format!("{}\n", sanitise::one_line(text));
        self.talk_raw(&text);
    }

    /// Draws lines for the person in place of those before. Only where stderr is a terminal.
    pub(super) fn draw(&mut self, live: &mut Live, lines: &[String]) {
        let size = terminal::size_of_stderr();
        let lines = lines.iter().map(|line| live::fit(line, size)).collect();
        let text = live.draw(lines, size);
        self.talk_raw(&text);
    }

    /// Takes them away.
    pub(super) fn erase(&mut self, live: &mut Live) {
        let text = live.erase();
        self.talk_raw(&text);
    }

    /// Draws a table in place of the one before. Only where stdout is a terminal.
    pub(super) fn redraw_table(
        &mut self,
        live: &mut Live,
        table: &Table,
        nothing: &str,
    ) -> io::Result<()> {
        let text = if table.is_empty() {
            format!("{nothing}\n")
        } else {
            table.render(self.look())
        };
        let lines = text.lines().map(str::to_owned).collect();
        let text = live.draw(lines, terminal::size());
        self.text(&text)?;
        self.flush()
    }

    /// Says that something is not as it should be, though the command goes on.
    pub(super) fn warn(&mut self, text: &str) {
        let (yellow, reset) = if self.colours_talk() {
            ("\x1b[33m", "\x1b[0m")
        } else {
            ("", "")
        };
        let text = format!("{yellow}warning:{reset} {}\n", sanitise::one_line(text));
        self.talk_raw(&text);
    }

    /// Says what went wrong with one thing, when the command goes on with the others.
    pub(super) fn complain(&mut self, failure: &Failure) {
        let text = failure.render(self.colours_talk());
        self.talk_raw(&text);
    }

    /// Talk that nobody hears is no reason to stop.
    fn talk_raw(&mut self, text: &str) {
        let stderr = &mut self.stderr;
        self.bars.suspend(|| {
            let _ = stderr
                .write_all(text.as_bytes())
                .and_then(|()| stderr.flush());
        });
    }

    /// Hands on what is kept back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// Everything is said: `code`, unless it could not be.
    pub(super) fn finish(&mut self, code: u8) -> Result<u8, Failure> {
        self.flush()?;
        Ok(code)
    }
}

/// How many columns there are for what is printed: those of the terminal, or as many of them as `COLUMNS` says. What goes
/// elsewhere is as wide as it needs to be, so that scripts can rely on its lines.
fn width(terminal: Option<u16>, columns: Option<OsString>) -> Option<u16> {
    let wanted = columns.and_then(|text| text.to_str()?.trim().parse().ok());
    let wanted = wanted.filter(|columns| *columns > 0);
    terminal.map(|terminal| terminal.min(wanted.unwrap_or(u16::MAX)))
}

/// The first digits of an ID.
pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_the_terminal_or_as_columns_says() {
        let wide = |terminal, columns: Option<&str>| width(terminal, columns.map(OsString::from));
        assert_eq!(wide(Some(120), None), Some(120));
        assert_eq!(wide(Some(120), Some("80")), Some(80));
        for columns in ["500", "0", "", "many", "-1"] {
            assert_eq!(wide(Some(120), Some(columns)), Some(120), "{columns:?}");
        }
        assert_eq!(wide(None, Some("80")), None, "a script gets whole lines");
    }
}
