//! README shows what really happens: every command in it is run, in order, and must write what stands there.
//!
//! A ```` ```console ```` block holds commands (lines that begin with `$ `, continued by lines that begin with
//! `> `), each followed by what it writes, and `...` for lines or `…` for a part of
//! a line that is left out. A ```` ```yaml ```` block
//! whose first line is a comment with the name of a file is that file. All commands are typed into one shell,
//! whose Neargate has a port and a data folder of its own. IDs, times, lengths, addresses and the like differ
//! from run to run, so both sides are normalised before they are compared. A command that only looks is
//! repeated until it shows what README shows, as a reader would.
//!
//! After a change of what commands write, `UPDATE_README=1 cargo test readme` puts what they really wrote
//! into README, where it differs; read the difference before you commit it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use regex::{Captures, Regex};
use tempfile::TempDir;

use crate::harness::{PATIENCE, eventually, neargate, remove_all, require_engine};

/// Commands that README shows and that are not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("make demo", ".ci/run runs it"),
    ("make test", "it is what runs this test"),
    (
        "cargo build --release",
        "it would build everything again; the development build is what is tested",
    ),
    (
        "sudo install target/release/neargate /usr/local/bin/",
        "it changes the machine",
    ),
];

/// What only looks, and can be asked again and again.
const LOOKS: &[&str] = &[
    "neargate ps",
    "neargate describe",
    "neargate logs $",
    "neargate usage",
    "neargate bill",
    "neargate events",
    "neargate status",
    "neargate service ls",
    "neargate service explain",
    "curl -s http",
    "curl -sN ",
    "docker ps",
    "docker inspect",
];

/// Where README's Neargate listens.
const PORT: &str = "6327";

#[test]
fn readme_shows_what_happens() {
    require_engine();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let update = std::env::var_os("UPDATE_README").is_some();
    let steps = read(&readme);
    let ran = steps.iter().filter(|step| step.is_command()).count();
    assert!(ran > 30, "README has a tour: {ran} commands");

    let mut session = Session::start();
    let mut wrong = Vec::new();
    let (mut written, mut cursor) = (readme.clone(), 0);
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::File { name, text } => fs::write(session.folder.path().join(name), text).unwrap(),
            Step::Command { command, shown } => {
                if NOT_RUN.iter().any(|(other, _)| other == command) {
                    continue;
                }
                // A failure is shown on purpose where the next command asks for its exit code.
                let may_fail = matches!(
                    steps.get(index + 1),
                    Some(Step::Command { command, .. }) if command == "echo $?"
                );
                let real = match session.check(command, shown, may_fail) {
                    Ok(()) => shown.clone(),
                    Err(real) => {
                        wrong.push(format!(
                            "$ {command}\n--- README\n{shown}\n--- really\n{real}"
                        ));
                        real
                    }
                };
                cursor = replace(&mut written, cursor, (command, shown), &real);
            }
        }
    }
    if update {
        fs::write(path, written).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn commands_that_are_not_run_are_in_readme() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let steps = read(&fs::read_to_string(path).unwrap());
    for (command, why) in NOT_RUN {
        assert!(
            steps.iter().any(
                |step| matches!(step, Step::Command { command: shown, .. } if shown == command)
            ),
            "`{command}` is not run because {why}; but README does not have it"
        );
    }
}

#[test]
fn what_differs_is_told_from_what_does_not() {
    for (shown, real, same) in [
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("a\n...", "a", true),
        ("a\n...\nd", "a\nb\nc", false),
        ("a", "a\nb", false),
        ("a…c", "abbc", true),
        ("a…c", "abb", false),
        (
            "4f0c2b91d5aa  RUNNING  after 1.2 s",
            "0123456789ab  RUNNING  after 850 ms",
            true,
        ),
        (
            "4f0c2b91d5aa  RUNNING",
            "0123456789abcdef0123456789abcdef  RUNNING",
            true,
        ),
        ("exited with 0", "exited with 1", false),
        ("10.0.0.1 web", "172.17.0.2      web", true),
    ] {
        assert_eq!(matches(shown, real), same, "{shown}\n{real}");
    }
}

/// What README tells a reader to do next.
enum Step {
    /// A file is made.
    File { name: String, text: String },
    /// A command is typed, and this is shown.
    Command { command: String, shown: String },
}

impl Step {
    const fn is_command(&self) -> bool {
        matches!(self, Self::Command { .. })
    }
}

