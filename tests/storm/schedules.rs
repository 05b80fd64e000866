//! Schedules in a storm: made, disabled, run by hand and deleted while everything else happens; whatever that is, no
//! occurrence has two runs. And short stories about time: nobody waits for it here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neargate::control::Control;
use neargate::domain::{
    ClusterName, ConcurrencyPolicy, LastStatus, MissedRuns, RunCause, RunOutcome,
    ScheduleDefinition, ScheduleName, ScheduleRun, ScheduleState, ScheduleTarget, ScheduleTimeZone,
    Task, TaskId, TaskOverrides, TimestampMs,
};
use neargate::engine::docker::Settings;
use neargate::engine::sim::SimConfig;
use neargate::reconcile::Limits;
use neargate::store::{EventFilter, PageRequest};
use serde_json::json;

use ConcurrencyPolicy::{Allow, Forbid, Replace};
use MissedRuns::{RunOnce, Skip};
use RunOutcome::{Failed, Missed, Skipped, Started};

use super::ledger::Ledger;
use super::world::{Rng, World};
use super::{WORKLOAD, in_virtual_time, story};

/// Each keeps its policy for as long as it lives.
const NAMES: [(&str, ConcurrencyPolicy); 3] =
    [("allow", Allow), ("forbid", Forbid), ("replace", Replace)];

/// Every run that was ever seen, by its schedule, when that was made, its own time, who made it, and the first task of one that a
/// user asked for.
#[derive(Default)]
pub struct Runs(BTreeMap<Key, BTreeSet<TaskId>>);

type Key = (
    &'static str,
    TimestampMs,
    TimestampMs,
    &'static str,
    Option<TaskId>,
);

