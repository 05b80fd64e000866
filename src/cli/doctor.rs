//! `neargate doctor`: is this machine fit to run tasks, and what is to be done where it is not.
//!
//! The facts of the machine are handed in; only the server, if there is one, is asked from here, like by any other command.
//! What is said of them is decided in `findings`, which is pure.

mod findings;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::client::{Client, ClientError};
use super::console::Format;
use super::failure::Failure;
use super::table::{Field, Table};
use super::{Session, Token};
use crate::domain::display::Tone;
use crate::domain::{Machine, PortFacts};
use crate::shapes::Readiness;
use findings::{Finding, Level, findings};

/// Check this machine, and say what to do about what is found
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Looks at the engine, its cgroups and runtimes, addresses, disks, the port, the clock and the data folder, with the settings \
that a server would have, whether one runs or not. The exit code is 1 if something must be done before tasks can run, and 0 \
otherwise, also with warnings.

Example:
  neargate doctor --json")]
pub struct DoctorArgs {
    /// Where a server would listen [default: as for serve]
    #[arg(long, env = "NEARGATE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where everything is kept [default: as for serve]
    #[arg(long, env = "NEARGATE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Where the Docker engine answers [default: the socket of this machine's engine]
    #[arg(long, env = "DOCKER_HOST", value_name = "URL")]
    pub docker_host: Option<String>,
    /// The TOML file of the server, which is checked too
    #[arg(long, env = "NEARGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Short for --output json
    #[arg(long)]
    pub json: bool,
}

/// What a server said when it was asked.
#[derive(Clone, Debug)]
enum ServerFacts {
    /// Nobody answers.
    None,
    /// How it is.
    Answers(Box<Readiness>),
    /// One answers that cannot be asked, because of this.
    Refuses(ClientError),
}

/// All that is judged.
#[derive(Clone, Debug)]
struct Facts<'a> {
    machine: &'a Machine,
    /// Where a server was looked for.
    endpoint: String,
    server: ServerFacts,
    /// Whether who has the port is a Neargate; `None` where nobody has it.
    port_is_ours: Option<bool>,
}

/// What `--output json` gives.
#[derive(Debug, Serialize)]
struct Report<'a> {
    failed: usize,
    warnings: usize,
    findings: &'a [Finding],
}

pub(super) async fn execute(
    session: &mut Session,
    args: &DoctorArgs,
    machine: &Machine,
) -> Result<u8, Failure> {
    if args.json {
        session.console.format = Format::Json;
    }
    let server = ask(&session.client).await;
    let port_is_ours = match machine.port {
        PortFacts::InUse => Some(is_neargate(machine.listen).await),
        PortFacts::Free | PortFacts::Unusable(_) => None,
    };
    let findings = findings(&Facts {
        machine,
        endpoint: session.client.endpoint().to_owned(),
        server,
        port_is_ours,
    });
    let count = |level| findings.iter().filter(|one| one.level == level).count();
    let (failed, warnings) = (count(Level::Fail), count(Level::Warn));
    let report = Report {
        failed,
        warnings,
        findings: &findings,
    };
    if !session.console.document(&report)? {
        session
            .console
            .table(&table(&findings), "nothing was found")?;
        session.console.flush()?;
        session.console.talk(&summary(failed, warnings));
    }
    Ok(u8::from(failed > 0))
}

async fn ask(client: &Client) -> ServerFacts {
    match client.readiness().await {
        Ok(answer) => ServerFacts::Answers(Box::new(answer.value)),
        Err(ClientError::NoAnswer { .. }) => ServerFacts::None,
        Err(error) => ServerFacts::Refuses(error),
    }
}

/// Whether who listens there is a Neargate, be it one that wants a token.
async fn is_neargate(listen: SocketAddr) -> bool {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    let endpoint = format!("http://{}", SocketAddr::new(ip, listen.port()));
    let token = Token::from_environment().ok().flatten();
    let Ok(client) = Client::new(&endpoint, token) else {
        return false;
    };
    matches!(
        ask(&client).await,
        ServerFacts::Answers(_) | ServerFacts::Refuses(ClientError::Refused(_))
    )
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&["RESULT", "CHECK", "FINDING"]);
    for finding in findings {
        let tone = match finding.level {
            Level::Ok => Tone::Good,
            Level::Warn => Tone::Busy,
            Level::Fail => Tone::Bad,
        };
        table.row([
            Field::new(finding.level.as_str(), tone),
            finding.check.into(),
            (&finding.text).into(),
        ]);
        if let Some(hint) = &finding.hint {
            table.row(["".into(), "".into(), format!("hint: {hint}").into()]);
        }
    }
    table
}

fn summary(failed: usize, warnings: usize) -> String {
    let several = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    match (failed, warnings) {
        (0, 0) => "everything is as it should be".to_owned(),
        (0, warnings) => format!("tasks can run; {}", several(warnings, "warning")),
        (failed, warnings) => format!(
            "{} and {}: tasks cannot run as they should",
            several(failed, "failure"),
            several(warnings, "warning")
        ),
    }
}
