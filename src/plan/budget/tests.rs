//! Scenarios: a budget through its days, look by look.

use super::*;
use crate::domain::{BudgetDefinition, BudgetPeriod, BudgetScope};

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
const USD: i64 = 1_000_000_000;

const fn at(ms: i64) -> TimestampMs {
    TimestampMs::from_millis(ms)
}

/// A budget of 10 USD a day, and what was said of it.
struct Lab {
    budget: Budget,
    said: Vec<String>,
    plan: Option<BudgetPlan>,
}

impl Lab {
    fn new(thresholds: &[u32], action: BudgetAction) -> Self {
        let budget = Budget {
            name: "blue".parse().unwrap(),
            definition: BudgetDefinition {
                scope: BudgetScope::Tag {
                    key: "team".to_owned(),
                    value: "blue".to_owned(),
                },
                period: BudgetPeriod::Day,
                limit_nano: 10 * USD,
                price_sheet: "fargate".to_owned(),
                currency: "USD".to_owned(),
                thresholds: thresholds.to_vec(),
                action,
            },
            state: BudgetState::default(),
            created_at: at(0),
            updated_at: at(0),
            version: 1,
        };
        Self {
            budget,
            said: Vec::new(),
            plan: None,
        }
    }

    /// A look at `now`, when so much is spent today, and what was spent in all on the day that was recorded last.
    fn look(&mut self, now: i64, spent: i64, earlier: i64) -> &BudgetPlan {
        let period = self.budget.definition.period;
        let spent_in = |of: TimestampMs, nano| {
            let (from, to) = period.around(of);
            Spent { from, to, nano }
        };
        let present = spent_in(at(now), spent);
        let recorded = self.budget.state.period_start;
        let over = recorded.filter(|start| *start < present.from);
        let counted = Counted {
            from: present.from,
            closed_nano: spent,
            until_seq: 1,
            prices: String::new(),
        };
        let world = BudgetWorld {
            budget: &self.budget,
            earlier: over.map(|start| spent_in(start, earlier)),
            present,
            counted: &counted,
            hourly_nano: i128::from(USD),
            now: at(now),
        };
        let plan = plan(world);
        assert_eq!(plan, super::plan(world), "the same world, the same plan");
        self.said
            .extend(plan.events.iter().map(|event| event.message.clone()));
        self.budget.state = plan.state.clone();
        self.plan.insert(plan)
    }

    fn statuses(&mut self) -> Vec<String> {
        let events = self.plan.take().unwrap().events;
        events
            .into_iter()
            .filter_map(|event| event.status)
            .collect()
    }
}

#[test]
fn each_threshold_is_told_of_once_in_a_day_and_again_in_the_next() {
    let mut lab = Lab::new(&[50, 80, 100], BudgetAction::Notify);
    for (now, spent, told) in [
        (HOUR, 4_999_999_999, &[][..]),
        (2 * HOUR, 5 * USD, &["50%"]),
        (3 * HOUR, 6 * USD, &[]),
        // Two at once, as when somebody looks again after a while.
        (4 * HOUR, 12 * USD, &["80%", "100%"]),
        // Less than before, as when a price sheet was corrected: nothing is told again.
        (5 * HOUR, 4 * USD, &[]),
        (6 * HOUR, 11 * USD, &[]),
        (DAY, 0, &[]),
        (DAY + HOUR, 9 * USD, &["50%", "80%"]),
    ] {
        lab.look(now, spent, spent.max(11 * USD));
        assert_eq!(lab.statuses(), told, "{now}");
    }
    assert_eq!(
        lab.said[0],
        "(budget blue) tag team=blue has come to 50 % of 10.00 USD in 1970-01-01: 5.00 USD"
    );
}

#[test]
fn what_was_reached_at_the_end_of_a_day_is_told_in_the_next_one_with_its_own_date() {
    let mut lab = Lab::new(&[50, 100], BudgetAction::StopNewTasks);
    lab.look(23 * HOUR, 6 * USD, 0);
    // Nobody looked for a day and a half.
    let plan = lab.look(2 * DAY + HOUR, 6 * USD, 10 * USD);
    assert_eq!(plan.state.stops_until, None, "today there is money");
    assert_eq!(
        &lab.said[1..],
        [
            "(budget blue) tag team=blue has come to 100 % of 10.00 USD in 1970-01-01: 10.00 USD",
            "(budget blue) tag team=blue has come to 50 % of 10.00 USD in 1970-01-03: 6.00 USD",
        ]
    );
}

#[test]
fn no_new_tasks_while_it_is_spent_only_if_that_was_asked_for() {
    for (action, stops) in [
        (BudgetAction::Notify, None),
        (BudgetAction::StopNewTasks, Some(at(DAY))),
    ] {
        let mut lab = Lab::new(&[50], action);
        assert_eq!(lab.look(HOUR, 10 * USD - 1, 0).state.stops_until, None);
        // Also where there is no event at 100 %.
        let plan = lab.look(2 * HOUR, 10 * USD, 0);
        assert_eq!(plan.state.stops_until, stops);
        assert_eq!(lab.look(3 * HOUR, 11 * USD, 0).state.stops_until, stops);
        assert_eq!(lab.look(DAY, USD, 11 * USD).state.stops_until, None);
    }
}

#[test]
fn a_higher_limit_lets_tasks_begin_again_and_a_lower_one_stops_them() {
    let mut lab = Lab::new(&[100], BudgetAction::StopNewTasks);
    lab.look(HOUR, 10 * USD, 0);
    let with_limit = |lab: &Lab, limit: i64| BudgetDefinition {
        limit_nano: limit * USD,
        ..lab.budget.definition.clone()
    };
    let raised = with_limit(&lab, 20);
    lab.budget.redefine(raised, at(HOUR));
    let plan = lab.look(HOUR, 10 * USD, 0);
    assert_eq!((plan.state.stops_until, plan.events.len()), (None, 0));
    let lowered = with_limit(&lab, 5);
    lab.budget.redefine(lowered, at(HOUR));
    let plan = lab.look(HOUR, 10 * USD, 0);
    assert_eq!(plan.state.stops_until, Some(at(DAY)));
    assert_eq!(lab.statuses(), ["100%"], "of the new limit");
}

#[test]
fn the_next_look_is_when_something_can_happen() {
    let mut lab = Lab::new(&[50, 80], BudgetAction::Notify);
    for (now, spent, wake) in [
        // At 1 USD an hour: an hour at most, half an hour to 5 USD.
        (HOUR, 0, 2 * HOUR),
        (HOUR, 4_500_000_000, HOUR + HOUR / 2),
        // The limit itself, where there is no threshold.
        (HOUR, 9_900_000_000, HOUR + HOUR / 10),
        // Nothing is left to be reached but the end of the day; never at once.
        (HOUR, 11 * USD, 2 * HOUR),
        (DAY - 60_000, 11 * USD, DAY),
        (HOUR, 4_999_999_999, HOUR + 1_000),
    ] {
        assert_eq!(lab.look(now, spent, 0).wake_at, at(wake), "{now} {spent}");
    }
}

#[test]
fn growth_alone_is_not_recorded() {
    let mut lab = Lab::new(&[50], BudgetAction::Notify);
    let before = lab.budget.clone();
    assert!(lab.look(HOUR, USD, 0).changes(&before));
    let recorded = lab.budget.clone();
    let mut plan = lab.look(2 * HOUR, USD, 0).clone();
    plan.state.spent_nano += 1;
    plan.state.counted.as_mut().unwrap().until_seq += 1;
    assert!(!plan.changes(&recorded));
    plan.state.told.push(50);
    assert!(plan.changes(&recorded));
}
