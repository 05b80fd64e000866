//! Scenarios of the container-by-container plan, and what must hold in all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{DurationMs, NetworkObservation};
use crate::plan::fixtures::{after, at, container, exited, name, seen, spec};

const IMAGE: &str = "neargate/workload:latest";

/// A world in which the image is there and nothing is recorded, at 10,000 ms.
struct World {
    spec: TaskSpec,
    goal: Goal,
    known: BTreeMap<ContainerName, Known>,
    attempts: BTreeMap<ContainerName, u32>,
    seen: Observation,
    images: BTreeMap<String, ImageState>,
    signalled: BTreeMap<ContainerName, TimestampMs>,
    now: TimestampMs,
}

impl World {
    fn new(containers: Vec<ContainerDefinition>, seen: Observation) -> Self {
        Self {
            spec: spec(containers),
            goal: Goal::Run,
            known: BTreeMap::new(),
            attempts: BTreeMap::new(),
            seen,
            images: [(IMAGE.to_owned(), ImageState::Present)].into(),
            signalled: BTreeMap::new(),
            now: at(10_000),
        }
    }

    fn stopping(mut self, since: i64) -> Self {
        self.goal = Goal::Stop { since: at(since) };
        self
    }

    fn plan(&self) -> PodPlan {
        plan(PodWorld {
            spec: &self.spec,
            goal: self.goal,
            known: &self.known,
            attempts: &self.attempts,
            seen: &self.seen,
            images: &self.images,
            signalled: &self.signalled,
            now: self.now,
        })
    }

    fn actions(&self) -> Vec<PodAction> {
        self.plan().actions
    }
}

fn create(text: &str) -> PodAction {
    PodAction::Create(name(text))
}

#[test]
fn the_image_comes_first_then_the_network_then_all_containers_at_once() {
    let mut world = World::new(vec![container("a"), container("b")], Observation::default());
    world.images.insert(IMAGE.to_owned(), ImageState::Absent);
    assert_eq!(world.actions(), [PodAction::Pull(IMAGE.to_owned())]);

    world.images.insert(
        IMAGE.to_owned(),
        ImageState::Pulling(PullProgress::default()),
    );
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(
        plan.waiting.unwrap(),
        format!("image {IMAGE} is being pulled")
    );

    world.images.insert(IMAGE.to_owned(), ImageState::Present);
    assert_eq!(world.actions(), [PodAction::MakeNetwork]);

    world.seen = seen(&[]);
    assert_eq!(world.actions(), [create("a"), create("b")]);

    world.seen = seen(&[
        ("a", ContainerState::Created),
        ("b", ContainerState::Running),
    ]);
    assert_eq!(world.actions(), [PodAction::Start(name("a"))]);
}

#[test]
fn a_pull_that_failed_is_the_end_and_names_the_container() {
    let mut world = World::new(vec![container("a")], Observation::default());
    let reason = "CannotPullContainerError: manifest unknown".to_owned();
    world
        .images
        .insert(IMAGE.to_owned(), ImageState::Failed(reason.clone()));
    let plan = world.plan();
    assert_eq!(
        plan.failure,
        Some(StartFailure {
            container: Some(name("a")),
            reason
        })
    );
    assert!(plan.actions.is_empty());
}

#[test]
fn what_is_recorded_as_started_is_never_created_again() {
    let mut world = World::new(vec![container("a"), container("b")], seen(&[]));
    world.known.insert(name("a"), Known::Started);
    world.known.insert(name("b"), Known::Ended);
    assert_eq!(world.plan(), PodPlan::default());
    world.seen.network = NetworkObservation::Absent;
    assert_eq!(world.plan(), PodPlan::default());
}

