//! The sample workload image, command by command. The program in `docker/workload` is the reference.
//!
//! What needs a file system or a network is not there: `read-file` and `get` fail as they do in an empty
//! container without one, `write-file` succeeds and writes nothing. Arguments are read as they are there,
//! but for flags that a command does not know, which are passed over.

use std::collections::BTreeMap;

use crate::engine::LogStream;

use super::program::{
    CheckResult, Ending, OnTermination, Output, Piece, ProcessSpec, Script, Serving,
};

/// The only file of the image.
pub(crate) const EXECUTABLE: &str = "/workload";

/// So many lines without a pause are written within one millisecond.
const LINES_PER_MS: u64 = 1_000;
/// Lines are filled up to this length at most.
const LONGEST_LINE_BYTES: u64 = 1024 * 1024;
/// How long it takes until a process has used up its memory.
const OOM_AFTER_MS: u64 = 10;
const MIB: u64 = 1024 * 1024;

/// Whether `repository` holds the sample workload.
pub(crate) fn is_workload(repository: &str) -> bool {
    repository.rsplit('/').next() == Some("workload")
}

/// The lines of the `log` command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberedLines {
    lines: u64,
    every_ms: u64,
    stderr_every: Option<u64>,
    bytes: u64,
    newline: bool,
    binary: bool,
}

impl NumberedLines {
    /// The line at `index`, counted from 0.
    pub(crate) fn piece(&self, index: u64) -> Option<Piece> {
        if index >= self.lines {
            return None;
        }
        let number = index + 1;
        let mut text = format!("line {number}").into_bytes();
        if self.binary {
            text.push(b' ');
            text.extend((0..=u8::MAX).filter(|byte| *byte != b'\n'));
        }
        let length = usize::try_from(self.bytes.min(LONGEST_LINE_BYTES)).unwrap_or_default();
        if text.len() < length {
            text.resize(length, b'.');
        }
        if self.newline {
            text.push(b'\n');
        }
        let to_stderr = self
            .stderr_every
            .is_some_and(|every| number.is_multiple_of(every));
        Some(Piece {
            after_ms: self.after_ms(index),
            stream: if to_stderr {
                LogStream::Stderr
            } else {
                LogStream::Stdout
            },
            text,
        })
    }

    fn after_ms(&self, index: u64) -> u64 {
        if self.every_ms == 0 {
            index / LINES_PER_MS
        } else {
            index.saturating_mul(self.every_ms)
        }
    }
}

/// The arguments of one command.
struct Arguments<'a> {
    flags: BTreeMap<&'a str, &'a str>,
    positionals: Vec<&'a str>,
}

/// Flags that take no value.
const SWITCHES: [&str; 2] = ["--no-newline", "--binary"];

impl<'a> Arguments<'a> {
    fn parse(words: &[&'a str]) -> Result<Self, String> {
        let mut arguments = Self {
            flags: BTreeMap::new(),
            positionals: Vec::new(),
        };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                arguments.positionals.push(word);
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, value),
                None if SWITCHES.contains(&word) => (word, ""),
                None => {
                    let value = words
                        .next()
                        .ok_or_else(|| format!("{word} needs a value"))?;
                    (word, value)
                }
            };
            arguments.flags.insert(name, value);
        }
        Ok(arguments)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        self.flags
            .get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| format!("{name} takes a number, not `{text}`"))
            })
            .transpose()
    }

    fn number_or(&self, name: &str, default: u64) -> Result<u64, String> {
        Ok(self.number(name)?.unwrap_or(default))
    }

    fn exit_code(&self, name: &str) -> Result<u8, String> {
        let code = self.number_or(name, 0)?;
        u8::try_from(code).map_err(|_| format!("{name} takes a number from 0 to 255, not `{code}`"))
    }
}

/// What the program does with the arguments of `spec`.
pub(crate) fn script(spec: &ProcessSpec<'_>) -> Script {
    let words: Vec<&str> = spec.argv.iter().skip(1).map(String::as_str).collect();
    command(&words, spec).unwrap_or_else(|message| {
        let mut script = ends(0, 2);
        let line = format!("workload: {message}");
        script.output = Output::Fixed(vec![Piece::line(0, LogStream::Stderr, &line)]);
        script
    })
}

