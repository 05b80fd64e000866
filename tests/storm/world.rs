//! The world of a storm: a real store, control, loop and Docker adapter over a simulated daemon, in
//! virtual time.
//!
//! Time only moves when the driver moves it, and the driver only does so when nothing is left to be done at
//! the present time: no task of the runtime is ready, and the store has nothing on its way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use neargate::bell::Bell;
use neargate::clock::Clock;
use neargate::control::Control;
use neargate::domain::{Capacity, ClockReading, IdSource, Policy, TimestampMs};
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{Fault, SimClock, SimConfig, SimDaemon};
use neargate::engine::{Engine, EngineStatus};
use neargate::reconcile::{Limits, Parts, Reconciler};
use neargate::store::{Simulated, Store, StoreError, WriteFault};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bugs::Bug;
use super::mortal::{Fuse, Mortal, Signals};
use super::rules::StormSecrets;

/// Random numbers from a seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995)
    }

    /// Those of one step of a seed's story: they do not depend on other steps.
    pub fn of_step(seed: u64, step: usize) -> Self {
        let step = u64::try_from(step).unwrap();
        let mut both = Self::new(seed.rotate_left(32) ^ (step + 1));
        Self(both.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not including, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub fn ms(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end.max(1))).unwrap()
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// Identifiers that look random and are the same for the same seed.
struct Ids(AtomicU64);

impl IdSource for Ids {
    fn next_id(&self) -> u128 {
        let mut rng = Rng::new(self.0.fetch_add(1, Ordering::Relaxed));
        (u128::from(rng.next()) << 64) | u128::from(rng.next())
    }
}

/// The time of tokio's paused clock, and the host's clock beside it, which may be set.
#[derive(Clone)]
pub struct StormClock {
    start: Instant,
    ahead_ms: Arc<AtomicI64>,
    /// When it was set, by the clock that only runs, and how far it was ahead before that.
    before: Arc<Mutex<Vec<(i64, i64)>>>,
}

impl StormClock {
    fn running_ms(&self) -> i64 {
        1_800_000_000_000 + i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }
}

impl Clock for StormClock {
    fn now(&self) -> TimestampMs {
        TimestampMs::from_millis(self.running_ms() + self.ahead_ms.load(Ordering::Relaxed))
    }

    fn reading(&self) -> ClockReading {
        ClockReading {
            wall: Clock::now(self),
            running_ms: self.running_ms(),
        }
    }
}

impl SimClock for StormClock {
    fn now(&self) -> TimestampMs {
        TimestampMs::from_millis(self.running_ms())
    }

    fn sleep_until(&self, at: TimestampMs) -> BoxFuture<'static, ()> {
        let wait = at.since(SimClock::now(self)).to_std();
        if wait.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(tokio::time::sleep(wait))
    }
}

/// From one start of Neargate to its end.
pub struct Life {
    pub control: Control,
    pub over: CancellationToken,
    stop: CancellationToken,
    pub fuse: Arc<Mutex<Option<Fuse>>>,
    run: JoinHandle<()>,
}

pub struct World {
    pub store: Store,
    pub daemon: SimDaemon,
    pub clock: StormClock,
    pub settings: Settings,
    pub limits: Limits,
    pub life: Option<Life>,
    /// What tasks may reserve together.
    pub host: Capacity,
    /// What the daemon was asked to send to containers.
    pub signals: Signals,
    /// The one that is planted, if any.
    pub bug: Option<Bug>,
    folder: TempDir,
    ids: Arc<dyn IdSource>,
    /// What goes wrong with the next groups of writes.
    pub write_faults: Arc<Mutex<VecDeque<WriteFault>>>,
    /// When answers of the store come.
    turns: Arc<Mutex<Rng>>,
}

