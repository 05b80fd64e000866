//! What a sub-command is, and how its arguments are read.
//!
//! A command is a constant that lists its flags; the parser, the help text and the error messages all come
//! from that list, so they cannot drift apart.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Ten years: longer is a typing mistake, and far from where adding it to a clock would overflow.
const LONGEST_MS: u64 = 10 * 366 * 24 * 60 * 60 * 1000;

/// A sub-command of the program.
pub struct Command {
    /// The word that selects it, in kebab case.
    pub name: &'static str,
    /// One line for the help text.
    pub about: &'static str,
    /// The flags it takes.
    pub flags: &'static [Flag],
    /// The names of its positional arguments; an optional one stands in brackets.
    pub positionals: &'static [&'static str],
    /// Who takes SIGTERM.
    pub on_termination: OnTermination,
    /// Does the work and returns the exit code.
    pub run: fn(&Arguments) -> Result<u8, Failure>,
}

/// Who takes SIGTERM and SIGINT while a command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnTermination {
    /// A thread beside the command ends the process at once with exit code 143.
    Exit143,
    /// The command itself waits for the signals.
    Command,
}

/// A flag of a sub-command: `--name VALUE`, `--name=VALUE`, or `--name` alone.
pub struct Flag {
    /// The name with its two dashes.
    pub name: &'static str,
    /// What stands for the value in the usage line; `None` for a switch.
    pub value: Option<&'static str>,
    /// What it does, with its default.
    pub about: &'static str,
}

/// Why a command did not do its work.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The arguments are wrong: exit code 2.
    Usage(String),
    /// The work failed: exit code 1.
    Failed(String),
}

impl Failure {
    /// A failure at `doing`, because of `cause`.
    pub fn at(doing: impl Display, cause: impl Display) -> Self {
        Self::Failed(format!("{doing}: {cause}"))
    }
}

impl Command {
    /// The usage line, without the word `usage`.
    pub fn usage(&self) -> String {
        let mut line = format!("workload {}", self.name);
        for flag in self.flags {
            match flag.value {
                Some(value) => line.push_str(&format!(" [{} {value}]", flag.name)),
                None => line.push_str(&format!(" [{}]", flag.name)),
            }
        }
        for positional in self.positionals {
            line.push(' ');
            line.push_str(positional);
        }
        line
    }

    /// The whole description.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\nusage: {}\n", self.about, self.usage());
        for flag in self.flags {
            let title = format!("{} {}", flag.name, flag.value.unwrap_or_default());
            text.push_str(&format!("\n  {title:<26} {}", flag.about));
        }
        if !self.flags.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// The arguments of one call, checked against what the command knows.
#[derive(Debug)]
pub struct Arguments {
    flags: Vec<(&'static str, String)>,
    positionals: Vec<String>,
}

impl Arguments {
    /// Reads `words` as the arguments of `command`. After `--`, everything is positional.
    pub fn parse(words: &[String], command: &Command) -> Result<Self, String> {
        let mut flags: Vec<(&'static str, String)> = Vec::new();
        let mut positionals = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                positionals.extend(words.by_ref().cloned());
            } else if word.starts_with("--") {
                let (name, attached) = match word.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (word.as_str(), None),
                };
                let flag = command
                    .flags
                    .iter()
                    .find(|flag| flag.name == name)
                    .ok_or_else(|| format!("{} has no flag {name}", command.name))?;
                if flags.iter().any(|(known, _)| *known == flag.name) {
                    return Err(format!("{name} is given twice"));
                }
                let value = match (flag.value, attached) {
                    (None, None) => String::new(),
                    (None, Some(_)) => return Err(format!("{name} takes no value")),
                    (Some(_), Some(value)) => value,
                    (Some(_), None) => words
                        .next()
                        .cloned()
                        .ok_or_else(|| format!("{name} needs a value"))?,
                };
                flags.push((flag.name, value));
            } else {
                positionals.push(word.clone());
            }
        }
        if let Some(surplus) = positionals.get(command.positionals.len()) {
            return Err(format!("there is one argument too many: `{surplus}`"));
        }
        if let Some(missing) = command.positionals.get(positionals.len())
            && !missing.starts_with('[')
        {
            return Err(format!("{missing} is missing"));
        }
        Ok(Self { flags, positionals })
    }

    /// Whether a switch is given.
    pub fn switch(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// The value of a flag, as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.flags
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a flag that is a whole number within `allowed`.
    pub fn number<N>(&self, name: &str, allowed: RangeInclusive<N>) -> Result<Option<N>, Failure>
    where
        N: std::str::FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<N>() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => Err(Failure::Usage(format!(
                "{name} takes a number from {} to {}, not `{text}`",
                allowed.start(),
                allowed.end()
            ))),
        }
    }

    /// The value of a flag that is a number of milliseconds.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, Failure> {
        Ok(self
            .number(name, 0..=LONGEST_MS)?
            .map(Duration::from_millis))
    }

    /// The positional argument at `index`, from 0.
    pub fn positional(&self, index: usize) -> Option<&str> {
        self.positionals.get(index).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Command = Command {
        name: "sample",
        about: "for the tests",
        flags: &[
            Flag {
                name: "--code",
                value: Some("N"),
                about: "a number",
            },
            Flag {
                name: "--binary",
                value: None,
                about: "a switch",
            },
        ],
        positionals: &["PATH", "[TEXT]"],
        on_termination: OnTermination::Exit143,
        run: |_| Ok(0),
    };

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Arguments::parse(&words, &SAMPLE)
    }

    #[test]
    fn flags_and_positionals_may_mix() {
        let arguments = parse(&["a", "--code", "7", "b", "--binary"]).unwrap();
        assert_eq!(arguments.number("--code", 0_u8..=255), Ok(Some(7)));
        assert!(arguments.switch("--binary"));
        assert_eq!(arguments.positional(1), Some("b"));
    }

    #[test]
    fn a_value_may_be_attached_and_dashes_end_the_flags() {
        let arguments = parse(&["--code=8", "--", "--binary"]).unwrap();
        assert_eq!(arguments.text("--code"), Some("8"));
        assert!(!arguments.switch("--binary"));
        assert_eq!(arguments.positional(0), Some("--binary"));
    }

    #[test]
    fn mistakes_are_named() {
        let mistake = |words: &[&str]| parse(words).unwrap_err();
        assert_eq!(mistake(&["a", "--nope"]), "sample has no flag --nope");
        assert_eq!(mistake(&["a", "--code"]), "--code needs a value");
        assert_eq!(
            mistake(&["a", "--code", "1", "--code", "2"]),
            "--code is given twice"
        );
        assert_eq!(mistake(&["a", "--binary=yes"]), "--binary takes no value");
        assert_eq!(mistake(&[]), "PATH is missing");
        assert_eq!(
            mistake(&["a", "b", "c"]),
            "there is one argument too many: `c`"
        );
        let failure = parse(&["a", "--code", "-1"])
            .unwrap()
            .number("--code", 0_u8..=255);
        let text = "--code takes a number from 0 to 255, not `-1`".to_owned();
        assert_eq!(failure, Err(Failure::Usage(text)));
    }
}