#[test]
fn what_an_earlier_attempt_has_left_is_removed_before_the_next_one_is_made() {
    let mut base = container("base");
    base.essential = false;
    let web = after(container("web"), "base", Condition::Healthy);
    let mut world = World::new(
        vec![base, web],
        seen(&[("base", exited(0, 3_000)), ("web", exited(1, 3_000))]),
    );
    world.known.insert(name("base"), Known::Ended);
    world.attempts = [(name("base"), 0), (name("web"), 2)].into();
    let attempt = |world: &mut World, attempt, state: ContainerState| {
        let web = world.seen.containers.get_mut(&name("web")).unwrap();
        (web.attempt, web.state) = (attempt, state);
    };
    for left in [
        exited(1, 3_000),
        // A call to create it was carried out late.
        ContainerState::Created,
        // Somebody else has started it.
        ContainerState::Running,
    ] {
        attempt(&mut world, 1, left);
        assert_eq!(world.actions(), [PodAction::Retire(name("web"))]);
    }
    world.seen.containers.remove(&name("web"));
    // It waited for what it depends on when the task began, and does not wait again.
    assert_eq!(world.actions(), [create("web")]);
    world.images.insert(IMAGE.to_owned(), ImageState::Absent);
    assert_eq!(world.actions(), [PodAction::Pull(IMAGE.to_owned())]);
    world.seen = seen(&[("base", exited(0, 3_000)), ("web", ContainerState::Created)]);
    attempt(&mut world, 2, ContainerState::Created);
    assert_eq!(world.actions(), [PodAction::Start(name("web"))]);
    attempt(&mut world, 2, ContainerState::Running);
    assert_eq!(world.plan(), PodPlan::default());
}

#[test]
fn who_depends_on_a_container_that_is_started_again_waits_for_that_one() {
    let mut world = World::new(
        vec![
            container("db"),
            after(container("web"), "db", Condition::Complete),
        ],
        seen(&[("db", exited(1, 3_000))]),
    );
    assert_eq!(world.actions(), [create("web")]);
    world.attempts.insert(name("db"), 1);
    let plan = world.plan();
    assert_eq!(plan.actions, [PodAction::Retire(name("db"))]);
    assert_eq!(
        plan.waiting.unwrap(),
        "container web waits for container db to reach COMPLETE"
    );
    // It runs already: it is left alone.
    world.known.insert(name("web"), Known::Started);
    world.seen = seen(&[("web", ContainerState::Running)]);
    assert_eq!(world.actions(), [create("db")]);
}

#[test]
fn what_an_earlier_attempt_has_left_does_not_keep_a_task_from_stopping() {
    let mut world = World::new(vec![container("web")], seen(&[("web", exited(1, 3_000))]));
    world.attempts.insert(name("web"), 1);
    assert_eq!(world.stopping(4_000).plan(), PodPlan::default());
}

#[test]
fn each_condition_holds_back_until_it_is_met() {
    let cases = [
        (Condition::Start, ContainerState::Created, false),
        (Condition::Start, ContainerState::Running, true),
        (Condition::Start, exited(1, 3_000), true),
        (Condition::Complete, ContainerState::Running, false),
        (Condition::Complete, exited(1, 3_000), true),
        (Condition::Success, ContainerState::Running, false),
        (Condition::Success, exited(0, 3_000), true),
        (Condition::Start, ContainerState::Lost, true),
        (Condition::Complete, ContainerState::Lost, true),
        (Condition::Healthy, ContainerState::Running, false),
    ];
    for (condition, state, met) in cases {
        let world = World::new(
            vec![container("db"), after(container("web"), "db", condition)],
            seen(&[("db", state.clone())]),
        );
        let plan = world.plan();
        assert_eq!(
            plan.actions.contains(&create("web")),
            met,
            "{condition:?} with {state:?}"
        );
        assert_eq!(plan.waiting.is_none(), met, "{condition:?} with {state:?}");
    }
}

#[test]
fn a_dependency_that_can_no_longer_be_met_is_a_failure_that_says_why() {
    for (condition, state, why) in [
        (
            Condition::Success,
            exited(3, 3_000),
            "it exited with code 3",
        ),
        (
            Condition::Healthy,
            exited(0, 3_000),
            "it exited with code 0",
        ),
        (
            Condition::Success,
            ContainerState::Lost,
            "it ended, and nobody knows how",
        ),
    ] {
        let world = World::new(
            vec![container("db"), after(container("web"), "db", condition)],
            seen(&[("db", state)]),
        );
        let failure = world.plan().failure.unwrap();
        assert_eq!(failure.container, Some(name("web")));
        assert!(failure.reason.ends_with(why), "{}", failure.reason);
    }
}