fn name(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

fn definition(
    expression: &str,
    policy: ConcurrencyPolicy,
    missed: MissedRuns,
) -> ScheduleDefinition {
    ScheduleDefinition {
        expression: expression.parse().unwrap(),
        time_zone: ScheduleTimeZone::default(),
        start_date: None,
        end_date: None,
        description: None,
        state: ScheduleState::Enabled,
        concurrency_policy: policy,
        missed_runs: missed,
        starting_deadline: None,
        target: ScheduleTarget {
            cluster: "default".parse().unwrap(),
            task_definition: "storm".parse().unwrap(),
            count: 1,
            overrides: TaskOverrides::default(),
            overrides_document: json!({}),
            enable_execute_command: false,
            tags: BTreeMap::new(),
            group: None,
            propagate_tags: false,
        },
    }
}

/// A one-time expression, so many seconds from now.
fn at(world: &World, seconds: i64) -> String {
    let at = world.now().as_millis() / 1_000 * 1_000 + seconds * 1_000;
    let text = TimestampMs::from_millis(at).to_string();
    format!("at({})", text.trim_end_matches(".000Z"))
}

/// Something that a user does with a schedule. What makes no sense at the moment is refused, and changes nothing.
pub async fn step(world: &World, rng: &mut Rng, log: &mut Vec<String>) {
    let Some(life) = &world.life else { return };
    let control = &life.control;
    let (text, policy) = *rng.pick(&NAMES).unwrap();
    let name = name(text);
    let what = match world.store.schedule(&name).await.unwrap() {
        None => {
            let document = story::definition(rng);
            if !story::register(control, &document).await {
                return;
            }
            let expression = if rng.one_in(2) {
                "rate(1 minute)".to_owned()
            } else {
                at(world, 1 + i64::from(rng.ms(20)))
            };
            let missed = if rng.one_in(2) { RunOnce } else { Skip };
            let wanted = definition(&expression, policy, missed);
            let created = control.create_schedule(name, wanted).await.map(drop);
            format!("create {expression} {missed}: {created:?}")
        }
        Some(schedule) => match rng.below(4) {
            0 => {
                let deleted = control.delete_schedule(&name).await;
                format!("delete: {deleted:?}")
            }
            1 => {
                let run = control.run_schedule(&name).await.map(|run| run.run);
                format!("run: {run:?}")
            }
            2 => {
                let mut wanted = schedule.definition;
                wanted.expression = at(world, 1 + i64::from(rng.ms(10))).parse().unwrap();
                let updated = control.update_schedule(&name, wanted).await.map(drop);
                format!("update: {updated:?}")
            }
            _ => {
                let mut wanted = schedule.definition;
                wanted.state = match wanted.state {
                    ScheduleState::Enabled => ScheduleState::Disabled,
                    ScheduleState::Disabled => ScheduleState::Enabled,
                };
                let state = wanted.state;
                let updated = control.update_schedule(&name, wanted).await.map(drop);
                format!("{state}: {updated:?}")
            }
        },
    };
    log.push(format!("schedule {text}: {what}"));
}

async fn runs(world: &World, name: &ScheduleName) -> Vec<ScheduleRun> {
    let page = PageRequest::first(1_000);
    world.store.schedule_runs(name, &page).await.unwrap().items
}

/// What must always hold of them.
pub async fn check(world: &World, ledger: &Ledger, seen: &mut Runs) -> Result<(), String> {
    for (text, policy) in NAMES {
        let name = name(text);
        let started_by = name.started_by();
        let of_schedule = |task: &&Task| task.started_by.as_deref() == Some(&started_by);
        let live: Vec<&Task> = ledger
            .tasks()
            .filter(of_schedule)
            .filter(|task| task.last_status != LastStatus::Stopped)
            .collect();
        if policy != Allow && live.len() > 1 {
            return Err(format!("{policy} never has two runs at once: {live:#?}"));
        }
        let Some(schedule) = world.store.schedule(&name).await.unwrap() else {
            continue;
        };
        let mut of_a_run = BTreeSet::new();
        for run in runs(world, &name).await {
            let cause = run.cause.as_str();
            let tasks: BTreeSet<TaskId> = run.tasks.iter().cloned().collect();
            // What a user asks for is a run of its own each time, also twice in a millisecond.
            let asked_for = tasks.first().filter(|_| run.cause == RunCause::User);
            let key = (
                text,
                schedule.created_at,
                run.scheduled_for,
                cause,
                asked_for.cloned(),
            );
            if let Some(before) = seen.0.insert(key, tasks.clone())
                && before != tasks
            {
                return Err(format!("an occurrence has one run: {before:?} and {run:?}"));
            }
            for task in &tasks {
                if !of_a_run.insert(task.clone()) {
                    return Err(format!("a task belongs to one run: {run:?}"));
                }
            }
            if (run.outcome == Started) == tasks.is_empty() {
                return Err(format!("a run that was started has tasks: {run:?}"));
            }
        }
        let since = |task: &&Task| task.created_at > schedule.created_at;
        if world.clock_was_set() {
            continue;
        }
        if let Some(stray) = ledger
            .tasks()
            .filter(of_schedule)
            .filter(since)
            .find(|task| !of_a_run.contains(&task.id))
        {
            return Err(format!(
                "each task of a schedule belongs to a run: {stray:#?}"
            ));
        }
    }
    Ok(())
}

/// No schedule is left that could begin something.
pub async fn calm_down(world: &World) {
    let control = &world.life.as_ref().unwrap().control;
    for (text, _) in NAMES {
        let _ = control.delete_schedule(&name(text)).await;
    }
}

async fn world() -> World {
    let config = SimConfig {
        call_latency_ms: 5,
        ..SimConfig::default()
    };
    let settings = Settings {
        warm_sandboxes: 0,
        ..Settings::default()
    };
    let mut world = World::new(1, config, settings, Limits::default()).await;
    world.start();
    secs(&world, 1).await;
    world
}

async fn secs(world: &World, seconds: u64) {
    world.pass(Duration::from_secs(seconds)).await;
}

fn control(world: &World) -> &Control {
    &world.life.as_ref().unwrap().control
}

async fn register(world: &World, command: &[&str]) {
    let document = json!({ "family": "storm", "containerDefinitions": [
        { "name": "main", "image": WORKLOAD, "command": command, "memory": 64, "stopTimeout": 1 },
    ] });
    assert!(story::register(control(world), &document).await);
}

async fn create(world: &World, text: &str, definition: ScheduleDefinition) {
    control(world)
        .create_schedule(name(text), definition)
        .await
        .unwrap();
}

async fn outcomes(world: &World, text: &str) -> Vec<RunOutcome> {
    let runs = runs(world, &name(text)).await;
    runs.iter().map(|run| run.outcome).collect()
}

async fn tasks(world: &World, text: &str) -> Vec<Task> {
    let mut tasks = Vec::new();
    for run in runs(world, &name(text)).await {
        for id in run.tasks {
            tasks.extend(world.store.task(&id).await.unwrap());
        }
    }
    tasks
}

#[test]
fn a_run_that_was_missed_while_neargate_was_down_is_run_once_or_skipped() {
    in_virtual_time(async {
        let mut world = world().await;
        register(&world, &["exit"]).await;
        for (text, missed) in [("once", RunOnce), ("skip", Skip)] {
            create(&world, text, definition("cron(* * * * ? *)", Allow, missed)).await;
        }
        world.kill();
        secs(&world, 10 * 60).await;
        // A few seconds before the minute is full, so that no run is on time when it starts.
        let over = world.now().as_millis() % 60_000;
        world
            .pass(Duration::from_millis(
                u64::try_from(60_000 - over + 1).unwrap(),
            ))
            .await;
        let full = world.now();
        world.pass(Duration::from_secs(59)).await;
        world.start();
        // The latest lies back by less than a minute: it is on time for both. What was before it is gone.
        world.pass(Duration::from_millis(500)).await;
        for text in ["once", "skip"] {
            let runs = runs(&world, &name(text)).await;
            assert_eq!(runs.len(), 1, "{runs:#?}");
            assert_eq!(
                runs[0].scheduled_for.as_millis() / 60_000,
                full.as_millis() / 60_000
            );
        }

        // A schedule of its own time: nothing is on time when it is over.
        for (text, missed) in [("one", RunOnce), ("none", Skip)] {
            create(&world, text, definition(&at(&world, 5), Allow, missed)).await;
        }
        world.kill();
        secs(&world, 120).await;
        for _ in 0..3 {
            world.start();
            secs(&world, 5).await;
            assert_eq!(outcomes(&world, "one").await, [Started]);
            assert_eq!(outcomes(&world, "none").await, [Missed]);
            world.kill();
            world.reopen().await;
        }
        world.start();
        secs(&world, 30).await;
        let task = &tasks(&world, "one").await[0];
        assert_eq!(task.last_status, LastStatus::Stopped, "{task:#?}");
        assert_eq!(task.started_by.as_deref(), Some("schedule/one"));
    });
}

#[test]
fn killed_at_any_moment_around_its_time_it_runs_once() {
    in_virtual_time(async {
        let mut world = world().await;
        register(&world, &["exit"]).await;
        for turns in 0..40_u64 {
            let text = format!("at-{turns}");
            create(&world, &text, definition(&at(&world, 2), Forbid, RunOnce)).await;
            let due = world.store.schedule(&name(&text)).await.unwrap().unwrap();
            let due = due.upcoming(1)[0].since(world.now()).to_std();
            world
                .pass(due.saturating_sub(Duration::from_millis(1)))
                .await;
            // The alarm rings within this step, and the life ends that many turns later.
            tokio::time::advance(Duration::from_millis(1)).await;
            for _ in 0..turns * 5 {
                tokio::task::yield_now().await;
            }
            world.kill();
            world.settle().await;
            if turns % 4 == 0 {
                world.reopen().await;
            }
            world.start();
            secs(&world, 3).await;
            assert_eq!(outcomes(&world, &text).await, [Started], "{turns}");
        }
    });
}

#[test]
fn replace_ends_the_earlier_run_before_the_next_begins() {
    in_virtual_time(async {
        let world = world().await;
        register(&world, &["sleep"]).await;
        create(
            &world,
            "beat",
            definition("rate(1 minute)", Replace, RunOnce),
        )
        .await;
        secs(&world, 30).await;
        let first = tasks(&world, "beat").await;
        assert_eq!(first[0].last_status, LastStatus::Running);
        secs(&world, 60).await;
        let both = tasks(&world, "beat").await;
        assert_eq!(both.len(), 2);
        let (new, old) = (&both[0], &both[1]);
        assert_eq!(old.id, first[0].id);
        assert_eq!(old.last_status, LastStatus::Stopped);
        let why = old.stopped_reason.as_deref().unwrap();
        assert!(
            why.contains("Replaced by the run of schedule beat"),
            "{why}"
        );
        assert_eq!(new.last_status, LastStatus::Running);
        assert!(
            new.created_at >= old.stopped_at.unwrap(),
            "one after the other"
        );
    });
}

#[test]
fn forbid_skips_and_a_schedule_whose_target_is_gone_goes_on() {
    in_virtual_time(async {
        let world = world().await;
        register(&world, &["sleep"]).await;
        create(
            &world,
            "beat",
            definition("rate(1 minute)", Forbid, RunOnce),
        )
        .await;
        secs(&world, 90).await;
        assert_eq!(outcomes(&world, "beat").await, [Skipped, Started]);
        let task = &tasks(&world, "beat").await[0];
        control(&world).stop_task(&task.id, None).await.unwrap();
        let deregistered = "storm:1".parse().unwrap();
        let gone = control(&world)
            .deregister_task_definition(&deregistered)
            .await;
        gone.unwrap();
        secs(&world, 60).await;
        assert_eq!(outcomes(&world, "beat").await[0], Failed);
        register(&world, &["exit"]).await;
        secs(&world, 60).await;
        let all = runs(&world, &name("beat")).await;
        assert_eq!(all[0].outcome, Started, "{all:#?}");
        assert_eq!(
            all[1].reason.as_deref(),
            Some("task definition storm has no active revision")
        );
        let of_beat = EventFilter {
            subject: Some("beat".to_owned()),
            ..EventFilter::default()
        };
        let events = world.store.events(0, &of_beat, 100).await.unwrap();
        let told: Vec<_> = events
            .into_iter()
            .filter_map(|one| one.event.status)
            .collect();
        assert_eq!(told, ["STARTED", "SKIPPED", "FAILED", "STARTED"]);
    });
}

#[test]
fn a_schedule_in_a_cluster_that_is_gone_fails_and_goes_on() {
    in_virtual_time(async {
        let world = world().await;
        register(&world, &["exit"]).await;
        let blue: ClusterName = "blue".parse().unwrap();
        control(&world).create_cluster(&blue).await.unwrap();
        let mut wanted = definition("rate(1 minute)", Allow, RunOnce);
        wanted.target.cluster = blue.clone();
        create(&world, "beat", wanted).await;
        secs(&world, 30).await;
        control(&world).delete_cluster(&blue).await.unwrap();
        secs(&world, 60).await;
        assert_eq!(outcomes(&world, "beat").await, [Failed, Started]);
    });
}

#[test]
fn while_nothing_is_due_nothing_is_written() {
    in_virtual_time(async {
        let world = world().await;
        register(&world, &["exit"]).await;
        for number in 0..50 {
            let text = format!("quiet-{number}");
            create(
                &world,
                &text,
                definition("cron(0 0 1 1 ? 2199)", Allow, RunOnce),
            )
            .await;
        }
        secs(&world, 60).await;
        let before = world.store.write_counts();
        secs(&world, 3 * 3_600).await;
        assert_eq!(world.store.write_counts(), before);
    });
}
