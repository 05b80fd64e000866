//! The command line: a client of the REST API.
//!
//! Every command but `serve` does what any other client could do: it asks a running Neargate over HTTP and
//! shows the answer. Nothing here opens the database or talks to an engine, so what a command can do, a
//! script with `curl` can do too. `serve`, `restore` and `doctor` are the exceptions: their arguments are read
//! here, and what they do to this machine is in functions that `main` hands in, so that this room never imports the server.
//!
//! Two rules hold for every command. stdout is data and stderr is talk: whatever a script reads goes to the
//! one, everything that is said to a person goes to the other. And every error says the fact first and ends
//! with what to type next.

mod apply;
mod backoff;
mod backup;
mod bill;
mod budget;
mod client;
mod clusters;
mod completions;
mod console;
mod cp;
mod definitions;
mod describe;
mod doctor;
mod events;
mod exec;
mod exit;
mod failure;
mod follow;
mod keys;
mod live;
mod logs;
mod man;
mod parse;
mod port_forward;
mod progress;
mod protect;
mod ps;
mod register;
mod restore;
mod rightsize;
mod run;
mod sanitise;
mod schedule;
mod secret;
mod serve;
mod service;
mod status;
mod stop;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod top;
mod usage;
mod watch;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use futures_util::future::LocalBoxFuture;

use client::Client;
use console::{Console, Format};
use failure::Failure;

use crate::domain::Machine;

pub use doctor::DoctorArgs;
pub use restore::RestoreArgs;
pub use serve::{DEFAULT_LISTEN, ServeArgs, TokenError, default_data_dir};
pub use token::{InvalidToken, Token};

/// Starts a server and returns when it has stopped. An error whose text has a line that begins with `hint: `
/// is shown with that line as its hint.
pub type Serve = fn(ServeArgs) -> LocalBoxFuture<'static, anyhow::Result<()>>;

/// Restores a backup and returns what there is to say about it, line by line. Errors are as those of [`Serve`].
pub type Restore = fn(RestoreArgs) -> LocalBoxFuture<'static, anyhow::Result<Vec<String>>>;

/// Looks at this machine, without a server.
pub type Examine = fn(DoctorArgs) -> LocalBoxFuture<'static, Machine>;

/// What is done in this process instead of by a server.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// `neargate serve`.
    pub serve: Serve,
    /// `neargate restore`.
    pub restore: Restore,
    /// What `neargate doctor` needs to know of the machine.
    pub examine: Examine,
}

/// Where a Neargate is looked for unless `--endpoint` or `NEARGATE_ENDPOINT` says otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:6327";

/// What `neargate` says when it is given nothing to do.
const INTRODUCTION: &str = "\
Neargate: your own Fargate. It turns any Docker host into a serverless container platform.

  neargate doctor                                         is this machine fit for it?
  neargate serve                                          start a server here
  neargate run task-definitions/hello.yaml --follow       run a task and follow its log
  neargate ps                                             what is running
  neargate describe TASK                                  one task: its life, its containers, its usage

neargate --help lists all commands, neargate COMMAND --help explains one.
";

/// Your own Fargate: one binary turns any Docker host into a serverless container platform.
#[derive(Debug, Parser)]
#[command(
    name = "neargate",
    version,
    propagate_version = false,
    after_help = "Example:\n  neargate run task-definitions/hello.yaml --follow"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where Neargate answers.
    #[arg(long, global = true, env = "NEARGATE_ENDPOINT", value_name = "URL", default_value = DEFAULT_ENDPOINT)]
    endpoint: String,
    /// The cluster; `default` where one is needed and none is named.
    #[arg(long, global = true, env = "NEARGATE_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// How answers are printed; json and yaml give the API's answer as it is.
    #[arg(long, global = true, value_enum, value_name = "table|json|yaml", hide_possible_values = true, default_value_t = Format::Table)]
    output: Format,
    /// Say when something was, and not how long ago that is.
    #[arg(long, global = true)]
    exact_times: bool,
    /// Say on stderr what is asked of the API.
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// The commands, in the order in which they are listed.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Register(register::RegisterArgs),
    Run(Box<run::RunArgs>),
    Ps(ps::PsArgs),
    Describe(describe::DescribeArgs),
    Logs(logs::LogsArgs),
    Exec(exec::ExecArgs),
    Cp(cp::CpArgs),
    PortForward(port_forward::PortForwardArgs),
    Top(top::TopArgs),
    Stop(stop::StopArgs),
    Protect(protect::ProtectArgs),
    Service(service::ServiceArgs),
    Schedule(schedule::ScheduleArgs),
    Apply(apply::ApplyArgs),
    Events(events::EventsArgs),
    Usage(usage::UsageArgs),
    Bill(bill::BillArgs),
    Budget(budget::BudgetArgs),
    Rightsize(rightsize::RightsizeArgs),
    Definitions(definitions::DefinitionsArgs),
    Secret(secret::SecretArgs),
    Keys(keys::KeysArgs),
    Clusters(clusters::ClustersArgs),
    Status(status::StatusArgs),
    Backup(backup::BackupArgs),
    Restore(RestoreArgs),
    Doctor(DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// What a command works with: the API, the terminal, and the cluster that was named.
struct Session {
    client: Client,
    console: Console,
    named_cluster: Option<String>,
}

impl Session {
    /// The cluster that is meant when one is needed.
    fn cluster(&self) -> String {
        let default = || crate::domain::DEFAULT_CLUSTER.to_owned();
        self.named_cluster.clone().unwrap_or_else(default)
    }
}

/// Does what `args` say, the first of which is the program's name, and returns how that went:
/// 0 for well, 1 for a failure, 2 for a command line that makes no sense, and for a task that was waited
/// for, its own exit code.
pub fn run(args: impl Iterator<Item = OsString>, local: &Local) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A terminal that went away is no reason to say more.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if cli.global.exact_times {
        time::be_exact();
    }
    let console = Console::of_process(cli.global.output, cli.global.verbose);
    let colour = console.colours_talk();
    match carry_out(cli, console, local) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let _ = std::io::stderr().write_all(failure.render(colour).as_bytes());
            ExitCode::from(failure.code())
        }
    }
}