/// Answers of the store come when the seed says so, and writes go wrong when the story says so.
fn simulated(
    turns: &Arc<Mutex<Rng>>,
    write_faults: &Arc<Mutex<VecDeque<WriteFault>>>,
) -> Simulated {
    let (turns, write_faults) = (Arc::clone(turns), Arc::clone(write_faults));
    Simulated {
        turns: Arc::new(move || {
            let mut rng = turns.lock().unwrap();
            if rng.one_in(2) { rng.ms(4) } else { 0 }
        }),
        write_fault: Arc::new(move || write_faults.lock().unwrap().pop_front()),
    }
}

/// So often in a row must everything be quiet before time moves.
const QUIET: u32 = 4;
/// How often, and after which pause, a folder is tried again that is locked.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// The longest step of time.
const LONGEST_STEP: Duration = Duration::from_millis(500);

impl World {
    pub async fn new(seed: u64, config: SimConfig, settings: Settings, limits: Limits) -> Self {
        let clock = StormClock {
            start: Instant::now(),
            ahead_ms: Arc::default(),
            before: Arc::default(),
        };
        let host = Capacity {
            cpu_units: u64::from(config.info.cpus) * 1_024,
            memory_mib: config.info.memory_bytes / 1_048_576,
        };
        let daemon = SimDaemon::new(config, Arc::new(clock.clone()));
        daemon.add_image(super::WORKLOAD);
        tokio::spawn(daemon.drive());
        let in_memory = std::path::Path::new("/dev/shm");
        let folder = if in_memory.is_dir() {
            tempfile::tempdir_in(in_memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let ids: Arc<dyn IdSource> = Arc::new(Ids(AtomicU64::new(seed << 20)));
        let write_faults = Arc::default();
        let turns = Arc::new(Mutex::new(Rng::new(seed)));
        let simulated = simulated(&turns, &write_faults);
        let now = Clock::now(&clock);
        let store = Store::open_simulated(folder.path(), ids.as_ref(), now, simulated)
            .await
            .unwrap();
        Self {
            store,
            daemon,
            clock,
            settings,
            limits,
            life: None,
            host,
            signals: Signals::default(),
            bug: None,
            folder,
            ids,
            write_faults,
            turns,
        }
    }

    /// The data folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What the host's clock shows.
    pub fn now(&self) -> TimestampMs {
        Clock::now(&self.clock)
    }

    /// The time, whatever the host's clock was set to.
    pub fn time(&self) -> TimestampMs {
        SimClock::now(&self.clock)
    }

    /// Somebody sets the host's clock, which the daemon goes by as well.
    pub fn set_clock(&self, by_ms: i64) {
        let ahead_ms = self.clock.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
        let now_ms = self.clock.running_ms();
        self.clock.before.lock().unwrap().push((now_ms, ahead_ms));
        self.daemon.inject(Fault::ClockStep { by_ms });
    }

    /// Whether the host's clock was set.
    pub fn clock_was_set(&self) -> bool {
        !self.clock.before.lock().unwrap().is_empty()
    }

    /// How far the host's clock is ahead of one that only runs.
    pub fn ahead_ms(&self) -> i64 {
        self.clock.ahead_ms.load(Ordering::Relaxed)
    }

    /// Whether the host's clock was so far ahead at `at`, by the clock that only runs. When it was set, it was as before
    /// and as after that.
    pub fn was_ahead_by(&self, ahead_ms: i64, at: TimestampMs) -> bool {
        let mut from = i64::MIN;
        let mut stretches = Vec::new();
        for (set_ms, ahead_ms) in self.clock.before.lock().unwrap().iter() {
            stretches.push((from, *set_ms, *ahead_ms));
            from = *set_ms;
        }
        stretches.push((from, i64::MAX, self.ahead_ms()));
        stretches.iter().any(|(from, until, ahead)| {
            *ahead == ahead_ms && (*from..=*until).contains(&at.as_millis())
        })
    }

    /// Starts Neargate.
    pub fn start(&mut self) {
        let over = CancellationToken::new();
        let stop = CancellationToken::new();
        let fuse = Arc::new(Mutex::new(None));
        let daemon = Mortal::new(
            self.daemon.clone(),
            over.clone(),
            Arc::clone(&fuse),
            Arc::clone(&self.signals),
        )
        .with_bug(self.bug);
        let engine: Arc<dyn Engine> = DockerEngine::new(
            "sim",
            Arc::new(daemon),
            self.store.instance_id().clone(),
            Arc::clone(&self.ids),
            self.settings.clone(),
            Arc::new(StormSecrets),
        );
        let (bell, clock) = (Bell::default(), Arc::new(self.clock.clone()));
        let engine_status = EngineStatus::new(self.now());
        let control = Control::new(
            self.store.clone(),
            Arc::clone(&engine),
            engine_status.clone(),
            bell.clone(),
            clock.clone(),
            Arc::clone(&self.ids),
        );
        let reconciler = Reconciler::new(Parts {
            store: self.store.clone(),
            engine,
            engine_status,
            bell,
            clock,
            ids: Arc::clone(&self.ids),
            policy: Policy::default(),
            prices: Arc::default(),
            limits: self.limits,
        });
        let run = tokio::spawn(reconciler.run(stop.clone()));
        self.life = Some(Life {
            control,
            over,
            stop,
            fuse,
            run,
        });
    }

    /// Ends Neargate between any two awaits, as SIGKILL does.
    pub fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            life.over.cancel();
            life.run.abort();
        }
    }