fn command(words: &[&str], spec: &ProcessSpec<'_>) -> Result<Script, String> {
    let Some((name, rest)) = words.split_first() else {
        return Err("no command given".to_owned());
    };
    let arguments = Arguments::parse(rest)?;
    match *name {
        "serve" => serve(&arguments),
        "exit" => Ok(ends(
            arguments.number_or("--after-ms", 0)?,
            arguments.exit_code("--code")?,
        )),
        "sleep" => Ok(Script {
            on_termination: OnTermination::Exit {
                code: Some(arguments.exit_code("--term-code")?),
                last_words: None,
            },
            ..ends_maybe(arguments.number("--for-ms")?)
        }),
        "ignore-sigterm" => Ok(Script {
            on_termination: OnTermination::GoOn("SIGTERM ignored"),
            ..says(
                ends_maybe(arguments.number("--for-ms")?),
                0,
                "ignoring SIGTERM",
            )
        }),
        "burn-cpu" => burn_cpu(&arguments, spec.nano_cpus),
        "allocate" => allocate(&arguments, spec.memory_limit_bytes),
        "log" => log(&arguments),
        "env" => Ok(env(&arguments, spec.env)),
        "id" => Ok(says(ends(0, 0), 0, "uid=0 gid=0 cwd=/")),
        "fail-health" => {
            let limit = arguments.number_or("--after-ms", 0)?;
            Ok(ends(0, u8::from(limit == 0)))
        }
        // Without an input, they come to its end at once; a command that was started with one reads it (`model::exec`).
        "cat" | "terminal" | "write-file" | "help" | "--help" | "-h" => Ok(ends(0, 0)),
        "health" | "get" | "read-file" => Ok(ends(0, 1)),
        other => Err(format!(
            "there is no command `{other}`\nhint: workload help lists them"
        )),
    }
}

fn serve(arguments: &Arguments<'_>) -> Result<Script, String> {
    let port = arguments.number_or("--port", 8080)?;
    let from_ms = arguments.number_or("--delay-ms", 0)?;
    Ok(Script {
        on_termination: OnTermination::Exit {
            code: Some(0),
            last_words: Some("SIGTERM: stopping"),
        },
        serving: Some(Serving {
            from_ms,
            failing_from_ms: arguments.number("--fail-health-after-ms")?,
        }),
        ..says(
            ends_maybe(None),
            from_ms,
            &format!("listening on port {port}"),
        )
    })
}

/// A thread can use no more than one processor, and all of them no more than the container's share.
fn burn_cpu(arguments: &Arguments<'_>, nano_cpus: i64) -> Result<Script, String> {
    let threads = arguments.number_or("--threads", 1)?.clamp(1, 256);
    let share = match u64::try_from(nano_cpus) {
        Ok(limit) if limit > 0 => limit.min(threads * 1_000_000_000),
        _ => threads * 1_000_000_000,
    };
    let until_used = arguments.number("--cpu-ms")?.map(|cpu_ms| {
        let wall = u128::from(cpu_ms) * u128::from(threads) * 1_000_000_000 / u128::from(share);
        u64::try_from(wall).unwrap_or(u64::MAX)
    });
    let wall = [arguments.number("--for-ms")?, until_used]
        .into_iter()
        .flatten()
        .min();
    let Some(wall) = wall else {
        return Ok(ends_maybe(None));
    };
    let used = u128::from(wall) * u128::from(share) / 1_000_000_000;
    let line = format!("used {used} ms of CPU time in {wall} ms");
    Ok(says(ends(wall, 0), wall, &line))
}

fn allocate(arguments: &Arguments<'_>, memory_limit_bytes: i64) -> Result<Script, String> {
    let mib = arguments.number_or("--mib", 64)?;
    let hold = arguments.number("--hold-ms")?;
    let limit = u64::try_from(memory_limit_bytes).unwrap_or_default();
    // The program itself needs some too: a limit of as much as it takes is too little.
    if limit > 0 && mib.saturating_mul(MIB) >= limit {
        let mut script = ends(OOM_AFTER_MS, 137);
        if let Some(ending) = &mut script.ending {
            ending.oom_killed = true;
        }
        return Ok(script);
    }
    Ok(says(ends_maybe(hold), 0, &format!("holding {mib} MiB")))
}

