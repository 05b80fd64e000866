//! A storm: the real store, control, loop and Docker adapter, over a daemon that does everything that a
//! daemon has ever done to anybody, while Neargate itself is killed between any two awaits.
//!
//! One seed decides what happens, in virtual time: what the world is like, and each step by itself, so that steps can be
//! left out and the others stay what they are. A seed that fails is printed with the shortest story that still fails, and
//! with what to type to have it told again (`NEARGATE_TEST_SEED`, `NEARGATE_TEST_STEPS`). `NEARGATE_TEST_SEEDS=N` runs
//! so many seeds, however long they take: `make test` does so beside the other tests (`scripts/test`). Among these, as many
//! run as there is time for. `NEARGATE_TEST_FIRST_SEED` says from which on, `NEARGATE_TEST_TRACE` names a file for
//! everything that was asked of the daemon and recorded.
//!
//! The database works on threads of its own. Whoever waits for one of them has the whole world wait, and gets the answer after
//! as many turns of others as the seed says (`store::Simulated`). So the same seed is told the same each time (`twice.rs`).

mod backups;
mod bugs;
mod ledger;
mod mortal;
mod regressions;
mod rules;
mod same_end;
mod schedules;
mod services;
mod shrink;
mod story;
mod twice;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use neargate::domain::{DurationMs, TimestampMs};
use neargate::engine::docker::Settings;
use neargate::engine::sim::{Fault, SimConfig};
use neargate::reconcile::Limits;
use neargate::store::{PageRequest, UsageFilter};

use bugs::Bug;
use ledger::Ledger;
use world::{Rng, World};

/// An image whose containers do what they are told.
const WORKLOAD: &str = "neargate/workload:latest";
/// Seeds that run among the other tests, as long as there is time.
const SEEDS: u64 = 2_000;
const TIME: Duration = Duration::from_secs(25);
/// How many seeds that fail are told as short as they can be.
const SHRUNK: usize = 2;
/// Threads that seeds run on.
const THREADS: usize = 2;
/// Until everything must have come to its end once faults have stopped.
const PATIENCE: Duration = Duration::from_mins(20);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Whether a kind of fault that the daily run does without is asked for: `NEARGATE_TEST_WITH=restore,writes`.
fn with(what: &str) -> bool {
    let with = std::env::var("NEARGATE_TEST_WITH").unwrap_or_default();
    with.split(',').any(|one| one == what)
}

/// What is told: the story of a seed, or a part of it.
#[derive(Clone, Debug)]
struct Tale {
    seed: u64,
    /// Which steps; all, if nobody says.
    steps: Option<Vec<usize>>,
    bug: Option<Bug>,
}

impl Tale {
    fn of(seed: u64) -> Self {
        Self {
            seed,
            steps: None,
            bug: None,
        }
    }

    fn with(self, bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..self
        }
    }

    fn with_steps(&self, steps: Vec<usize>) -> Self {
        Self {
            steps: Some(steps),
            ..self.clone()
        }
    }
}

/// Most stories are short, so that there are many of them; one in so many is long.
const ONE_LONG_IN: u64 = 8;

