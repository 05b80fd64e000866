//! Bugs that are planted, to know that the checks can fail: each is found by a storm within 2,000 seeds.
//!
//! A bug is planted at one of the two seams that all of Neargate's effects and all of its knowledge pass: what it asks the
//! daemon and is told by it, and what it writes into the database. There a wrong decision looks the same as one that the
//! planner or the store made, so the code under test needs no switch for it, and a release cannot have one. What is
//! asked is changed before it reaches the daemon; what is written is changed by triggers.

use std::sync::Mutex;
use std::time::Instant;

use neargate::domain::{HealthStatus, TimestampMs};
use neargate::engine::docker::daemon::{ContainerInspect, ContainerSpec};
use sqlx::ConnectOptions as _;

use super::world::World;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An interval is opened and never closed.
    ForgetsToCloseAnInterval,
    /// A task's end is recorded without its event.
    LosesAnEvent,
    /// What tasks reserve is not summed up.
    ForgetsReservations,
    /// What is created does not say whose it is.
    ForgetsTheLabel,
    /// A container whose health check has not answered yet counts as healthy.
    CountsStartingAsHealthy,
    /// A container that has ended is started a second time.
    StartsWhatHasEnded,
    /// Whoever is asked to stop is killed at once.
    KillsWithoutWaiting,
    /// Containers are asked to stop as soon as others that depend on them are.
    StopsInAnyOrder,
    /// A removal that was asked for is believed to have happened.
    ForgetsToRemove,
    /// The exit code is taken to be 0.
    BelievesThatAllIsWell,
    /// A published port is taken for another one.
    MixesPortsUp,
    /// A secret's value stands in a label.
    TellsASecret,
}

impl Bug {
    const ALL: [Self; 12] = [
        Self::ForgetsToCloseAnInterval,
        Self::LosesAnEvent,
        Self::ForgetsReservations,
        Self::ForgetsTheLabel,
        Self::CountsStartingAsHealthy,
        Self::StartsWhatHasEnded,
        Self::KillsWithoutWaiting,
        Self::StopsInAnyOrder,
        Self::ForgetsToRemove,
        Self::BelievesThatAllIsWell,
        Self::MixesPortsUp,
        Self::TellsASecret,
    ];

    /// How the database is changed.
    const fn triggers(self) -> &'static str {
        match self {
            Self::ForgetsToCloseAnInterval => {
                "CREATE TRIGGER bug BEFORE UPDATE OF closed_at ON usage_intervals
                 BEGIN SELECT RAISE(IGNORE); END"
            }
            Self::LosesAnEvent => {
                "CREATE TRIGGER bug BEFORE INSERT ON events WHEN NEW.status = 'STOPPED'
                 BEGIN SELECT RAISE(IGNORE); END"
            }
            Self::ForgetsReservations => {
                "CREATE TRIGGER bug BEFORE UPDATE ON reserved BEGIN SELECT RAISE(IGNORE); END"
            }
            _ => "",
        }
    }

    /// What is created in place of `spec`.
    pub fn created(self, spec: &ContainerSpec) -> ContainerSpec {
        let mut spec = spec.clone();
        match self {
            Self::ForgetsTheLabel => {
                spec.labels.remove("neargate.instance");
            }
            Self::TellsASecret => {
                let values = spec.secret_env.iter();
                let told = values.map(|(name, value)| {
                    let text = String::from_utf8_lossy(value.expose()).into_owned();
                    (format!("secret.{name}"), text)
                });
                spec.labels.extend(told.collect::<Vec<_>>());
            }
            _ => {}
        }
        spec
    }

    /// What is read of a container.
    pub fn inspected(self, seen: &mut ContainerInspect) {
        match self {
            Self::CountsStartingAsHealthy if seen.health == Some(HealthStatus::Unknown) => {
                seen.health = Some(HealthStatus::Healthy);
            }
            Self::BelievesThatAllIsWell => seen.exit_code = 0,
            Self::MixesPortsUp => {
                for binding in &mut seen.bindings {
                    binding.host_port = 8_000;
                }
            }
            _ => {}
        }
    }
}

/// A signal that the daemon was asked to send, and who of the containers ran at that moment, since when; by the clock that
/// only runs.
#[derive(Clone, Debug)]
pub struct Signalled {
    pub at: TimestampMs,
    pub id: String,
    pub signal: String,
    pub running: Vec<(String, Option<TimestampMs>)>,
}

impl World {
    /// Plants a bug, before Neargate is started.
    pub async fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
        let sql = bug.triggers();
        if sql.is_empty() {
            return;
        }
        let database = self.folder().join("neargate.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

/// The most seeds that a bug may hide from.
const MOST_SEEDS: u64 = 2_000;

#[test]
fn planted_bugs_are_found() {
    let only = std::env::var("NEARGATE_TEST_BUG").ok();
    let hidden = Mutex::new(Vec::new());
    let bugs = Mutex::new(
        Bug::ALL
            .into_iter()
            .filter(|bug| only.as_ref().is_none_or(|name| format!("{bug:?}") == *name))
            .collect::<Vec<_>>(),
    );
    std::thread::scope(|scope| {
        for _ in 0..super::THREADS {
            scope.spawn(|| {
                loop {
                    let Some(bug) = bugs.lock().unwrap().pop() else {
                        return;
                    };
                    let begun = Instant::now();
                    let first = (1..=MOST_SEEDS).find_map(|seed| {
                        let tale = super::Tale::of(seed).with(bug);
                        let error = super::storm(&tale).err()?;
                        Some((seed, error.lines().next().unwrap_or_default().to_owned()))
                    });
                    let took = begun.elapsed();
                    match &first {
                        Some((seed, error)) => {
                            let error: String = error.chars().take(120).collect();
                            println!("{bug:?}: found by seed {seed} in {took:.1?}: {error}");
                        }
                        None => hidden.lock().unwrap().push(bug),
                    }
                }
            });
        }
    });
    let hidden = hidden.into_inner().unwrap();
    assert!(hidden.is_empty(), "nobody has found {hidden:?}");
}
