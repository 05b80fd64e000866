//! Commands that are started in a container that runs.
//!
//! Of the sample workload, `cat` and `terminal` answer to what they read; the others write what they would write
//! by themselves, at once, and end when they would end. A command ends with its container at the latest.

use bytes::Bytes;

use super::{Model, Refusal, Timer};
use crate::engine::docker::daemon::{ExecInspect, ExecSpec};
use crate::engine::sim::program::{Output, ProcessSpec, Reaction, Script, signal_number};
use crate::engine::{ExecOutput, LogStream, TerminalSize};

/// Docker's exit code for a program that cannot be started.
const NOT_STARTED: i64 = 126;
/// A container takes all of its processes with it: 128 and SIGKILL.
const KILLED: i64 = 137;
/// Pieces of output of a command that never stops writing by itself.
const PIECES: u64 = 1_000;
/// So many commands are remembered; beyond that, the oldest of those that have ended is forgotten, as Docker does in the course of time.
const REMEMBERED: usize = 256;

/// A command that was started.
#[derive(Clone, Debug)]
pub(super) struct ExecRun {
    container: u64,
    /// The container's run, as it counts them.
    run: u32,
    pid: u32,
    tty: bool,
    reads: Option<Reads>,
    script: Option<Script>,
    size: TerminalSize,
    output: Vec<ExecOutput>,
    /// Of a line that has not ended.
    line: Vec<u8>,
    exit_code: Option<i64>,
}

/// What a command does with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Writes it.
    Cat,
    /// Tells the size of its terminal, once for each line.
    Terminal,
}

/// What somebody who listens to a command has not heard yet.
pub(crate) struct ExecNews {
    pub(crate) output: Vec<ExecOutput>,
    pub(crate) over: bool,
}

impl ExecRun {
    fn write(&mut self, stream: LogStream, text: impl Into<Bytes>) {
        let stream = if self.tty { LogStream::Stdout } else { stream };
        let bytes = text.into();
        if !bytes.is_empty() {
            self.output.push(ExecOutput { stream, bytes });
        }
    }

    fn tell_size(&mut self) {
        let text = if self.tty {
            format!("{}x{}\r\n", self.size.columns, self.size.rows)
        } else {
            "no terminal\n".to_owned()
        };
        self.write(LogStream::Stdout, text);
    }
}

impl Model {
    pub(crate) fn begin_exec(&mut self, id: &str, spec: &ExecSpec) -> Result<String, Refusal> {
        let number = self.known(id)?;
        let container = self.containers.get(&number).filter(|one| one.is_running());
        let Some(container) = container else {
            return Err(Refusal::Conflict(format!("container {id} is not running")));
        };
        let process = ProcessSpec {
            repository: &container.repository,
            argv: &spec.command,
            env: &container.env,
            memory_limit_bytes: container.spec.memory_bytes,
            nano_cpus: container.spec.nano_cpus,
        };
        let script = Script::of(&process);
        let reads = match (script.is_ok(), spec.command.get(1).map(String::as_str)) {
            (true, Some("cat")) => Some(Reads::Cat),
            (true, Some("terminal")) => Some(Reads::Terminal),
            _ => None,
        };
        let mut run = ExecRun {
            container: number,
            run: container.runs,
            pid: self.next_pid,
            tty: spec.tty,
            reads,
            script: None,
            size: TerminalSize {
                columns: 0,
                rows: 0,
            },
            output: Vec::new(),
            line: Vec::new(),
            exit_code: None,
        };
        self.next_pid += 1;
        let exec = u64::from(run.pid);
        match script {
            Err(error) => {
                run.write(
                    LogStream::Stdout,
                    error.0.replacen("create", "exec", 1) + "\r\n",
                );
                run.exit_code = Some(NOT_STARTED);
            }
            Ok(script) if reads.is_some() => {
                if reads == Some(Reads::Terminal) && !spec.tty {
                    run.tell_size();
                }
                if !spec.stdin {
                    run.exit_code = Some(0);
                }
                run.script = Some(script);
            }
            Ok(script) => {
                let most = match &script.output {
                    Output::Fixed(pieces) => pieces.len() as u64,
                    Output::Numbered(_) => PIECES,
                };
                for piece in (0..most).map_while(|index| script.output.piece(index)) {
                    run.write(piece.stream, piece.text);
                }
                if let Some(ending) = script.ending {
                    self.schedule(ending.after_ms, Timer::ExecEnds { exec });
                }
                run.script = Some(script);
            }
        }
        if self.execs.len() >= REMEMBERED {
            let ended = self.execs.iter().find(|(_, run)| run.exit_code.is_some());
            if let Some(oldest) = ended.map(|(number, _)| *number) {
                self.execs.remove(&oldest);
            }
        }
        self.execs.insert(exec, run);
        self.changes += 1;
        Ok(format!("{exec:064x}"))
    }