#[test]
fn healthy_lets_the_dependent_start_and_start_timeout_gives_up() {
    let mut db = container("db");
    db.start_timeout = Some(DurationMs::from_secs(5));
    let mut world = World::new(
        vec![db, after(container("web"), "db", Condition::Healthy)],
        seen(&[("db", ContainerState::Running)]),
    );
    world.now = at(6_999);
    let plan = world.plan();
    assert_eq!((plan.failure, plan.wake_at), (None, Some(at(7_000))));

    world.now = at(7_000);
    let said = |world: &World| world.plan().failure.unwrap().reason;
    assert!(said(&world).ends_with("its startTimeout has passed"));
    let db = world.seen.containers.get_mut(&name("db")).unwrap();
    db.health_output = Some("refused".to_owned());
    let expected = "its startTimeout has passed; its last health check failed: refused";
    assert!(said(&world).ends_with(expected), "{}", said(&world));

    world.seen.containers.get_mut(&name("db")).unwrap().health = HealthStatus::Healthy;
    assert_eq!(world.actions(), [create("web")]);
}

#[test]
fn what_is_known_to_end_is_not_asked_to_and_is_looked_at_again() {
    let mut seen = seen(&[
        ("web", ContainerState::Running),
        ("side", ContainerState::Running),
    ]);
    seen.containers.get_mut(&name("web")).unwrap().is_ending = true;
    let world = World::new(vec![container("web"), container("side")], seen).stopping(10_000);
    let plan = world.plan();
    assert_eq!(plan.actions, [PodAction::Terminate(name("side"))]);
    assert_eq!(plan.wake_at, Some(at(11_000)), "its event may get lost");
}

#[test]
fn stopping_goes_in_reverse_and_each_timeout_counts_from_its_turn() {
    let containers = || {
        vec![
            container("db"),
            after(container("web"), "db", Condition::Start),
        ]
    };
    let both = seen(&[
        ("db", ContainerState::Running),
        ("web", ContainerState::Running),
    ]);
    let mut world = World::new(containers(), both).stopping(9_000);
    let plan = world.plan();
    assert_eq!(plan.actions, [PodAction::Terminate(name("web"))]);
    assert_eq!(plan.wake_at, Some(at(39_000)));

    world.signalled.insert(name("web"), world.now);
    assert!(world.actions().is_empty(), "it is asked once");

    world.now = at(39_000);
    assert_eq!(world.actions(), [PodAction::Kill(name("web"))]);

    world.seen = seen(&[
        ("db", ContainerState::Running),
        ("web", exited(137, 39_500)),
    ]);
    world.now = at(39_600);
    let plan = world.plan();
    assert_eq!(plan.actions, [PodAction::Terminate(name("db"))]);
    assert_eq!(
        plan.wake_at,
        Some(at(69_500)),
        "30 s from when web ended, not from when the task began to stop"
    );
}

#[test]
fn what_was_only_created_is_removed_so_that_no_late_start_brings_it_to_life() {
    let world = World::new(
        vec![container("a")],
        seen(&[("a", ContainerState::Created)]),
    )
    .stopping(1);
    assert_eq!(world.actions(), [PodAction::Discard(name("a"))]);
}

/// `db` ignores its signal, `web` depends on it; it is killed in time however `web` ended.
#[track_caller]
fn killed_in_time(web: ContainerState, web_ran: bool) {
    let containers = vec![
        container("db"),
        after(container("web"), "db", Condition::Start),
    ];
    let mut world = World::new(
        containers,
        seen(&[("db", ContainerState::Running), ("web", web)]),
    )
    .stopping(9_000);
    if !web_ran {
        world
            .seen
            .containers
            .get_mut(&name("web"))
            .unwrap()
            .started_at = None;
    }
    assert_eq!(world.actions(), [PodAction::Terminate(name("db"))]);
    world.signalled.insert(name("db"), world.now);
    world.now = at(40_000);
    // What could not be started is said to have ended when it was looked at.
    if let ContainerState::Exited { finished_at, .. } =
        &mut world.seen.containers.get_mut(&name("web")).unwrap().state
        && !web_ran
    {
        *finished_at = world.now;
    }
    assert_eq!(world.actions(), [PodAction::Kill(name("db"))]);
}

#[test]
fn a_dependent_that_never_ran_does_not_put_off_the_end() {
    killed_in_time(exited(127, 10_000), false);
}

#[test]
fn an_engine_whose_clock_is_ahead_does_not_put_off_the_end() {
    killed_in_time(exited(0, 3_600_000), true);
}