/// The steps, in order.
fn read(readme: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "console" => read_console(&block, &mut steps),
            "yaml" => {
                let name = block[0].strip_prefix("# ").expect("a yaml block is a file");
                steps.push(Step::File {
                    name: name.to_owned(),
                    text: block.join("\n") + "\n",
                });
            }
            "toml" | "" | "text" => {}
            other => panic!("README has a block that nobody checks: {other}"),
        }
    }
    steps
}

fn read_console(block: &[&str], steps: &mut Vec<Step>) {
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Command {
                command: command.to_owned(),
                shown: String::new(),
            });
            continue;
        }
        let Some(Step::Command { command, shown }) = steps.last_mut() else {
            panic!("a block begins with output: {line}");
        };
        match line.strip_prefix("> ") {
            Some(more) if command.ends_with('\\') => {
                command.push('\n');
                command.push_str(more);
            }
            _ => writeln!(shown, "{line}").unwrap(),
        }
    }
}

/// Puts what was really written below a command that stands behind `cursor`, and gives the end of that. IDs
/// are shortened as a terminal shows them.
fn replace(readme: &mut String, cursor: usize, step: (&str, &str), real: &str) -> usize {
    let (command, shown) = step;
    let prompt = format!("$ {}\n", command.replace('\n', "\n> "));
    let before = format!("{prompt}{shown}");
    let at = cursor + readme[cursor..].find(&before).expect("the command");
    let long = Regex::new(r"\b([0-9a-f]{12})([0-9a-f]{20}|[0-9a-f]{52})\b").unwrap();
    let column = Regex::new(r"(?m)^(TASK|total) {20}").unwrap();
    let real = long.replace_all(real.trim_end(), "$1");
    let real = column.replace_all(&real, "$1");
    let end = if real.is_empty() { "" } else { "\n" };
    let after = format!("{prompt}{real}{end}");
    readme.replace_range(at..at + before.len(), &after);
    at + after.len()
}

/// A shell with a Neargate of its own.
struct Session {
    shell: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    folder: TempDir,
    port: String,
    /// The label of everything that its Neargate makes.
    instance: Option<String>,
}

impl Session {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for samples in ["task-definitions", "services"] {
            std::os::unix::fs::symlink(root.join(samples), folder.path().join(samples)).unwrap();
        }
        // Free now, and whoever takes it in between is noticed: the server would not start.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port()
            .to_string();
        let bin = PathBuf::from(neargate().get_program());
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NEARGATE_") {
                shell.env_remove(name);
            }
        }
        shell
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path())
            .env(
                "PATH",
                format!(
                    "{}:{}:{path}",
                    bin.parent().unwrap().display(),
                    crate::ecs::clients().display()
                ),
            )
            .env("HOME", folder.path())
            .env("NO_PROXY", "*")
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("NEARGATE_LISTEN", format!("127.0.0.1:{port}"))
            .env("NEARGATE_ENDPOINT", format!("http://127.0.0.1:{port}"))
            .env("NEARGATE_DATA_DIR", folder.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut shell = shell.spawn().expect("bash");
        let mut stdin = shell.stdin.take().unwrap();
        let stdout = BufReader::new(shell.stdout.take().unwrap());
        stdin.write_all(b"exec 2>&1\n").unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            shell,
            stdin,
            lines,
            folder,
            port,
            instance: None,
        }
    }

    /// Types `command`. What it really wrote is the error when that is not what README shows.
    fn check(&mut self, command: &str, shown: &str, may_fail: bool) -> Result<(), String> {
        let looks = LOOKS.iter().any(|look| command.starts_with(look));
        // Where nothing is shown yet, it is as good after a while as it will ever be.
        let patience = if shown.is_empty() {
            PATIENCE / 10
        } else {
            PATIENCE
        };
        let deadline = Instant::now() + patience;
        loop {
            let (code, real) = self.type_in(command);
            assert!(
                may_fail || code == 0,
                "$ {command}\nends with {code}:\n{real}"
            );
            if command.ends_with('&') {
                self.wait_until_it_answers();
            }
            let same = if command.contains(" --follow") {
                // Two outputs at once: which of two lines comes first is chance.
                matches(&sorted(shown), &sorted(&real))
            } else {
                matches(shown, &real)
            };
            if same {
                return Ok(());
            }
            if !looks || Instant::now() > deadline {
                return Err(real);
            }
            std::thread::park_timeout(PATIENCE / 300);
        }
    }

    /// Types `command` and gives its exit code and what it wrote.
    fn type_in(&mut self, command: &str) -> (i32, String) {
        const MARK: &str = "@@ the command ended with ";
        let command = command.replace(PORT, &self.port);
        let ask = format!("{command}\nlast=$?; echo; echo '{MARK}'$last; (exit $last)\n");
        self.stdin.write_all(ask.as_bytes()).unwrap();
        self.stdin.flush().unwrap();
        let mut written = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("$ {command}\n{error}; so far:\n{written}"));
            if let Some(code) = line.strip_prefix(MARK) {
                let written = written.replace(&self.port, PORT);
                return (code.parse().unwrap(), written.trim_end().to_owned());
            }
            writeln!(written, "{line}").unwrap();
        }
    }

    /// What was started in the background is given the time to start.
    fn wait_until_it_answers(&mut self) {
        let status = eventually("the server to answer", || {
            let (code, said) = self.type_in("neargate status --output json");
            if code == 0 { Ok(said) } else { Err(said) }
        });
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let instance = status["version"]["instanceId"].as_str();
        self.instance = instance.map(str::to_owned);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server is in the shell's process group, and is gone with it.
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.shell.wait();
        if let Some(instance) = &self.instance {
            remove_all(instance);
        }
    }
}