    fn exec(&mut self, id: &str) -> Result<&mut ExecRun, Refusal> {
        let number = u64::from_str_radix(id, 16).unwrap_or_default();
        let missing = || Refusal::NotFound(format!("No such exec instance: {id}"));
        let run = self.execs.get(&number).ok_or_else(missing)?;
        let container = self.containers.get(&run.container);
        let lives = container.is_some_and(|one| one.is_running() && one.runs == run.run);
        let run = self.execs.get_mut(&number).ok_or_else(missing)?;
        if !lives {
            run.exit_code.get_or_insert(KILLED);
        }
        Ok(run)
    }

    pub(crate) fn inspect_exec(&mut self, id: &str) -> Result<ExecInspect, Refusal> {
        let run = self.exec(id)?;
        Ok(ExecInspect {
            exit_code: run.exit_code,
            pid: Some(run.pid),
        })
    }

    pub(crate) fn resize_exec(&mut self, id: &str, size: TerminalSize) -> Result<(), Refusal> {
        let run = self.exec(id)?;
        if run.exit_code.is_some() || !run.tty {
            return Err(Refusal::Failed("no such terminal".to_owned()));
        }
        run.size = size;
        if run.reads == Some(Reads::Terminal) {
            run.tell_size();
        }
        self.changes += 1;
        Ok(())
    }

    /// What it has written since the last look.
    pub(crate) fn follow_exec(&mut self, id: &str) -> ExecNews {
        let Ok(run) = self.exec(id) else {
            return ExecNews {
                output: Vec::new(),
                over: true,
            };
        };
        ExecNews {
            output: std::mem::take(&mut run.output),
            over: run.exit_code.is_some(),
        }
    }

    /// Something for it to read; nothing is the end of its input.
    pub(crate) fn write_exec(&mut self, id: &str, input: &[u8]) {
        let Ok(run) = self.exec(id) else { return };
        if run.exit_code.is_some() {
            return;
        }
        match run.reads {
            Some(_) if input.is_empty() => run.exit_code = Some(0),
            Some(Reads::Cat) => run.write(LogStream::Stdout, input.to_vec()),
            Some(Reads::Terminal) => {
                for byte in input {
                    if !matches!(byte, b'\r' | b'\n') {
                        run.line.push(*byte);
                        continue;
                    }
                    let line = std::mem::take(&mut run.line);
                    let line = String::from_utf8_lossy(&line);
                    match line.strip_prefix("exit ").map(str::parse) {
                        Some(Ok(code)) => run.exit_code = Some(code),
                        _ => run.tell_size(),
                    }
                }
            }
            None => {}
        }
        self.changes += 1;
    }

    pub(crate) fn signal_exec(
        &mut self,
        container: &str,
        pid: u32,
        signal: &str,
    ) -> Result<(), String> {
        let number = self.number_of(container);
        let Some(run) = self.execs.get_mut(&u64::from(pid)) else {
            return Ok(());
        };
        if Some(run.container) != number {
            return Err("the process is another's".to_owned());
        }
        let reaction = match (&run.script, signal_number(signal)) {
            (Some(script), Some(number)) => script.react(number, true),
            _ => Reaction::None,
        };
        match reaction {
            Reaction::None => {}
            Reaction::Says(line) => run.write(LogStream::Stdout, format!("{line}\n")),
            Reaction::Exits { code, last_words } => {
                if let Some(line) = last_words {
                    run.write(LogStream::Stdout, format!("{line}\n"));
                }
                run.exit_code.get_or_insert(code.into());
            }
        }
        self.changes += 1;
        Ok(())
    }

    pub(super) fn exec_is_over(&mut self, exec: u64) {
        if let Some(run) = self.execs.get_mut(&exec) {
            let ending = run.script.as_ref().and_then(|script| script.ending);
            run.exit_code
                .get_or_insert(ending.map_or(0, |ending| ending.exit_code.into()));
            self.changes += 1;
        }
    }
}
