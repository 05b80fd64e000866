//! What a simulated process does: a pure function of its image, its arguments and its limits.
//!
//! The sample workload image is understood command by command, so that a task definition that runs on
//! Docker does the same here: `docker/workload` is the reference, down to exit codes and words. Every other
//! image is a process that says nothing and runs until a signal ends it. Nothing here knows what time it
//! is: a script says what happens how long after the start.

use crate::domain::HealthCheck;
use crate::engine::LogStream;

use super::workload;

/// The executable that no image has.
pub(crate) const MISSING_EXECUTABLE: &str = "/does-not-exist";

/// What a process is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessSpec<'a> {
    /// Repository of the image, without registry and tag.
    pub(crate) repository: &'a str,
    /// Entry point and command, in one.
    pub(crate) argv: &'a [String],
    /// `NAME=value`, as the process sees them.
    pub(crate) env: &'a [String],
    /// 0 means none.
    pub(crate) memory_limit_bytes: i64,
    /// 0 means none.
    pub(crate) nano_cpus: i64,
}

/// What a process does once it was started, if nobody interferes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// How it ends by itself; a process without one runs on.
    pub(crate) ending: Option<Ending>,
    /// What it does on SIGTERM and SIGINT.
    pub(crate) on_termination: OnTermination,
    /// Whether signals that it does not handle end it, as they do unless it is the first process.
    pub(crate) falls_to_any_signal: bool,
    /// What it writes.
    pub(crate) output: Output,
    /// Whether it answers a health check over HTTP.
    pub(crate) serving: Option<Serving>,
}

/// How a process ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// From the start.
    pub(crate) after_ms: u64,
    /// 0 to 255.
    pub(crate) exit_code: u8,
    /// The kernel does it, for its memory.
    pub(crate) oom_killed: bool,
}

/// What a process does on SIGTERM and SIGINT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OnTermination {
    /// It ends.
    Exit {
        /// With this code; `None` is 128 and the signal.
        code: Option<u8>,
        /// After writing this line.
        last_words: Option<&'static str>,
    },
    /// It writes this line and goes on.
    GoOn(&'static str),
}

/// How long a process answers an HTTP health check well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    /// Nobody answers before, counted from the start.
    pub(crate) from_ms: u64,
    /// It answers 503 from here on.
    pub(crate) failing_from_ms: Option<u64>,
}

/// What a process writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// These pieces, in order of time.
    Fixed(Vec<Piece>),
    /// `line 1`, `line 2`, …
    Numbered(workload::NumberedLines),
}

/// Something that a process writes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// From the start.
    pub(crate) after_ms: u64,
    /// Where to.
    pub(crate) stream: LogStream,
    /// With the line's end, if it has one.
    pub(crate) text: Vec<u8>,
}

impl Piece {
    /// A line.
    pub(crate) fn line(after_ms: u64, stream: LogStream, text: &str) -> Self {
        Self {
            after_ms,
            stream,
            text: format!("{text}\n").into_bytes(),
        }
    }
}

impl Output {
    /// The piece at `index`, counted from 0.
    pub(crate) fn piece(&self, index: u64) -> Option<Piece> {
        match self {
            Self::Fixed(pieces) => pieces.get(usize::try_from(index).ok()?).cloned(),
            Self::Numbered(lines) => lines.piece(index),
        }
    }
}

/// What a signal does to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Nothing.
    None,
    /// It writes a line.
    Says(&'static str),
    /// It ends.
    Exits {
        /// 0 to 255.
        code: u8,
        /// What it writes before.
        last_words: Option<&'static str>,
    },
}

/// Why a process could not be started, in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CannotStart(pub(crate) String);

impl Script {
    /// What the process of `spec` does.
    pub(crate) fn of(spec: &ProcessSpec<'_>) -> Result<Self, CannotStart> {
        let executable = spec.argv.first().map_or("", String::as_str);
        let is_workload = workload::is_workload(spec.repository);
        if executable == MISSING_EXECUTABLE || (is_workload && executable != workload::EXECUTABLE) {
            return Err(CannotStart(missing_executable("create", executable)));
        }
        if is_workload {
            return Ok(workload::script(spec));
        }
        Ok(Self {
            ending: None,
            on_termination: OnTermination::Exit {
                code: None,
                last_words: None,
            },
            falls_to_any_signal: true,
            output: Output::Fixed(Vec::new()),
            serving: None,
        })
    }