fn carry_out(cli: Cli, mut console: Console, local: &Local) -> Result<u8, Failure> {
    let command = match cli.command {
        None => {
            console.text(INTRODUCTION)?;
            return console.finish(0);
        }
        Some(Command::Completions(args)) => {
            completions::execute(&mut console, &args, Cli::command())?;
            return console.finish(0);
        }
        Some(Command::Man(args)) => {
            man::execute(&mut console, &args, Cli::command())?;
            return console.finish(0);
        }
        Some(Command::Serve(args)) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| Failure::runtime(&error))?;
            return match runtime.block_on((local.serve)(args.normalised())) {
                Ok(()) => Ok(0),
                Err(error) => Err(Failure::from_server(&error)),
            };
        }
        Some(Command::Restore(args)) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| Failure::runtime(&error))?;
            let lines = runtime
                .block_on((local.restore)(args))
                .map_err(|error| Failure::from_server(&error))?;
            for line in &lines {
                console.talk(line);
            }
            return console.finish(0);
        }
        Some(command) => command,
    };
    if cli.global.verbose {
        talk_about_requests();
    }
    let token = Token::from_environment()?;
    let mut session = Session {
        client: Client::new(&cli.global.endpoint, token)?,
        console,
        named_cluster: cli.global.cluster.filter(|name| !name.is_empty()),
    };
    // A client does one thing after another: one thread is enough, and starts faster.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::runtime(&error))?;
    let left = left_by_ctrl_c(&command);
    let done = runtime.block_on(async {
        tokio::select! {
            // What deals with Ctrl-C itself does so first.
            biased;
            done = work(&mut session, command, local) => Some(done),
            () = run::interrupted(), if left.is_some() => None,
        }
    });
    match done {
        Some(Ok(code)) => session.console.finish(code),
        None => {
            session.console.flush()?;
            session.console.talk(left.unwrap_or_default());
            Ok(exit::INTERRUPTED)
        }
        Some(Err(failure)) => {
            // What was printed before the failure is shown before the failure is; if it cannot be, the
            // failure is still what matters.
            let _ = session.console.flush();
            Err(failure)
        }
    }
}

async fn work(session: &mut Session, command: Command, local: &Local) -> Result<u8, Failure> {
    match command {
        Command::Doctor(args) => {
            let machine = (local.examine)(args.clone()).await;
            doctor::execute(session, &args, &machine).await
        }
        command => dispatch(session, command).await,
    }
}

/// What is said at Ctrl-C, of a command that may be left at any time and does not say so itself.
fn left_by_ctrl_c(command: &Command) -> Option<&'static str> {
    match command {
        Command::Logs(_) | Command::Events(_) => {
            Some("interrupted: only looking has ended, tasks go on")
        }
        Command::Apply(_) | Command::Stop(_) => Some(
            "interrupted: what the server was asked for goes on without this; neargate events shows it",
        ),
        _ => None,
    }
}

async fn dispatch(session: &mut Session, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Register(args) => register::execute(session, args).await,
        Command::Run(args) => run::execute(session, *args).await,
        Command::Ps(args) => ps::execute(session, args).await,
        Command::Describe(args) => describe::execute(session, args).await,
        Command::Logs(args) => logs::execute(session, args).await,
        Command::Exec(args) => Box::pin(exec::execute(session, args)).await,
        Command::Cp(args) => Box::pin(cp::execute(session, args)).await,
        Command::PortForward(args) => Box::pin(port_forward::execute(session, args)).await,
        Command::Top(args) => Box::pin(top::execute(session, args)).await,
        Command::Stop(args) => stop::execute(session, args).await,
        Command::Protect(args) => protect::execute(session, args).await,
        Command::Service(args) => Box::pin(service::execute(session, args)).await,
        Command::Schedule(args) => Box::pin(schedule::execute(session, args)).await,
        Command::Apply(args) => Box::pin(apply::execute(session, args)).await,
        Command::Events(args) => events::execute(session, args).await,
        Command::Usage(args) => usage::execute(session, args).await,
        Command::Bill(args) => bill::execute(session, args).await,
        Command::Budget(args) => budget::execute(session, args).await,
        Command::Rightsize(args) => rightsize::execute(session, args).await,
        Command::Definitions(args) => definitions::execute(session, args).await,
        Command::Secret(args) => secret::execute(session, args).await,
        Command::Keys(args) => keys::execute(session, args).await,
        Command::Clusters(args) => clusters::execute(session, args).await,
        Command::Status(_) => status::execute(session).await,
        Command::Backup(args) => Box::pin(backup::execute(session, args)).await,
        // These need no server to ask, and were dealt with before one was looked for.
        Command::Serve(_)
        | Command::Restore(_)
        | Command::Doctor(_)
        | Command::Completions(_)
        | Command::Man(_) => Ok(0),
    }
}

/// What to type to know more about a service.
fn show_service_hint(name: &str) -> String {
    format!("how it gets on: neargate service describe {name}")
}

/// `--verbose`: the client's own notes go to stderr.
fn talk_about_requests() {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("neargate::cli=debug")
        .with_writer(std::io::stderr)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false);
    // Somebody who embeds this may have set one already; theirs stays.
    let _ = subscriber.try_init();
}
