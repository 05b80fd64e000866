//! `neargate exec`: a command in a container of a task that runs, with this process' terminal or pipes as its own.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::client::{ClientError, Received, SocketReceiver, SocketSender};
use super::failure::Failure;
use super::terminal::{self, RawTerminal};
use super::{Session, exit};
use crate::shapes::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecReport};

/// Run a command in a container of a running task
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Only for tasks that were run with --enable-execute-command, or by a service with enableExecuteCommand. The exit \
code is the command's own; 125 if it was not started or its end is not known. With -t, Ctrl-C goes to the command \
as a key; without, it is sent as a signal, and a second one leaves the command. What is left is hung up (SIGHUP); \
where the engine is on another machine, that cannot be done, and it may run on for as long as its container.

Example:
  neargate exec -it 4f0c -c web -- sh")]
pub(super) struct ExecArgs {
    /// Hand this command's standard input on
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal: this one
    #[arg(short, long)]
    tty: bool,
    /// The task: its ID, or the first digits of it
    task: String,
    /// The container; may be left out for a task that has one
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// The program and its arguments; no shell is added
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How long it may take to take leave.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// How much of standard input is sent at once, and how many such pieces wait.
const PIECE_BYTES: usize = 16 * 1_024;
const PIECES_WAITING: usize = 8;

pub(super) async fn execute(session: &mut Session, args: ExecArgs) -> Result<u8, Failure> {
    if args.tty && args.interactive && !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard input is no terminal, so there is none to hand on",
            "leave -t out: neargate exec -i …",
        ));
    }
    let signals = Signals::listen().map_err(|error| Failure::runtime(&error))?;
    let opened = session.client.exec(&args.task, args.container.as_deref());
    let (mut sender, receiver) = opened.await.map_err(not_started)?;
    let start = ExecInput::Start {
        command: args.command,
        tty: args.tty,
        stdin: args.interactive,
        size: terminal::size().filter(|_| args.tty),
    };
    sender.input(&start).await;
    let raw = if args.tty && args.interactive {
        Some(RawTerminal::enter().map_err(|error| Failure::runtime(&error))?)
    } else {
        None
    };
    let end = tokio::select! {
        end = show(receiver) => end,
        end = send(&mut sender, signals, args.interactive, args.tty) => Ok(end),
    };
    // Whatever is said from here on is said on a terminal that is as it was.
    drop(raw);
    // Where the command did not take its input, nothing can be said any more; the server sees the connection end.
    let _ = tokio::time::timeout(LEAVE_TIME, sender.close()).await;
    end
}

fn not_started(error: ClientError) -> Failure {
    Failure::from(error).with_code(exit::NOT_STARTED)
}

/// Writes what the command writes, until it has ended; its exit code.
async fn show(mut receiver: SocketReceiver) -> Result<u8, Failure> {
    loop {
        match receiver.next().await.map_err(not_started)? {
            Received::Bytes(bytes) => write(&bytes)?,
            // Larger numbers do not exist on Linux; if an engine says one, it is still no success.
            Received::Report(ExecReport::Exited { exit_code }) => {
                return Ok(u8::try_from(exit_code).unwrap_or(u8::MAX));
            }
            Received::Report(ExecReport::Failed { problem }) => {
                return Err(not_started(ClientError::Refused(Box::new(problem))));
            }
            Received::Closed => {
                return Err(Failure::new(
                    "the session ended, and nobody said why",
                    "how the server is: neargate status",
                )
                .with_code(exit::NOT_STARTED));
            }
        }
    }
}

/// A pipe that nobody reads any more ends this command as it ends others.
fn write(message: &[u8]) -> Result<(), Failure> {
    match message.split_first() {
        Some((&EXEC_STDOUT, text)) => {
            let mut out = io::stdout().lock();
            out.write_all(text).and_then(|()| out.flush())?;
        }
        Some((&EXEC_STDERR, text)) => {
            let mut err = io::stderr().lock();
            err.write_all(text).and_then(|()| err.flush())?;
        }
        // Something newer than this program.
        _ => {}
    }
    Ok(())
}

/// Sends what is typed, resized and signalled, until a signal says that this command is to end; its exit code.
async fn send(sender: &mut SocketSender, mut signals: Signals, stdin: bool, tty: bool) -> u8 {
    let mut pieces = if stdin { Some(read_stdin()) } else { None };
    let mut was_told = false;
    let Signals { resized, ending } = &mut signals;
    loop {
        tokio::select! {
            piece = next_piece(&mut pieces) => if let Some(bytes) = piece {
                tokio::select! {
                    () = sender.bytes(bytes) => {}
                    // The command does not take its input, and a signal would wait behind it: this is the end.
                    (_, number) = ending.next() => return 128 + number,
                }
            } else {
                pieces = None;
                sender.input(&ExecInput::EndOfInput).await;
            },
            _ = resized.recv() => if let Some(size) = terminal::size().filter(|_| tty) {
                sender.input(&ExecInput::Resize { size }).await;
            },
            (name, number) = ending.next() => {
                if tty || was_told || number != 2 {
                    return 128 + number;
                }
                was_told = true;
                sender.input(&ExecInput::Signal { signal: name.to_owned() }).await;
            }
        }
    }
}

async fn next_piece(pieces: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match pieces {
        Some(pieces) => pieces.recv().await,
        None => std::future::pending().await,
    }
}

/// Standard input, read by a thread of its own: nobody can be made to stop waiting for a key, and a thread does
/// not keep the process from ending.
fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    std::thread::spawn(move || {
        let mut stdin = io::stdin();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match stdin.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&piece[..length]);
                    if sender.blocking_send(bytes).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}

/// What this process may be told.
struct Signals {
    resized: Signal,
    ending: Ending,
}

/// The signals that ask for an end.
struct Ending {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            ending: Ending {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
            },
        })
    }
}

impl Ending {
    /// The next one, and its number.
    async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.hang_up.recv() => ("SIGHUP", 1),
        }
    }
}