/// Its lines in order, as far as they do not differ from run to run.
fn sorted(text: &str) -> String {
    let text = normalise(text);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Whether a line is what README shows, where `…` stands for anything.
fn is_line(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line,
        Some((start, end)) => {
            let rest = line.strip_prefix(start).unwrap_or_default();
            line.starts_with(start)
                && (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| is_line(end, rest)))
        }
    }
}

/// Whether `real` is what README shows, where `...` stands for any lines.
fn matches(shown: &str, real: &str) -> bool {
    fn from(shown: &[String], real: &[String]) -> bool {
        match (shown.split_first(), real.split_first()) {
            (None, None) => true,
            (Some((first, rest)), _) if first == "..." => {
                (0..=real.len()).any(|skipped| from(rest, &real[skipped..]))
            }
            (Some((first, shown)), Some((line, real))) if is_line(first, line) => from(shown, real),
            _ => false,
        }
    }
    let lines = |text: &str| -> Vec<String> {
        let text = normalise(text);
        text.lines().map(str::to_owned).collect()
    };
    from(&lines(shown), &lines(real))
}

/// The same for every run: what differs is replaced by what it is.
fn normalise(text: &str) -> String {
    const PATTERNS: &[(&str, &str)] = &[
        // What bash itself says about what it started.
        (r"(?m)^bash: line \d+: +\d+ .*\n?", ""),
        (r"\b([0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12})\b", "<id>"),
        (r"sha256:[0-9a-f]+", "<digest>"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
        (r"\b\d+ (s|min|h|days) ago\b|\bjust now\b", "<ago>"),
        (r"\b\d+ min \d+ s\b|\b\d+(\.\d+)? m?s\b", "<length>"),
        (
            r"Up ((Less than|About) a|\d+) (second|minute)s?( \(\w+\))?",
            "<up>",
        ),
        (r"\b127\.0\.0\.1:([0-9]+)\b", "<loopback>"),
        (r#"("hostPort": |hostPort: )\d+"#, "$1<port>"),
        (r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "<address>"),
        (r"\b\d+\.\d{3,6}\b", "<number>"),
        (r"\b\d+\.\d\d %", "<share>"),
        (r"(?m)^(<time>) +\d+ ", "$1 <seq> "),
        (r#"(?m)^id: \d+|"seq":\d+"#, "<seq>"),
        (r"(?m)^(Process|Instance|Engine) .*$", "$1 <this machine's>"),
        (r#"("durationMs": |durationMs: )\d+"#, "$1<length>"),
        (r" +", " "),
        (r"(?m) +$", ""),
        // States that a task only passes through may be over before anybody looks.
        (
            r"(?m)^<id> (PENDING|RUNNING after .*|STOPPING|container .* is asked to stop)$\n?",
            "",
        ),
    ];
    let mut text = text.trim_end().to_owned();
    for (pattern, name) in PATTERNS {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern
            .replace_all(&text, |found: &Captures<'_>| {
                // The documented port is the same in every run; others are whatever was free.
                if found.get(1).is_some_and(|port| port.as_str() == PORT) {
                    return found[0].to_owned();
                }
                let mut put = String::new();
                found.expand(name, &mut put);
                put
            })
            .into_owned();
    }
    text
}