fn any_state() -> impl Strategy<Value = Option<ContainerState>> {
    prop_oneof![
        Just(None),
        Just(Some(ContainerState::Created)),
        Just(Some(ContainerState::Running)),
        (0..3_i64, 2_000..9_000_i64).prop_map(|(code, end)| Some(exited(code, end))),
    ]
}

/// Up to five containers, each depending on some before it, so that there is no cycle.
fn any_containers() -> impl Strategy<Value = Vec<ContainerDefinition>> {
    let condition = prop_oneof![
        Just(Condition::Start),
        Just(Condition::Complete),
        Just(Condition::Success),
        Just(Condition::Healthy)
    ];
    prop::collection::vec(
        prop::collection::vec((any::<prop::sample::Index>(), condition), 0..3),
        1..6,
    )
    .prop_map(|wishes| {
        let build = |(index, wishes): (usize, Vec<(prop::sample::Index, Condition)>)| {
            wishes
                .into_iter()
                .fold(container(&format!("c{index}")), |made, (on, condition)| {
                    if index == 0 {
                        made
                    } else {
                        after(made, &format!("c{}", on.index(index)), condition)
                    }
                })
        };
        wishes.into_iter().enumerate().map(build).collect()
    })
}

proptest! {
    #[test]
    fn only_sensible_actions_whatever_is_seen(
        containers in any_containers(),
        states in prop::collection::vec(any_state(), 5),
        stopping in any::<bool>(),
    ) {
        let states: Vec<(String, ContainerState)> = containers
            .iter()
            .zip(states)
            .filter_map(|(container, state)| Some((container.name.to_string(), state?)))
            .collect();
        let states: Vec<(&str, ContainerState)> =
            states.iter().map(|(name, state)| (name.as_str(), state.clone())).collect();
        let mut world = World::new(containers, seen(&states));
        if stopping {
            world = world.stopping(1_000);
        }
        for action in world.actions() {
            match action {
                PodAction::Create(name) => {
                    prop_assert!(!stopping);
                    prop_assert!(!world.seen.containers.contains_key(&name), "created twice");
                }
                PodAction::Start(name) => {
                    prop_assert!(!stopping);
                    prop_assert_eq!(&world.seen.containers[&name].state, &ContainerState::Created);
                }
                PodAction::Discard(name) => {
                    prop_assert!(stopping);
                    prop_assert_eq!(&world.seen.containers[&name].state, &ContainerState::Created);
                }
                PodAction::Terminate(name) | PodAction::Kill(name) => {
                    prop_assert!(stopping);
                    prop_assert_eq!(&world.seen.containers[&name].state, &ContainerState::Running);
                    for other in &world.spec.containers {
                        let depends = other.depends_on.iter().any(|on| on.container == name);
                        let runs = world.seen.containers.get(&other.name).map(|one| &one.state)
                            == Some(&ContainerState::Running);
                        prop_assert!(!(depends && runs), "{} still needs {}", other.name, name);
                    }
                }
                PodAction::Retire(_) => prop_assert!(false, "no other attempt is due"),
                PodAction::Pull(_) | PodAction::MakeNetwork => prop_assert!(false, "both are there"),
            }
        }
    }

    #[test]
    fn a_task_always_gets_started_or_fails_with_a_reason(containers in any_containers()) {
        let mut world = World::new(containers, seen(&[]));
        for _ in 0..50 {
            let plan = world.plan();
            if plan.failure.is_some() {
                return Ok(());
            }
            for action in plan.actions {
                let (name, state) = match action {
                    PodAction::Create(name) => (name, ContainerState::Created),
                    PodAction::Start(name) => (name, ContainerState::Running),
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                world.seen.containers.extend(seen(&[(name.as_str(), state)]).containers);
            }
            // Whatever runs gets healthy and then ends well, one after the other.
            let running = world.seen.containers.values_mut().find(|one| one.state == ContainerState::Running);
            if let Some(one) = running {
                if one.health == HealthStatus::Healthy { one.state = exited(0, 5_000) } else { one.health = HealthStatus::Healthy }
            }
        }
        let started = world.spec.containers.iter().all(|one| world.seen.containers.contains_key(&one.name));
        prop_assert!(started || world.plan().failure.is_some());
    }
}
