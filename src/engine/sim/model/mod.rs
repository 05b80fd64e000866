//! The model of a Docker daemon: a plain state machine that is told the time and what it is asked.
//!
//! It must never wait, ask a clock, draw a random number or keep anything in an order that differs between
//! two runs: the same requests at the same times give the same answers, byte for byte. Whatever takes time
//! lies on the agenda and is done by [`Model::advance_to`], each at its own time however far that goes.
//!
//! Two times: `now`, by which the agenda goes and which never goes back, and the daemon's own clock, which
//! a fault can step and which is the one that the daemon tells ([`Model::daemon_time`]).

mod container;
mod create;
mod events;
mod exec;
mod files;
mod group;
mod health;
mod journal;
mod lifecycle;
mod log;
mod network;
mod outage;
mod pull;
mod request;
mod volume;

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use crate::domain::{DurationMs, TimestampMs};
use crate::engine::docker::daemon::{
    ContainerEvent, ContainerInspect, ContainerSummary, DaemonInfo, ImageInspect,
};

use super::faults::FaultPlan;
use super::image::Images;
use super::program::CheckResult;
use super::{SimConfig, Snapshot};

pub(crate) use container::Container;
pub(crate) use events::EventRing;
pub(crate) use journal::Journal;
pub(crate) use log::LogNews;
pub(crate) use outage::Reach;
pub(crate) use pull::PullNews;
pub(crate) use request::{Answer, Refusal, Request};

use exec::ExecRun;
use group::Group;
use network::Networks;
use outage::Outage;
use pull::Pull;
pub(crate) use volume::MISSING;
use volume::Volume;

/// A Docker daemon and what it has.
#[derive(Debug)]
pub(crate) struct Model {
    config: SimConfig,
    now: TimestampMs,
    clock_offset_ms: i64,
    agenda: BTreeMap<(TimestampMs, u64), Timer>,
    next_timer: u64,
    /// In the order in which they were created.
    containers: BTreeMap<u64, Container>,
    /// Names and full IDs.
    by_name: BTreeMap<String, u64>,
    by_id: BTreeMap<String, u64>,
    /// By each of their labels, as `key=value`: most lists ask for one.
    by_label: BTreeMap<String, BTreeSet<u64>>,
    next_container: u64,
    next_pid: u32,
    images: Images,
    networks: Networks,
    volumes: BTreeMap<String, Volume>,
    next_volume: u64,
    /// Commands that were started in containers, by number.
    execs: BTreeMap<u64, ExecRun>,
    /// By path.
    groups: BTreeMap<String, Group>,
    /// Who waits for the ends of processes.
    awaited: BTreeMap<u32, oneshot::Sender<()>>,
    /// How often the host was started.
    boots: u32,
    pulls: BTreeMap<u64, Pull>,
    events: EventRing,
    outage: Option<Outage>,
    frozen_until: Option<TimestampMs>,
    unreachable_until: Option<TimestampMs>,
    /// Counts connections: a stream of an earlier one has ended.
    connection: u64,
    faults: FaultPlan,
    journal: Journal,
    /// Counts changes that somebody who waits may want to see.
    changes: u64,
}

/// Something that will happen. `run` tells the runs of one container apart: what was meant for an earlier
/// one is dropped.
#[derive(Clone, Debug)]
enum Timer {
    /// A process ends by itself.
    Ends { container: u64, run: u32 },
    /// A process writes.
    Writes { container: u64, run: u32 },
    /// A command that was started in a container ends by itself.
    ExecEnds { exec: u64 },
    /// A health check begins.
    CheckBegins { container: u64, monitor: u32 },
    /// A health check is over.
    CheckEnds {
        container: u64,
        monitor: u32,
        result: CheckResult,
    },
    /// A layer has come.
    Layer { pull: u64 },
    /// A removal is through.
    Removed { container: u64 },
    /// The daemon is back.
    Back { outage: u64 },
    /// The daemon moves again, or can be reached again.
    Thaws,
    /// A request whose caller has long given up is carried out.
    Late(Box<Request>),
    /// An event that was late comes.
    Publish(ContainerEvent),
}

impl Model {
    /// A daemon that has nothing yet.
    pub(crate) fn new(config: SimConfig, now: TimestampMs) -> Self {
        Self {
            journal: Journal::new(config.calls_kept),
            networks: Networks::new(&config),
            config,
            now,
            clock_offset_ms: 0,
            agenda: BTreeMap::new(),
            next_timer: 0,
            containers: BTreeMap::new(),
            by_name: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_label: BTreeMap::new(),
            next_container: 1,
            next_pid: 1_000,
            images: Images::default(),
            volumes: BTreeMap::new(),
            next_volume: 0,
            execs: BTreeMap::new(),
            groups: BTreeMap::new(),
            awaited: BTreeMap::new(),
            boots: 1,
            pulls: BTreeMap::new(),
            events: EventRing::default(),
            outage: None,
            frozen_until: None,
            unreachable_until: None,
            connection: 0,
            faults: FaultPlan::default(),
            changes: 0,
        }
    }

    /// What it was made with.
    pub(crate) fn config(&self) -> &SimConfig {
        &self.config
    }

    /// What the daemon's own clock shows.
    fn daemon_time(&self) -> TimestampMs {
        TimestampMs::from_millis(self.now.as_millis().saturating_add(self.clock_offset_ms))
    }