fn log(arguments: &Arguments<'_>) -> Result<Script, String> {
    let lines = NumberedLines {
        lines: arguments.number_or("--lines", 10)?,
        every_ms: arguments.number_or("--every-ms", 0)?,
        stderr_every: arguments
            .number("--stderr-every")?
            .filter(|every| *every > 0),
        bytes: arguments.number_or("--bytes", 0)?,
        newline: !arguments.flags.contains_key("--no-newline"),
        binary: arguments.flags.contains_key("--binary"),
    };
    Ok(Script {
        output: Output::Numbered(lines),
        ..ends(lines.after_ms(lines.lines.saturating_sub(1)), 0)
    })
}

fn env(arguments: &Arguments<'_>, env: &[String]) -> Script {
    let mut pairs: Vec<(&str, &str)> = env
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let Some(wanted) = arguments.positionals.first() else {
        let lines = pairs
            .iter()
            .map(|(name, value)| Piece::line(0, LogStream::Stdout, &format!("{name}={value}")))
            .collect();
        return Script {
            output: Output::Fixed(lines),
            ..ends(0, 0)
        };
    };
    match pairs.iter().find(|(name, _)| name == wanted) {
        Some((_, value)) => says(ends(0, 0), 0, value),
        None => ends(0, 1),
    }
}

/// A process that ends by itself.
fn ends(after_ms: u64, exit_code: u8) -> Script {
    Script {
        ending: Some(Ending {
            after_ms,
            exit_code,
            oom_killed: false,
        }),
        ..ends_maybe(None)
    }
}

/// A process that ends by itself with 0, or never; SIGTERM ends it with 143.
fn ends_maybe(after_ms: Option<u64>) -> Script {
    Script {
        ending: after_ms.map(|after_ms| Ending {
            after_ms,
            exit_code: 0,
            oom_killed: false,
        }),
        on_termination: OnTermination::Exit {
            code: Some(143),
            last_words: None,
        },
        falls_to_any_signal: false,
        output: Output::Fixed(Vec::new()),
        serving: None,
    }
}

fn says(script: Script, after_ms: u64, line: &str) -> Script {
    Script {
        output: Output::Fixed(vec![Piece::line(after_ms, LogStream::Stdout, line)]),
        ..script
    }
}

/// What a health check by one of the program's own commands finds.
pub(crate) fn check(words: &[&str], script: &Script, age_ms: u64) -> CheckResult {
    let found = || -> Result<CheckResult, String> {
        let Some((name, rest)) = words.split_first() else {
            return Err("no command given".to_owned());
        };
        let arguments = Arguments::parse(rest)?;
        Ok(match *name {
            "health" => over_http(script, age_ms),
            "fail-health" => {
                let healthy = age_ms < arguments.number_or("--after-ms", 0)?;
                let word = if healthy { "healthy" } else { "unhealthy" };
                let line = format!("{word}: the container is {age_ms} ms old\n");
                CheckResult::at_once(i64::from(!healthy), line)
            }
            "exit" => CheckResult {
                takes_ms: arguments.number_or("--after-ms", 0)?,
                exit_code: arguments.exit_code("--code")?.into(),
                output: String::new(),
            },
            "sleep" | "ignore-sigterm" => CheckResult {
                takes_ms: arguments.number_or("--for-ms", u64::MAX)?,
                exit_code: 0,
                output: String::new(),
            },
            _ => CheckResult::at_once(0, ""),
        })
    };
    found().unwrap_or_else(|message| CheckResult::at_once(2, format!("workload: {message}\n")))
}

fn over_http(script: &Script, age_ms: u64) -> CheckResult {
    const URL: &str = "http://127.0.0.1:8080/healthz";
    match script.serving {
        Some(serving) if age_ms >= serving.from_ms => {
            let failing = serving.failing_from_ms.is_some_and(|from| age_ms >= from);
            let status = if failing { 503 } else { 200 };
            CheckResult::at_once(i64::from(failing), format!("{URL} answered {status}\n"))
        }
        _ => CheckResult::at_once(
            1,
            format!("workload: {URL}: Connection refused (os error 111)\n"),
        ),
    }
}
