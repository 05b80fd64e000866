//! Faults that happen at once: the daemon goes away and comes back, and others lay hands on containers.

use std::collections::BTreeMap;

use super::container::Phase;
use super::lifecycle::KILL;
use super::{Container, Model, Timer};
use crate::domain::TimestampMs;
use crate::engine::docker::daemon::ContainerSpec;
use crate::engine::sim::faults::{Fault, FaultPlan, Trouble};
use crate::engine::sim::image::{Image, ImageName};
use crate::engine::sim::program::{Reaction, signal_number};

/// The daemon is not there.
#[derive(Debug)]
pub(super) struct Outage {
    number: u64,
    /// Containers that the host took down with it.
    lost: Vec<u64>,
}

/// Whether the daemon answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It does.
    Up,
    /// There is nobody to ask.
    Away,
    /// It takes the request and does not move before then.
    FrozenUntil(TimestampMs),
}

impl Model {
    /// Whether the daemon answers now.
    pub(crate) fn reach(&self) -> Reach {
        let later = |until: &Option<TimestampMs>| until.filter(|until| *until > self.now);
        if self.outage.is_some() || later(&self.unreachable_until).is_some() {
            return Reach::Away;
        }
        later(&self.frozen_until).map_or(Reach::Up, Reach::FrozenUntil)
    }

    /// Counts connections: a stream that began on an earlier one has ended.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Lets a fault happen; false when there was nothing for it to happen to.
    pub(crate) fn inject(&mut self, fault: Fault) -> bool {
        self.changes += 1;
        match fault {
            Fault::Unreachable { for_ms } => {
                self.unreachable_until = Some(self.after(for_ms));
                self.schedule(for_ms.into(), Timer::Thaws);
                self.cut_connections();
            }
            Fault::Frozen { for_ms } => {
                self.frozen_until = Some(self.after(for_ms));
                self.schedule(for_ms.into(), Timer::Thaws);
            }
            Fault::Restart {
                live_restore,
                for_ms,
            } => {
                if !live_restore {
                    self.stop_all();
                }
                self.go_away(for_ms, Vec::new());
            }
            Fault::HostReboot { reports, for_ms } => {
                let lost = self.running();
                self.go_away(for_ms, lost.clone());
                for number in lost {
                    self.end(number, reports.code(), false);
                    if let Some(container) = self.containers.get_mut(&number) {
                        container.lost = true;
                    }
                }
                self.boots += 1;
                self.groups.clear();
            }
            Fault::ClockStep { by_ms } => {
                self.clock_offset_ms = self.clock_offset_ms.saturating_add(by_ms);
            }
            Fault::StreamsCut => self.connection += 1,
            Fault::NameTaken { name } => return self.add_foreign(&name).is_some(),
            Fault::ImageRemoved { image } => {
                return ImageName::parse(&image).is_some_and(|name| self.images.remove(&name));
            }
            Fault::Calm => self.calm(),
            Fault::ContainerKilled { container } => {
                return self.with_running(&container, |model, number| model.deliver(number, KILL));
            }
            Fault::ContainerOomKilled { container } => {
                return self.with_running(&container, |model, number| model.end(number, 137, true));
            }
            Fault::GroupOomKilled { container } => {
                let number = self.number_of(&container);
                let running = number.filter(|number| self.running().contains(number));
                return running.is_some_and(|number| self.exceed_group(number));
            }
            Fault::ContainerPaused { container } => {
                return self
                    .number_of(&container)
                    .is_some_and(|number| self.pause(number));
            }
            Fault::ContainerUnpaused { container } => {
                return self
                    .number_of(&container)
                    .is_some_and(|number| self.unpause(number));
            }
            Fault::ContainerRemoved { container } => {
                return self.outage.is_none() && self.remove(&container).is_ok();
            }
            Fault::SandboxKilled { of } => {
                let sandbox = self.find(&of).and_then(|c| c.joins().map(str::to_owned));
                return sandbox.is_some_and(|id| {
                    self.with_running(&id, |model, number| model.deliver(number, KILL))
                });
            }
            lasting => self.set(&lasting),
        }
        true
    }

