//! `neargate man`: the manual pages, made from the definition of the commands like the help is.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{Resettable, StyledStr};
use clap_mangen::Man;

use super::console::Console;
use super::failure::Failure;

/// Print the manual page, or write those of all commands into a folder
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Without a folder, the page of neargate goes to standard output: neargate man | man -l -

Example:
  neargate man --dir /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder; it is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// A page, and the name of its file: `neargate-service-ls.1`.
pub(super) struct Page {
    pub(super) file: String,
    pub(super) text: Vec<u8>,
}

pub(super) fn execute(
    console: &mut Console,
    args: &ManArgs,
    command: clap::Command,
) -> Result<(), Failure> {
    let pages = pages(command)?;
    let Some(folder) = &args.dir else {
        if let Some(first) = pages.first() {
            console.bytes(&first.text)?;
        }
        return Ok(());
    };
    write(folder, &pages).map_err(|error| {
        Failure::new(
            format!(
                "the manual pages cannot be written to {}: {error}",
                folder.display()
            ),
            "name a folder that you may write to with --dir",
        )
    })?;
    console.talk(&format!("{} pages in {}", pages.len(), folder.display()));
    Ok(())
}

fn write(folder: &Path, pages: &[Page]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for page in pages {
        std::fs::write(folder.join(&page.file), &page.text)?;
    }
    Ok(())
}

/// The pages of `command` and of all commands below it, its own first.
pub(super) fn pages(mut command: clap::Command) -> std::io::Result<Vec<Page>> {
    // Passes the global options on, and names each command by its whole path.
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &clap::Command, pages: &mut Vec<Page>) -> std::io::Result<()> {
    let mut text = Vec::new();
    // Examples keep their lines.
    let after = command.get_after_help().map(StyledStr::to_string);
    let (note, example) = match after
        .as_deref()
        .and_then(|text| text.split_once("Example:\n"))
    {
        Some((note, example)) => (note.trim().to_owned(), example.to_owned()),
        None => (after.unwrap_or_default(), String::new()),
    };
    let page = Man::new(
        command
            .clone()
            .after_help(Resettable::from(
                (!note.is_empty()).then_some(StyledStr::from(note)),
            ))
            .version(env!("CARGO_PKG_VERSION")),
    )
    .source(concat!("Neargate ", env!("CARGO_PKG_VERSION")));
    let file = page.get_filename();
    page.render(&mut text)?;
    if !example.is_empty() {
        text.extend_from_slice(b".SH EXAMPLES\n.nf\n");
        for line in example.lines() {
            text.extend_from_slice(
                line.trim()
                    .replace('\\', "\\e")
                    .replace('-', "\\-")
                    .as_bytes(),
            );
            text.push(b'\n');
        }
        text.extend_from_slice(b".fi\n");
    }
    pages.push(Page { file, text });
    for below in command.get_subcommands().filter(|one| is_shown(one)) {
        add(below, pages)?;
    }
    Ok(())
}

fn is_shown(command: &clap::Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// The names of all commands, as they are typed.
    fn typed(command: &clap::Command, name: &str, names: &mut BTreeSet<String>) {
        names.insert(name.to_owned());
        for below in command.get_subcommands() {
            typed(below, &format!("{name} {}", below.get_name()), names);
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_its_example() {
        let mut names = BTreeSet::new();
        typed(&Cli::command(), "neargate", &mut names);
        assert!(names.contains("neargate service ls"), "{names:?}");
        let pages = pages(Cli::command()).unwrap();
        let files: BTreeSet<String> = pages.iter().map(|page| page.file.clone()).collect();
        let expected = names
            .iter()
            .map(|name| format!("{}.1", name.replace(' ', "-")));
        assert_eq!(files, expected.collect());
        for page in &pages {
            let text = String::from_utf8(page.text.clone()).unwrap();
            for part in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
                assert!(text.contains(part), "{} lacks {part}", page.file);
            }
            let depth = page.file.matches('-').count();
            assert!(
                depth != 1 || text.contains(".SH EXAMPLES\n.nf\nneargate "),
                "{} lacks its example:\n{text}",
                page.file
            );
        }
        let run = pages
            .iter()
            .find(|page| page.file == "neargate-run.1")
            .unwrap();
        let run = String::from_utf8(run.text.clone()).unwrap();
        for part in [
            "\\fBNEARGATE_ENDPOINT\\fR environment variable",
            "\\-\\-follow",
            "\\-\\-endpoint",
            "\\-\\-env",
            "\\fBneargate run\\fR",
        ] {
            assert!(run.contains(part), "{part} is not in\n{run}");
        }
    }
}