/// How many steps the story of a seed has.
fn length(seed: u64) -> usize {
    let mut rng = Rng::of_step(seed, usize::MAX / 2);
    if seed.is_multiple_of(ONE_LONG_IN) {
        15 + rng.below(60)
    } else {
        5 + rng.below(20)
    }
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_left_over() {
    if let Some(seed) = variable("NEARGATE_TEST_SEED") {
        let steps = std::env::var("NEARGATE_TEST_STEPS").ok();
        let steps = steps.map(|text| text.split(',').filter_map(|one| one.parse().ok()).collect());
        let tale = Tale {
            steps,
            ..Tale::of(seed)
        };
        if let Err(error) = storm(&tale) {
            panic!("seed {seed}: {error}");
        }
        return;
    }
    let wanted = variable("NEARGATE_TEST_SEEDS");
    let first = variable("NEARGATE_TEST_FIRST_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while wanted.is_some() || begun.elapsed() < TIME {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + wanted.unwrap_or(SEEDS) {
                        return;
                    }
                    if let Err(error) = storm(&Tale::of(seed)) {
                        println!(
                            "seed {seed} fails: {}",
                            error.lines().next().unwrap_or_default()
                        );
                        failed.lock().unwrap().push((seed, error));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let run = (next.into_inner() - first).min(wanted.unwrap_or(SEEDS));
    println!("{run} seeds in {:?}", begun.elapsed());
    for (number, (seed, error)) in failed.iter().enumerate() {
        println!("seed {seed}: {error}\n");
        if number < SHRUNK {
            println!("{}\n", shrink::shortest(&Tale::of(*seed), error));
        }
    }
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(
        failed.is_empty(),
        "these of {run} seeds fail; make sim SEED=… tells one again: {seeds:?}"
    );
}

/// The story of a seed, from its beginning to its end.
fn storm(tale: &Tale) -> Result<(), String> {
    storm_with(tale, None)
}

/// The same; everything that was asked of the daemon and recorded goes to `trace`.
fn storm_with(tale: &Tale, trace: Option<&Mutex<Vec<String>>>) -> Result<(), String> {
    let log = Mutex::new(Vec::new());
    let told = catch_unwind(AssertUnwindSafe(|| {
        in_virtual_time(tell(tale, &log, trace))
    }));
    let error = match told {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panicked".to_owned()),
    };
    let log = log
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Err(format!("{error}\nthe story:\n{}", log.join("\n")))
}

/// Runs `story` where time only passes when the story says so.
fn in_virtual_time<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // One turn of the driver is everything that is ready by then.
        .event_interval(10_000)
        .build()
        .unwrap();
    runtime.block_on(async {
        // As long as this waits, the runtime does not move the time by itself.
        let (_over, is_over) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || is_over.recv());
        story.await
    })
}

async fn tell(
    tale: &Tale,
    told: &Mutex<Vec<String>>,
    trace: Option<&Mutex<Vec<String>>>,
) -> Result<(), String> {
    let seed = tale.seed;
    let mut rng = Rng::new(seed);
    let mut config = SimConfig {
        call_latency_ms: if rng.one_in(2) { 0 } else { rng.ms(20) },
        call_deadline_ms: 2_000 + rng.ms(8_000),
        addresses_per_network: if rng.one_in(4) { 6 } else { 1_021 },
        ..SimConfig::default()
    };
    if rng.one_in(2) {
        "cgroupfs".clone_into(&mut config.info.cgroup_driver);
    }
    if rng.one_in(3) {
        // Then tasks wait for room.
        (config.info.cpus, config.info.memory_bytes) = (1, 1 << 30);
    }
    let settings = Settings {
        warm_sandboxes: rng.ms(3),
        ..Settings::default()
    };
    let mut limits = Limits {
        rounds_at_once: [1, 3, 64][rng.below(3)],
        // Then images go as soon as their tasks have.
        unused_images_stay: seed.is_multiple_of(3).then(|| DurationMs::from_secs(0)),
        ..Limits::default()
    };
    if !seed.is_multiple_of(ONE_LONG_IN) {
        // Otherwise most of the time goes by while nothing happens.
        limits.sweep_every = Duration::from_secs(10);
        limits.measure_every = Duration::from_secs(4);
    }
    let mut world = World::new(seed, config, settings, limits).await;
    if let Some(bug) = tale.bug {
        world.plant(bug).await;
    }
    let file = std::env::var_os("NEARGATE_TEST_TRACE");
    let mut ledger = Ledger::default();
    ledger.trace = (file.is_some() || trace.is_some()).then(Vec::new);
    let steps = tale.steps.clone();
    let steps = steps.unwrap_or_else(|| (0..length(seed)).collect());
    let result = live_through(&mut world, &mut ledger, seed, &steps, told).await;
    let lines = ledger.trace.take().unwrap_or_default();
    if let Some(file) = file {
        std::fs::write(file, lines.join("\n")).unwrap();
    }
    if let Some(trace) = trace {
        trace.lock().unwrap().extend(lines);
    }
    result.map_err(|error| {
        let asked: Vec<String> = ledger.asked.into_iter().rev().collect();
        format!("{error}\nlast asked of the daemon:\n{}", asked.join("\n"))
    })
}

