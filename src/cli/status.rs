//! `neargate status`: whether a server answers, and whether work gets done.

use clap::Args;

use super::failure::Failure;
use super::table::Look;
use super::{Session, time};
use crate::domain::TimestampMs;
use crate::shapes::{EngineState, EngineStatus, Readiness};

/// Show how the server and its engine are
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The exit code is 0 when the server is ready, 1 otherwise.

Example:
  neargate status --output json")]
pub(super) struct StatusArgs {}

pub(super) async fn execute(session: &mut Session) -> Result<u8, Failure> {
    let answer = session.client.readiness().await?;
    if !session.console.document(&answer.document)? {
        let look = session.console.look();
        let endpoint = session.client.endpoint();
        let text = render(endpoint, &answer.value, time::now(), look);
        session.console.text(&text)?;
    }
    Ok(u8::from(!answer.value.ready))
}

fn render(endpoint: &str, readiness: &Readiness, now: TimestampMs, look: Look) -> String {
    let Readiness {
        ready,
        engine,
        store,
        no_metadata,
        version,
    } = readiness;
    let mut page = super::describe::Page::new(look);
    page.entry("Neargate", &format!("{} at {endpoint}", version.version));
    page.entry("Ready", if *ready { "yes" } else { "no" });
    let state = match engine.state {
        EngineState::Ok => "answers",
        EngineState::Away => "does not answer; tasks wait until it does",
        EngineState::Unknown => "was not asked yet",
    };
    let engine_version = engine
        .version
        .as_deref()
        .map(|version| format!(" {version}"))
        .unwrap_or_default();
    let api_version = engine
        .api_version
        .as_deref()
        .map(|version| format!(" (API {version})"))
        .unwrap_or_default();
    page.entry(
        "Engine",
        &format!("{}{engine_version}{api_version}: {state}", engine.kind),
    );
    page.optional("Why", engine.reason.as_deref());
    page.optional("Host", host(engine));
    page.optional(
        "Since",
        engine
            .since
            .as_deref()
            .map(|since| time::moment(since, now))
            .as_deref(),
    );
    page.entry("Store", store);
    page.optional("Metadata", no_metadata.as_deref());
    page.optional("Process", version.pid.map(|pid| pid.to_string()).as_deref());
    page.optional(
        "Started",
        version
            .started_at
            .as_deref()
            .map(|at| time::moment(at, now))
            .as_deref(),
    );
    page.optional("Instance", version.instance_id.as_deref());
    page.finish()
}

/// What is worth knowing of the engine's host.
fn host(engine: &EngineStatus) -> Option<&'static str> {
    let is_elsewhere = engine.state == EngineState::Ok && engine.boot_id.is_none();
    is_elsewhere.then_some(
        "not this machine: exit codes after a restart of it cannot be told from made-up ones",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sample;
    use crate::shapes::Version;

    #[test]
    fn an_engine_that_is_away_is_said_with_its_reason() {
        let readiness = Readiness {
            ready: false,
            engine: EngineStatus {
                kind: "docker".to_owned(),
                version: None,
                api_version: None,
                boot_id: None,
                state: EngineState::Away,
                reason: Some("no such file: /var/run/docker.sock".to_owned()),
                since: Some(sample::CREATED.to_owned()),
            },
            store: "ok".to_owned(),
            no_metadata: None,
            version: Version {
                version: "0.1.0".to_owned(),
                pid: Some(42),
                ..Version::default()
            },
        };
        assert_eq!(
            render(
                "http://127.0.0.1:6327",
                &readiness,
                sample::now(),
                Look::default()
            ),
            "\
Neargate  0.1.0 at http://127.0.0.1:6327
Ready     no
Engine    docker: does not answer; tasks wait until it does
Why       no such file: /var/run/docker.sock
Since     2026-01-31T08:15:00.000Z (3 min ago)
Store     ok
Process   42
"
        );
    }
}
