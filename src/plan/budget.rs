//! What becomes of a budget: which of its thresholds are told of, and whether new tasks are kept from beginning. PURE.
//!
//! A threshold is told of once in each period: what was told is recorded with the event, in one transaction. It must never
//! stop a task: those that have begun go on, whatever they cost.

use crate::domain::{
    Budget, BudgetAction, BudgetState, Counted, DurationMs, NewEvent, TimestampMs,
};

/// The longest time without a look: prices may change.
const LONGEST_WAIT: DurationMs = DurationMs::from_secs(3_600);
/// The shortest: nothing that a budget does is about less.
const SHORTEST_WAIT: DurationMs = DurationMs::from_secs(1);

/// What tasks have come to in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// When the period began.
    pub from: TimestampMs,
    /// When the next one begins.
    pub to: TimestampMs,
    /// What it has come to: billionths.
    pub nano: i64,
}

/// What is decided from.
#[derive(Clone, Copy, Debug)]
pub struct BudgetWorld<'a> {
    /// The budget, as it is recorded.
    pub budget: &'a Budget,
    /// The period that was recorded last, if it is over.
    pub earlier: Option<Spent>,
    /// The period of now.
    pub present: Spent,
    /// How far the tasks that have ended are counted now.
    pub counted: &'a Counted,
    /// What the tasks that go on will cost in the next hour.
    pub hourly_nano: i128,
    /// Now.
    pub now: TimestampMs,
}

/// What is to be recorded, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetPlan {
    /// How it stands.
    pub state: BudgetState,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// When to look again if nothing begins or ends before.
    pub wake_at: TimestampMs,
}

impl BudgetPlan {
    /// Whether there is anything to record. What running tasks come to grows all the time; that alone is not recorded, and
    /// neither is that tasks of others were counted.
    pub fn changes(&self, budget: &Budget) -> bool {
        let essence = |state: &BudgetState| {
            let counted = state.counted.clone();
            let counted = counted.map(|it| (it.from, it.closed_nano, it.prices));
            let told = state.told.clone();
            (state.period_start, counted, told, state.stops_until)
        };
        essence(&self.state) != essence(&budget.state) || !self.events.is_empty()
    }
}

/// Decides.
pub fn plan(world: BudgetWorld<'_>) -> BudgetPlan {
    let BudgetWorld {
        budget,
        present,
        now,
        ..
    } = world;
    let mut events = Vec::new();
    let mut told = budget.state.told.clone();
    if let Some(earlier) = world.earlier {
        // What was reached in its last moments, or while nobody looked.
        tell(budget, earlier, &mut told, &mut events, now);
    }
    if budget.state.period_start != Some(present.from) {
        told.clear();
    }
    tell(budget, present, &mut told, &mut events, now);
    let definition = &budget.definition;
    let stops = definition.action == BudgetAction::StopNewTasks
        && definition.has_come_to(present.nano, 100);
    let stops_until = stops.then_some(present.to);
    BudgetPlan {
        state: BudgetState {
            period_start: Some(present.from),
            counted: Some(world.counted.clone()),
            spent_nano: present.nano,
            told,
            stops_until,
        },
        events,
        wake_at: next_look(&world),
    }
}

/// An event for each threshold that is reached and was not told of.
fn tell(
    budget: &Budget,
    spent: Spent,
    told: &mut Vec<u32>,
    events: &mut Vec<NewEvent>,
    now: TimestampMs,
) {
    let definition = &budget.definition;
    for percent in &definition.thresholds {
        if told.contains(percent) || !definition.has_come_to(spent.nano, *percent) {
            continue;
        }
        told.push(*percent);
        let stops = definition.action == BudgetAction::StopNewTasks && *percent >= 100;
        let then = if stops && now < spent.to {
            format!("; no new tasks until {}", spent.to)
        } else {
            String::new()
        };
        let what = format!(
            "{} has come to {percent} % of {} in {}: {}{then}",
            definition.scope,
            definition.money(definition.limit_nano),
            definition.period.label(spent.from),
            definition.money(spent.nano),
        );
        events.push(budget.event(Some(format!("{percent}%")), &what, now));
    }
}

/// When the next threshold can be reached, if nothing begins or ends before.
fn next_look(world: &BudgetWorld<'_>) -> TimestampMs {
    let (definition, spent) = (&world.budget.definition, world.present.nano);
    // The limit itself matters also where there is no event at it.
    let marks = definition.thresholds.iter().copied().chain([100]);
    let next = marks
        .map(|percent| definition.amount_at(percent))
        .filter(|amount| *amount > spent)
        .min();
    let latest = world.present.to.min(world.now.plus(LONGEST_WAIT));
    let earliest = world.now.plus(SHORTEST_WAIT);
    let (Some(next), 1..) = (next, world.hourly_nano) else {
        return latest.max(earliest);
    };
    let missing = i128::from(next) - i128::from(spent);
    let ms = missing.saturating_mul(3_600_000) / world.hourly_nano;
    let ms = u32::try_from(ms).unwrap_or(u32::MAX);
    let reached = world.now.plus(DurationMs::from_millis(ms));
    reached.min(latest).max(earliest)
}

#[cfg(test)]
mod tests;