async fn live_through(
    world: &mut World,
    ledger: &mut Ledger,
    seed: u64,
    steps: &[usize],
    told: &Mutex<Vec<String>>,
) -> Result<(), String> {
    world.start();
    let mut changes = services::Changes::default();
    let mut runs = schedules::Runs::default();
    let mut backup = None;
    for step in steps {
        let at = world.now();
        let mut log = Vec::new();
        let rng = &mut Rng::of_step(seed, *step);
        if rng.one_in(6) {
            services::step(world, &mut changes, rng, &mut log).await;
        }
        if rng.one_in(8) {
            schedules::step(world, rng, &mut log).await;
        }
        if rng.one_in(8) {
            story::spoil(world, rng, &mut log);
        }
        if rng.one_in(16) && with("restore") && backups::step(world, &mut backup, &mut log).await {
            ledger.forget_records();
            changes = services::Changes::all(world.now());
            runs = schedules::Runs::default();
        }
        story::step(world, ledger, rng, &mut log).await;
        let lines = log.into_iter().map(|line| format!("{step:3} {at} {line}"));
        told.lock().unwrap().extend(lines);
        ledger.check(world).await?;
        services::check(world, ledger, &changes).await?;
        schedules::check(world, ledger, &mut runs).await?;
    }
    told.lock().unwrap().push(format!("{} calm", world.now()));
    calm_down(world, ledger).await
}

/// However often Neargate was killed between two steps, each interval is in the roll-ups once.
async fn rolled_up_once(world: &World) -> Result<(), String> {
    let now = world.now();
    let checks = world.store.books(now).await.unwrap().checks(now);
    let mut of_rollups = checks
        .iter()
        .filter(|check| check.what.contains("roll-ups"));
    let check = of_rollups.next().ok_or("the roll-ups are checked")?;
    // Also what was opened before somebody set the clock back.
    let [begin, end] = [0, i64::MAX].map(TimestampMs::from_millis);
    let (filter, page) = (
        UsageFilter::default(),
        PageRequest::first(PageRequest::MAX_LIMIT),
    );
    let usage = world.store.usage_of_tasks(&filter, begin, end, &page).await;
    let tasks = usage.unwrap().items.len();
    let all = format!("{tasks} tasks, ");
    if !check.differences.is_empty() || !check.numbers.starts_with(&all) {
        return Err(format!(
            "all {tasks} intervals are rolled up once: {check:#?}"
        ));
    }
    Ok(())
}

/// The faults stop, every schedule is deleted, every task is asked to stop, every service becomes what was asked for and is deleted: then everything
/// comes to its end, and stays there.
async fn calm_down(world: &mut World, ledger: &mut Ledger) -> Result<(), String> {
    world.daemon.inject(Fault::Calm);
    world.write_faults.lock().unwrap().clear();
    if let Some(life) = &world.life {
        *life.fuse.lock().unwrap() = None;
    }
    // The last call of a life may be on its way.
    world.pass(Duration::from_secs(30)).await;
    if world
        .life
        .as_ref()
        .is_none_or(|life| life.over.is_cancelled())
    {
        world.kill();
        world.start();
    }
    schedules::calm_down(world).await;
    ledger.check(world).await?;
    let life = world.life.as_ref().unwrap();
    let unfinished: Vec<_> = ledger
        .tasks()
        .filter(|task| !task.is_finished())
        .map(|task| task.id.clone())
        .collect();
    for id in unfinished {
        life.control.stop_task(&id, None).await.unwrap();
    }
    // On a small network, all is well for services once these have given their addresses back.
    world.pass(Duration::from_secs(30)).await;
    services::calm_down(world, ledger).await?;
    let begun = world.time();
    while world.time().since(begun).to_std() < PATIENCE {
        world.pass(Duration::from_secs(5)).await;
        ledger.check(world).await?;
        if ledger.tasks().all(neargate::domain::Task::is_finished) {
            break;
        }
    }
    // For what a call that was given up does late, and the sweep that finds it.
    let sweep = world.limits.sweep_every;
    world.pass(sweep * 3).await;
    ledger.check(world).await?;
    ledger.check_end(world)?;
    world.pass(sweep * 2 + Duration::from_secs(5)).await;
    let writes: Vec<_> = world
        .daemon
        .calls()
        .into_iter()
        .filter(|call| call.kind.changes())
        .collect();
    if !writes.is_empty() {
        return Err(format!("when all is well, nothing is done: {writes:#?}"));
    }
    ledger.check(world).await?;
    rolled_up_once(world).await?;
    world.shut_down().await;
    let ours = world.store.instance_id().as_str();
    let left: Vec<_> = world
        .daemon
        .containers()
        .into_iter()
        .filter(|one| one.labels.get("neargate.instance").map(String::as_str) == Some(ours))
        .collect();
    if !left.is_empty() {
        return Err(format!("a graceful stop gives everything back: {left:#?}"));
    }
    let groups = world.daemon.snapshot().groups;
    if !groups.is_empty() {
        return Err(format!("no cgroup is left over: {groups:#?}"));
    }
    Ok(())
}