    /// What `signal` does to it; `has_init` when it is not the first process of its container.
    pub(crate) fn react(&self, signal: u8, has_init: bool) -> Reaction {
        const ENDS_BY_DEFAULT: [u8; 10] = [1, 2, 3, 4, 6, 8, 10, 11, 12, 15];
        let by_signal = 128_u8.saturating_add(signal);
        match signal {
            9 => Reaction::Exits {
                code: by_signal,
                last_words: None,
            },
            2 | 15 => match &self.on_termination {
                OnTermination::Exit { code, last_words } => Reaction::Exits {
                    code: code.unwrap_or(by_signal),
                    last_words: *last_words,
                },
                OnTermination::GoOn(line) => Reaction::Says(line),
            },
            other if (self.falls_to_any_signal || has_init) && ENDS_BY_DEFAULT.contains(&other) => {
                Reaction::Exits {
                    code: by_signal,
                    last_words: None,
                }
            }
            _ => Reaction::None,
        }
    }
}

/// What one health check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckResult {
    /// How long it takes.
    pub(crate) takes_ms: u64,
    /// 0 is healthy.
    pub(crate) exit_code: i64,
    /// What it writes.
    pub(crate) output: String,
}

impl CheckResult {
    /// An answer at once.
    pub(crate) fn at_once(exit_code: i64, output: impl Into<String>) -> Self {
        Self {
            takes_ms: 0,
            exit_code,
            output: output.into(),
        }
    }
}

/// What a health check finds in a container of `repository` that runs `script` for `age_ms`.
///
/// Outside of the workload image, `exit N`, `false` and `sleep SECONDS` do what they say and every other
/// command succeeds.
pub(crate) fn check_health(
    check: &HealthCheck,
    repository: &str,
    script: &Script,
    age_ms: u64,
) -> CheckResult {
    let by_shell = check
        .command
        .first()
        .is_some_and(|word| word == "CMD-SHELL");
    let words: Vec<&str> = if by_shell {
        check.command[1..]
            .iter()
            .flat_map(|text| text.split_whitespace())
            .collect()
    } else {
        check.command.iter().skip(1).map(String::as_str).collect()
    };
    let executable = words.first().copied().unwrap_or_default();
    if workload::is_workload(repository) {
        let executable = if by_shell { "/bin/sh" } else { executable };
        if executable != workload::EXECUTABLE {
            return CheckResult::at_once(-1, missing_executable("exec", executable));
        }
        return workload::check(&words[1..], script, age_ms);
    }
    let number = words.get(1).and_then(|word| word.parse::<u32>().ok());
    match (executable, number) {
        (MISSING_EXECUTABLE, _) => CheckResult::at_once(-1, missing_executable("exec", executable)),
        ("exit", code) => CheckResult::at_once(code.unwrap_or(0).into(), ""),
        ("false", _) => CheckResult::at_once(1, ""),
        ("sleep", Some(secs)) => CheckResult {
            takes_ms: u64::from(secs) * 1_000,
            exit_code: 0,
            output: String::new(),
        },
        _ => CheckResult::at_once(0, ""),
    }
}

/// Docker's words when `executable` is not in the image; `action` is `create` or `exec`.
fn missing_executable(action: &str, executable: &str) -> String {
    let why = if executable.contains('/') {
        format!("stat {executable}: no such file or directory")
    } else {
        "executable file not found in $PATH".to_owned()
    };
    let place = if action == "create" {
        "failed to create shim task: OCI runtime create failed: runc create failed"
    } else {
        "OCI runtime exec failed: exec failed"
    };
    format!("{place}: unable to start container process: exec: \"{executable}\": {why}: unknown")
}

/// The number of a signal as Docker takes one: `SIGTERM`, `TERM` or `15`.
pub(crate) fn signal_number(signal: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 15] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("ABRT", 6),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("TERM", 15),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("WINCH", 28),
    ];
    if let Ok(number) = signal.parse::<u8>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = signal.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES
        .iter()
        .find(|(name, _)| *name == bare)
        .map(|(_, number)| *number)
}
