//! Pulls: one layer after the other. Callers who want the same image share one pull, and one that nobody
//! waits for any more is given up, as the daemon does.

use super::{Model, Refusal, Timer};
use crate::engine::PullProgress;
use crate::engine::sim::faults::Trouble;
use crate::engine::sim::image::{Image, ImageName, Layers, RegistryAnswer, ask_registry};

/// A pull, from its first caller to its last.
#[derive(Debug)]
pub(super) struct Pull {
    name: ImageName,
    layers: Layers,
    done: usize,
    callers: u32,
    /// It would have moved on, were pulls not stalled.
    held: bool,
    outcome: Option<Result<(), Refusal>>,
}

impl Pull {
    /// The name that is pulled, while it is.
    pub(super) fn running(&self) -> Option<String> {
        self.outcome.is_none().then(|| self.name.canonical())
    }

    fn progress(&self) -> PullProgress {
        PullProgress {
            current_bytes: self.layers.bytes.iter().take(self.done).sum(),
            total_bytes: self.layers.bytes.iter().sum(),
        }
    }
}

/// How far a pull has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullNews {
    pub(crate) progress: PullProgress,
    /// Set when it is over.
    pub(crate) outcome: Option<Result<(), Refusal>>,
}

impl Model {
    /// Begins to pull an image, or joins a pull of it that goes on. Give the number back to
    /// [`Model::leave_pull`].
    pub(crate) fn begin_pull(&mut self, name: &str) -> Result<u64, Refusal> {
        let parsed = ImageName::parse(name)
            .ok_or_else(|| Refusal::Invalid("invalid reference format".to_owned()))?;
        let canonical = parsed.canonical();
        let running = self
            .pulls
            .iter_mut()
            .find(|(_, pull)| pull.running().as_ref() == Some(&canonical));
        if let Some((number, pull)) = running {
            pull.callers += 1;
            return Ok(*number);
        }
        if self.faults.is_on(Trouble::RegistryAway) {
            return Err(Refusal::Failed(
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: \
                 i/o timeout"
                    .to_owned(),
            ));
        }
        let layers = match ask_registry(&parsed) {
            RegistryAnswer::Refuses(message) => return Err(Refusal::Invalid(message)),
            RegistryAnswer::Fails(message) => return Err(Refusal::Failed(message)),
            RegistryAnswer::Layers(layers) => layers,
        };
        let is_there = self.images.inspect(&canonical).is_some();
        let stalled = layers.stalled;
        let number = self.next_timer;
        let pull = Pull {
            name: parsed,
            layers,
            done: 0,
            callers: 1,
            held: false,
            outcome: is_there.then_some(Ok(())),
        };
        self.pulls.insert(number, pull);
        if is_there || stalled {
            // Keeps numbers unique: no timer is spent on it.
            self.next_timer += 1;
        } else {
            self.schedule_layer(number);
        }
        Ok(number)
    }

    /// How far a pull has come; `None` when it was given up.
    pub(crate) fn pull_news(&self, number: u64) -> Option<PullNews> {
        self.pulls.get(&number).map(|pull| PullNews {
            progress: pull.progress(),
            outcome: pull.outcome.clone(),
        })
    }

    /// A caller waits no longer.
    pub(crate) fn leave_pull(&mut self, number: u64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.callers -= 1;
            if pull.callers == 0 {
                self.pulls.remove(&number);
            }
        }
    }

    fn schedule_layer(&mut self, number: u64) {
        if let Some(pull) = self.pulls.get(&number) {
            let usual_ms = self.faults.layers_take_ms.unwrap_or(self.config.layer_ms);
            let takes_ms = u64::from(usual_ms) * pull.layers.slowness;
            self.schedule(takes_ms, Timer::Layer { pull: number });
        }
    }

    pub(super) fn layer_comes(&mut self, number: u64) {
        let stalled = self.faults.is_on(Trouble::PullsStall);
        let disk = self.disk_has_room("failed to register layer: write /var/lib/docker/tmp");
        let Some(pull) = self.pulls.get_mut(&number) else {
            return;
        };
        if stalled {
            pull.held = true;
            return;
        }
        if let Err(full) = disk {
            pull.outcome = Some(Err(full));
        } else if pull.layers.breaks && pull.done > 0 {
            pull.outcome = Some(Err(Refusal::Failed("unexpected EOF".to_owned())));
        } else {
            pull.done += 1;
            if pull.done >= pull.layers.bytes.len() && !pull.layers.breaks {
                pull.outcome = Some(Ok(()));
                let image = Image::pulled(&pull.name);
                let name = pull.name.clone();
                self.images.add(&name, image);
            }
        }
        self.changes += 1;
        if self
            .pulls
            .get(&number)
            .is_some_and(|pull| pull.outcome.is_none())
        {
            self.schedule_layer(number);
        }
    }

    /// Lets the pulls go on that were held back.
    pub(super) fn resume_pulls(&mut self) {
        let held: Vec<u64> = self
            .pulls
            .iter_mut()
            .filter_map(|(number, pull)| std::mem::take(&mut pull.held).then_some(*number))
            .collect();
        for number in held {
            self.schedule_layer(number);
        }
    }
}
