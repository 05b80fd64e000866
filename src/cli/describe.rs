//! `neargate describe`: all that is known of a task or of a task definition, for a person.

mod definition;
mod task;

use std::fmt::Write as _;

use clap::Args;

use super::failure::Failure;
use super::sanitise::one_line;
use super::table::{Look, Table, wrap};
use super::{Session, parse, time};
use crate::domain::display;
use crate::shapes::NetworkBinding;

pub(super) use task::usage;

/// Show all that is known of a task or a task definition
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example:\n  neargate describe 4f0c\n  neargate describe web:3 --output yaml"
)]
pub(super) struct DescribeArgs {
    /// A task's ID or the first digits of it, FAMILY for its newest active revision, or FAMILY:REVISION
    #[arg(value_name = "TASK|FAMILY[:REV]")]
    name: String,
}

pub(super) async fn execute(session: &mut Session, args: DescribeArgs) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    let (now, look) = (time::now(), console.look());
    // A family can look like the beginning of an ID: then a task of that ID is what is meant, if there is one.
    let missing_task = if can_be_task(&args.name) {
        match client.task(&args.name).await {
            Ok(answer) => {
                if !console.document(&answer.document)? {
                    console.text(&task::render(&answer.value, now, look))?;
                }
                return Ok(0);
            }
            Err(error) if error.is_not_found() && parse::is_definition(&args.name) => Some(error),
            Err(error) => return Err(error.into()),
        }
    } else {
        None
    };
    match client.definition(&args.name).await {
        Ok(answer) => {
            if !console.document(&answer.document)? {
                console.text(&definition::render(&answer.value, now, look))?;
            }
            Ok(0)
        }
        // What looks like a task's ID and is nothing was probably meant as one.
        Err(error) if error.is_not_found() => Err(missing_task.unwrap_or(error).into()),
        Err(error) => Err(error.into()),
    }
}

/// The fewest digits of an ID that the API takes for one.
const SHORTEST_ID: usize = 4;

fn can_be_task(name: &str) -> bool {
    (SHORTEST_ID..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `127.0.0.1:8080->80/tcp`
pub(super) fn binding(binding: &NetworkBinding) -> String {
    let NetworkBinding {
        bind_ip,
        container_port,
        host_port,
        protocol,
    } = binding;
    let address = display::host(bind_ip);
    format!("{address}:{host_port}->{container_port}/{protocol}")
}

/// Text for a person: names with their values, and tables under headings. What is too long for the terminal goes on in the
/// next line, below itself.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    entries: Vec<(&'static str, String)>,
    /// Columns of the terminal, if there is one.
    width: Option<u16>,
}

impl Page {
    /// An empty page that looks like that.
    pub(super) fn new(look: Look) -> Self {
        Self {
            width: look.width,
            ..Self::default()
        }
    }

    /// A name and its value; values that stand together are aligned.
    pub(super) fn entry(&mut self, name: &'static str, value: &str) {
        self.entries.push((name, one_line(value)));
    }

    /// The same, if there is a value.
    pub(super) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.entry(name, value);
        }
    }

    /// A heading over what comes next.
    pub(super) fn heading(&mut self, heading: &str) {
        self.end_entries("");
        let _ = writeln!(self.text, "\n{heading}");
    }

    /// A table, indented.
    pub(super) fn table(&mut self, table: &Table, look: Look) {
        self.end_entries("  ");
        let look = Look {
            width: look.width.map(|width| width.saturating_sub(2)),
            ..look
        };
        for line in table.render(look).lines() {
            let _ = writeln!(self.text, "  {line}");
        }
    }

    /// A line by itself, indented.
    pub(super) fn line(&mut self, line: &str) {
        self.end_entries("  ");
        for (number, part) in self.wrap(&one_line(line), 4).iter().enumerate() {
            let indent = if number == 0 { "  " } else { "    " };
            let _ = writeln!(self.text, "{indent}{part}");
        }
    }

    fn end_entries(&mut self, indent: &str) {
        let longest = self
            .entries
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, value) in std::mem::take(&mut self.entries) {
            let before = indent.len() + longest + 2;
            for (number, part) in self.wrap(&value, before).iter().enumerate() {
                let name = if number == 0 { name } else { "" };
                // Writing to a string does not fail.
                let _ = writeln!(self.text, "{indent}{name:longest$}  {part}");
            }
        }
    }

    /// The lines of `text`, with so many columns before each.
    fn wrap(&self, text: &str, before: usize) -> Vec<String> {
        match self.width {
            Some(width) => wrap(text, usize::from(width).saturating_sub(before)),
            None => vec![text.to_owned()],
        }
    }

    /// The page.
    pub(super) fn finish(mut self) -> String {
        self.end_entries("");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_an_id_can_be_a_task() {
        for name in ["4f0c", "0123456789abcdef0123456789abcdef", "beef"] {
            assert!(can_be_task(name), "{name}");
        }
        for name in [
            "web",
            "web:3",
            "4f0",
            "4F0C",
            "beef:1",
            "0123456789abcdef0123456789abcdef0",
        ] {
            assert!(!can_be_task(name), "{name}");
        }
    }

    #[test]
    fn what_is_too_long_for_the_terminal_goes_on_below_itself() {
        let page = |width| {
            let mut page = Page::new(Look {
                width,
                colour: false,
            });
            page.entry("Task", "0123456789abcdef0123456789abcdef");
            page.entry("Stop code", "it was told to stop, and did so after a while");
            page.heading("Events");
            page.line("2026-01-31T08:15:00Z  (service web) has begun something long");
            page.finish()
        };
        assert_eq!(
            page(Some(45)),
            "\
Task       0123456789abcdef0123456789abcdef
Stop code  it was told to stop, and did so
           after a while

Events
  2026-01-31T08:15:00Z  (service web) has
    begun something long
"
        );
        let whole = page(None);
        assert!(whole.contains("did so after a while\n"), "{whole}");
        // A terminal that is hardly there is no reason to fail.
        assert!(page(Some(1)).contains("Stop code"));
    }

    #[test]
    fn an_address_with_colons_is_told_from_its_port() {
        let text = |bind_ip: &str| {
            binding(&NetworkBinding {
                bind_ip: bind_ip.to_owned(),
                container_port: 80,
                host_port: 8080,
                protocol: "tcp".to_owned(),
            })
        };
        assert_eq!(text("127.0.0.1"), "127.0.0.1:8080->80/tcp");
        assert_eq!(text("::1"), "[::1]:8080->80/tcp");
    }
}