    /// Does everything that is due until `now`, in order. A time that lies back changes nothing.
    pub(crate) fn advance_to(&mut self, now: TimestampMs) {
        while let Some(first) = self.agenda.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), timer) = first.remove_entry();
            self.now = self.now.max(at);
            self.fire(timer);
        }
        self.now = self.now.max(now);
    }

    /// When something happens by itself next.
    pub(crate) fn next_due(&self) -> Option<TimestampMs> {
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Counts up with everything that somebody who waits may want to see.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The faults that last or lie in wait.
    pub(crate) fn faults(&mut self) -> &mut FaultPlan {
        &mut self.faults
    }

    /// What was asked so far.
    pub(crate) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// What happened to containers.
    pub(crate) fn events(&self) -> &EventRing {
        &self.events
    }

    /// The images that it has.
    pub(crate) fn images(&mut self) -> &mut Images {
        &mut self.images
    }

    fn schedule(&mut self, after_ms: u64, timer: Timer) {
        let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
        let at = TimestampMs::from_millis(self.now.as_millis().saturating_add(after_ms));
        self.agenda.insert((at, self.next_timer), timer);
        self.next_timer += 1;
        self.changes += 1;
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Ends { container, run } => self.process_is_over(container, run),
            Timer::Writes { container, run } => self.process_writes(container, run),
            Timer::ExecEnds { exec } => self.exec_is_over(exec),
            Timer::CheckBegins { container, monitor } => self.check_begins(container, monitor),
            Timer::CheckEnds {
                container,
                monitor,
                result,
            } => self.check_ends(container, monitor, result),
            Timer::Layer { pull } => self.layer_comes(pull),
            Timer::Removed { container } => self.forget(container),
            Timer::Back { outage } => self.come_back(outage),
            Timer::Thaws => self.changes += 1,
            Timer::Late(request) => {
                // The caller has given up: nobody hears what comes of it.
                let _ = self.handle(*request);
            }
            Timer::Publish(event) => self.publish(event),
        }
    }

    /// Who the daemon is.
    pub(crate) fn info(&self) -> DaemonInfo {
        self.config.info.clone()
    }

    /// The container of that ID, name, or beginning of an ID that only one has.
    pub(crate) fn find(&self, id: &str) -> Option<&Container> {
        self.containers.get(&self.number_of(id)?)
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        let name = id.strip_prefix('/').unwrap_or(id);
        if let Some(number) = self.by_id.get(name).or_else(|| self.by_name.get(name)) {
            return Some(*number);
        }
        if name.is_empty() {
            return None;
        }
        let mut matching = self
            .by_id
            .range(name.to_owned()..)
            .take_while(|(full, _)| full.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some((_, number)), None) => Some(*number),
            _ => None,
        }
    }

    fn known(&self, id: &str) -> Result<u64, Refusal> {
        self.number_of(id)
            .ok_or_else(|| Refusal::NotFound(format!("container {id}")))
    }

    /// What the daemon says of one container.
    pub(crate) fn inspect(&self, id: &str) -> Option<ContainerInspect> {
        self.find(id).map(Container::inspect)
    }

    /// What the daemon says that one container uses: figures that stand for something, for one that runs;
    /// zeroes for one that does not.
    pub(crate) fn stats(&self, id: &str) -> Result<serde_json::Value, Refusal> {
        let number = self.known(id)?;
        let Some(container) = self.containers.get(&number) else {
            return Err(Refusal::NotFound(format!("container {id}")));
        };
        let seen = container.inspect();
        let lived_ms = match seen.started_at {
            Some(started) if seen.status == "running" => {
                self.daemon_time().since(started).as_millis()
            }
            _ => 0,
        };
        let memory = if lived_ms == 0 { 0 } else { 1_048_576 };
        Ok(serde_json::json!({
            "id": seen.id,
            "name": format!("/{}", seen.name),
            "read": self.daemon_time().to_string(),
            "cpu_stats": { "cpu_usage": { "total_usage": lived_ms * 1_000 } },
            "memory_stats": { "usage": memory },
            "pids_stats": { "current": i32::from(lived_ms > 0) },
        }))
    }

    /// All containers with a label `key=value` (or `key`), the newest first.
    pub(crate) fn list(&self, label: &str) -> Vec<ContainerSummary> {
        if label.contains('=') {
            let numbers = self.by_label.get(label);
            return numbers
                .into_iter()
                .flat_map(|numbers| numbers.iter().rev())
                .filter_map(|number| self.containers.get(number))
                .map(Container::summary)
                .collect();
        }
        self.containers
            .values()
            .rev()
            .filter(|container| events::has_label(container.labels(), label))
            .map(Container::summary)
            .collect()
    }

    /// What the daemon says of one image.
    pub(crate) fn inspect_image(&self, name: &str) -> Option<ImageInspect> {
        self.images.inspect(name)
    }

    /// Everything that can be seen from outside, as it is now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            now: self.now,
            daemon_time: self.daemon_time(),
            up: self.outage.is_none(),
            boot_id: self.boot_id(),
            groups: self.group_snapshots(),
            containers: self.containers.values().map(Container::snapshot).collect(),
            networks: self.networks.snapshot(),
            volumes: self.volume_snapshots(),
            images: self.images.names().clone(),
            pulls: self.pulls.values().filter_map(Pull::running).collect(),
            events_so_far: self.events.so_far(),
            call_faults_waiting: self.faults.waiting(),
        }
    }

    fn after(&self, ms: u32) -> TimestampMs {
        self.now.plus(DurationMs::from_millis(ms))
    }
}
