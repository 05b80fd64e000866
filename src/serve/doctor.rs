//! `neargate doctor`, the part that looks at this machine: gathers facts, and changes and judges nothing.
//!
//! What a server would do with the same settings is asked of the same parts: the settings of [`Choices`], the daemon of the
//! Docker adapter, the folder of the store, the port of the listener.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Choices;
use crate::api;
use crate::cli::{self, DoctorArgs, ServeArgs};
use crate::clock::{Clock as _, RandomIds, SystemClock};
use crate::config::EngineKind;
use crate::domain::{
    ClockFacts, DaemonFacts, DataFacts, EngineFacts, FolderState, Machine, PortFacts, Space,
    Trouble,
};
use crate::engine::EngineError;
use crate::engine::docker::Settings;
use crate::engine::docker::client::DockerClient;
use crate::store::Store;

/// How long `timedatectl` may take; it asks the system's bus.
const CLOCK_SERVICE_TIME: Duration = Duration::from_secs(2);

/// Looks at the machine as a server that was started with the same settings would find it.
pub fn examine(args: DoctorArgs) -> LocalBoxFuture<'static, Machine> {
    look(args).boxed_local()
}

async fn look(args: DoctorArgs) -> Machine {
    let wanted = ServeArgs {
        listen: args.listen,
        data_dir: args.data_dir,
        docker_host: args.docker_host.filter(|host| !host.is_empty()),
        config: args.config.clone(),
        ..ServeArgs::default()
    };
    let (choices, settings) = choices(&wanted);
    let Some(choices) = choices else {
        return unusable(args.config, settings);
    };
    let (engine, state, is_synchronised) = tokio::join!(
        engine(&choices),
        Store::examine(&choices.data_dir),
        is_synchronised()
    );
    Machine {
        config_file: args.config,
        settings,
        cluster_runtimes: choices.settings.cluster_runtimes,
        address_pool: choices.settings.address_pool,
        engine,
        listen: choices.listen,
        port: port(choices.listen),
        data: DataFacts {
            space: space_at(&choices.data_dir),
            folder: Some(choices.data_dir),
            state,
        },
        clock: ClockFacts {
            reading: SystemClock.reading(),
            is_synchronised,
        },
    }
}

/// The settings, and what stands against them: then they are those without the file, where there are such.
fn choices(wanted: &ServeArgs) -> (Option<Choices>, Result<(), Trouble>) {
    let trouble = |error: anyhow::Error| Trouble::of(&format!("{error:#}"));
    let checked = Choices::of(wanted).and_then(|choices| {
        api::check_listen(choices.listen, choices.token.as_ref())
            .map_err(|refused| anyhow::anyhow!("{refused}\nhint: {}", refused.hint()))?;
        Ok(choices)
    });
    match checked {
        Ok(choices) => (Some(choices), Ok(())),
        Err(error) => {
            let without_file = ServeArgs {
                config: None,
                ..wanted.clone()
            };
            (Choices::of(&without_file).ok(), Err(trouble(error)))
        }
    }
}

/// Settings from which not even the defaults can be had: there is nowhere to look.
fn unusable(config_file: Option<PathBuf>, settings: Result<(), Trouble>) -> Machine {
    let nowhere = || Trouble::of("it was not looked for, since the settings cannot be used");
    Machine {
        config_file,
        settings,
        cluster_runtimes: BTreeMap::new(),
        address_pool: Settings::default().address_pool,
        engine: EngineFacts::Away(nowhere()),
        listen: cli::DEFAULT_LISTEN,
        port: port(cli::DEFAULT_LISTEN),
        data: DataFacts {
            folder: None,
            state: FolderState::Unusable(nowhere().fact),
            space: None,
        },
        clock: ClockFacts {
            reading: SystemClock.reading(),
            is_synchronised: None,
        },
    }
}

async fn engine(choices: &Choices) -> EngineFacts {
    if choices.engine == EngineKind::Sim {
        return EngineFacts::Simulated;
    }
    let pool = choices.settings.address_pool;
    let looked = async {
        let client = DockerClient::connect(choices.docker_host.as_deref())?;
        client.examine(pool, || SystemClock.now(), &RandomIds).await
    };
    match looked.await {
        Ok(facts) => EngineFacts::Answers(Box::new(DaemonFacts {
            root_space: facts.root.as_deref().and_then(space_at),
            ..facts
        })),
        Err(error) => EngineFacts::Away(away(&error)),
    }
}

fn away(error: &EngineError) -> Trouble {
    Trouble::of(&error.to_string())
}

/// Tries to listen; whoever else does then has the port.
fn port(listen: SocketAddr) -> PortFacts {
    match TcpListener::bind(listen) {
        Ok(_) => PortFacts::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => PortFacts::InUse,
        Err(error) => PortFacts::Unusable(Trouble::of(&error.to_string())),
    }
}

/// The room at `folder`, or at the first folder above it that exists.
fn space_at(folder: &Path) -> Option<Space> {
    let found = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(found).ok()?;
    Some(Space {
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        free_files: disk.f_favail,
        total_files: disk.f_files,
    })
}

/// Whether the kernel's clock is kept right, as systemd tells it, whoever keeps it; `None` where nobody answers.
async fn is_synchronised() -> Option<bool> {
    if fs::exists("/run/systemd/timesync/synchronized").is_ok_and(|exists| exists) {
        return Some(true);
    }
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: should the bus hang, nobody waits for it.
    std::thread::spawn(move || {
        let answer = Command::new("timedatectl")
            .args(["show", "--property=NTPSynchronized", "--value"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        // Whoever asked may have gone.
        let _ = sender.send(answer);
    });
    let answer = timeout(CLOCK_SERVICE_TIME, receiver).await.ok()?.ok()?;
    match String::from_utf8(answer.ok()?.stdout).ok()?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