    /// Asks Neargate to end and waits for it.
    pub async fn shut_down(&mut self) {
        let Some(life) = self.life.take() else { return };
        life.stop.cancel();
        let deadline = Instant::now() + Duration::from_mins(5);
        while !life.run.is_finished() {
            assert!(
                Instant::now() < deadline,
                "a graceful stop must come to an end"
            );
            if life.over.is_cancelled() {
                life.run.abort();
            }
            self.pass(Duration::from_millis(200)).await;
        }
        life.over.cancel();
    }

    /// Reads everything again from the disk, as a new process would.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        // Another test that starts a process at this moment lends it the lock until the process has become
        // another program.
        for _ in 0..LOCK_TRIES {
            let simulated = simulated(&self.turns, &self.write_faults);
            let (folder, ids, now) = (self.folder.path(), self.ids.as_ref(), self.now());
            match Store::open_simulated(folder, ids, now, simulated).await {
                Err(StoreError::Locked { .. }) => std::thread::park_timeout(LOCK_PAUSE),
                opened => {
                    self.store = opened.unwrap();
                    return;
                }
            }
        }
        panic!("the folder stays locked");
    }

    /// Puts a backup in the place of what was recorded, as an operator would.
    pub async fn restore(&mut self, backup: &[u8]) {
        self.store.close().await;
        let file = self.folder.path().join("backup");
        std::fs::write(&file, backup).unwrap();
        for _ in 0..LOCK_TRIES {
            match Store::restore(self.folder.path(), &file, true, self.now()).await {
                Err(StoreError::Locked { .. }) => std::thread::park_timeout(LOCK_PAUSE),
                restored => {
                    restored.unwrap();
                    break;
                }
            }
        }
        self.reopen().await;
    }

    /// Until nothing is left to be done at the present time.
    pub async fn settle(&self) {
        let mut quiet = 0;
        while quiet < QUIET {
            tokio::task::yield_now().await;
            if let Some(life) = &self.life
                && life.over.is_cancelled()
            {
                life.run.abort();
            }
            if self.store.in_flight() == 0 {
                quiet += 1;
            } else {
                quiet = 0;
            }
        }
    }

    /// Lets time pass, from one thing that happens to the next.
    pub async fn pass(&self, length: Duration) {
        let end = Instant::now() + length;
        self.settle().await;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let due = self
                .daemon
                .next_due()
                .map_or(left, |at| at.since(self.time()).to_std());
            let step = due
                .max(Duration::from_millis(1))
                .min(left)
                .min(LONGEST_STEP);
            tokio::time::advance(step).await;
            self.settle().await;
        }
    }
}