    /// Faults that last, or lie in wait.
    fn set(&mut self, fault: &Fault) {
        let plan = &mut self.faults;
        match *fault {
            Fault::EventsLost { count } => plan.events_lost = count,
            Fault::EventsDoubled { count } => plan.events_doubled = count,
            Fault::EventsLate { count, by_ms } => {
                plan.events_late = count;
                plan.events_late_by_ms = by_ms;
            }
            Fault::RemovalsTake { ms } => plan.removals_take_ms = ms,
            Fault::RemovalsFail { count } => plan.removals_fail = count,
            Fault::AddressesGone => plan.set(Trouble::AddressesGone, true),
            Fault::AddressesBack => plan.set(Trouble::AddressesGone, false),
            Fault::DiskFull => plan.set(Trouble::DiskFull, true),
            Fault::DiskFreed => plan.set(Trouble::DiskFull, false),
            Fault::PullsStall => plan.set(Trouble::PullsStall, true),
            Fault::PullsResume => {
                plan.set(Trouble::PullsStall, false);
                self.resume_pulls();
            }
            Fault::LayersTake { ms } => plan.layers_take_ms = Some(ms),
            Fault::RegistryAway => plan.set(Trouble::RegistryAway, true),
            Fault::RegistryBack => plan.set(Trouble::RegistryAway, false),
            Fault::PortTaken { port } => {
                plan.ports_taken.insert(port);
            }
            Fault::PortFreed { port } => {
                plan.ports_taken.remove(&port);
            }
            // Everything else happens at once.
            _ => {}
        }
    }

    fn calm(&mut self) {
        self.faults = FaultPlan::default();
        self.frozen_until = None;
        self.unreachable_until = None;
        self.resume_pulls();
        if let Some(outage) = &self.outage {
            self.come_back(outage.number);
        }
    }

    fn cut_connections(&mut self) {
        self.connection += 1;
        // The daemon gives up a pull whose callers are gone.
        self.pulls.clear();
    }

    fn go_away(&mut self, for_ms: u32, lost: Vec<u64>) {
        let before = self.outage.take().map(|outage| outage.lost);
        let number = self.next_timer;
        self.outage = Some(Outage {
            number,
            lost: before.into_iter().flatten().chain(lost).collect(),
        });
        self.schedule(for_ms.into(), Timer::Back { outage: number });
        self.frozen_until = None;
        self.cut_connections();
        self.events.forget();
        for number in self.running() {
            self.unwatch_health(number);
        }
    }

    pub(super) fn come_back(&mut self, number: u64) {
        let Some(outage) = self.outage.take_if(|outage| outage.number == number) else {
            return;
        };
        let at = self.daemon_time();
        for lost in outage.lost {
            if let Some(container) = self.containers.get_mut(&lost) {
                container.finished_at = Some(at);
            }
        }
        for running in self.running() {
            let paused = self
                .containers
                .get(&running)
                .is_some_and(|c| c.phase == Phase::Paused);
            if !paused {
                self.watch_health(running, false);
            }
        }
        self.changes += 1;
    }

    /// What a daemon does that goes down in good order: the stop signal, and SIGKILL where that is not heard.
    fn stop_all(&mut self) {
        for number in self.running() {
            self.unpause(number);
            let Some(container) = self.containers.get(&number) else {
                continue;
            };
            let signal = signal_number(&container.stop_signal).unwrap_or(15);
            let ends = container.process.as_ref().is_some_and(|process| {
                let reaction = process.script.react(signal, container.spec.init);
                matches!(reaction, Reaction::Exits { .. })
            });
            self.deliver(number, if ends { signal } else { KILL });
        }
    }

    fn running(&self) -> Vec<u64> {
        self.containers
            .iter()
            .filter(|(_, container)| container.is_running())
            .map(|(number, _)| *number)
            .collect()
    }

    fn with_running(&mut self, id: &str, act: impl FnOnce(&mut Self, u64)) -> bool {
        let running = self.number_of(id).filter(|number| {
            self.containers
                .get(number)
                .is_some_and(Container::is_running)
        });
        if let Some(number) = running {
            act(self, number);
        }
        running.is_some()
    }

    /// A running container of somebody else; its ID, or `None` when the name is taken.
    pub(crate) fn add_foreign(&mut self, name: &str) -> Option<String> {
        let image = ImageName::parse("foreign")?;
        if self.images.find("foreign").is_none() {
            self.images.add(&image, Image::pulled(&image));
        }
        let spec = ContainerSpec {
            name: name.to_owned(),
            image: "foreign".to_owned(),
            labels: BTreeMap::from([("owner".to_owned(), "somebody-else".to_owned())]),
            network_mode: "none".to_owned(),
            ..ContainerSpec::default()
        };
        let id = self.create(spec).ok()?;
        self.start(&id).ok()?;
        Some(id)
    }
}
