//! Budgets: what tasks may cost in a day or a month, and what follows when they do.
//!
//! A budget covers the tasks of a cluster, of a service, or with a tag. How much they have cost is worked out elsewhere, from
//! the ledger; here is what that means for whoever wants a new task.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BudgetName, ClusterName, EventKind, NewEvent, ServiceName, TimestampMs};

const DAY_MS: i64 = 86_400_000;

/// The most budgets that there may be: each is looked at whenever something begins or ends.
pub const MOST_BUDGETS: usize = 100;
/// The most thresholds of a budget.
pub const MOST_THRESHOLDS: usize = 10;
/// The highest threshold, in percent.
pub const HIGHEST_THRESHOLD: u32 = 1_000;

/// Whose cost counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BudgetScope {
    /// That of all tasks in a cluster.
    Cluster(ClusterName),
    /// That of a service's tasks.
    Service {
        /// Where it runs them.
        cluster: ClusterName,
        /// Its name.
        name: ServiceName,
    },
    /// That of the tasks that were run with this tag, wherever.
    Tag {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
}

impl BudgetScope {
    /// Whether it covers tasks in `cluster`, of `service` if they belong to one, with `tags`.
    pub fn covers(
        &self,
        cluster: &ClusterName,
        service: Option<&ServiceName>,
        tags: &BTreeMap<String, String>,
    ) -> bool {
        match self {
            Self::Cluster(name) => name == cluster,
            Self::Service {
                cluster: its_cluster,
                name,
            } => its_cluster == cluster && Some(name) == service,
            Self::Tag { key, value } => tags.get(key) == Some(value),
        }
    }

    /// The cluster that it lies in, if it lies in one.
    pub const fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Cluster(cluster) | Self::Service { cluster, .. } => Some(cluster),
            Self::Tag { .. } => None,
        }
    }
}

/// `cluster default`, `service default/web`, `tag team=blue`.
impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(f, "cluster {name}"),
            Self::Service { cluster, name } => write!(f, "service {cluster}/{name}"),
            Self::Tag { key, value } => write!(f, "tag {key}={value}"),
        }
    }
}

/// How long a limit holds before it begins anew. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// From midnight of the first to midnight of the next first.
    Month,
}

impl BudgetPeriod {
    /// The one that `at` lies in: its first moment, and the first one after it.
    pub fn around(self, at: TimestampMs) -> (TimestampMs, TimestampMs) {
        let start_of_day = at.as_millis().div_euclid(DAY_MS) * DAY_MS;
        let day = (
            TimestampMs::from_millis(start_of_day),
            TimestampMs::from_millis(start_of_day + DAY_MS),
        );
        match self {
            Self::Day => day,
            Self::Month => month_around(at).unwrap_or(day),
        }
    }

    /// `2026-11-22` or `2026-11`, for the one that begins at `start`.
    pub fn label(self, start: TimestampMs) -> String {
        let length = match self {
            Self::Day => 10,
            Self::Month => 7,
        };
        start.to_string().chars().take(length).collect()
    }
}

fn month_around(at: TimestampMs) -> Option<(TimestampMs, TimestampMs)> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    let first = at.to_zoned(jiff::tz::TimeZone::UTC).first_of_month().ok()?;
    let start = first.start_of_day().ok()?;
    let end = start.checked_add(jiff::Span::new().months(1)).ok()?;
    let ms = |at: &jiff::Zoned| TimestampMs::from_millis(at.timestamp().as_millisecond());
    Some((ms(&start), ms(&end)))
}

/// What follows when all of a limit is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BudgetAction {
    /// Events, nothing else.
    #[default]
    Notify,
    /// No task that the budget covers begins before the next period. Those that have begun go on.
    StopNewTasks,
}

/// What its user says of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetDefinition {
    /// Whose cost counts.
    pub scope: BudgetScope,
    /// In which time.
    pub period: BudgetPeriod,
    /// How much, in billionths of the currency's unit; more than nothing.
    pub limit_nano: i64,
    /// The price sheet that costs are worked out with.
    pub price_sheet: String,
    /// The currency of that one.
    pub currency: String,
    /// Percents of the limit at which there is an event, the lowest first, each once.
    pub thresholds: Vec<u32>,
    /// What follows when all of it is spent.
    pub action: BudgetAction,
}

impl BudgetDefinition {
    /// Whether `spent_nano` is `percent` of the limit, or more.
    pub fn has_come_to(&self, spent_nano: i64, percent: u32) -> bool {
        spent_nano >= self.amount_at(percent)
    }

    /// What `percent` of the limit are, rounded up.
    pub fn amount_at(&self, percent: u32) -> i64 {
        let exact = i128::from(self.limit_nano) * i128::from(percent);
        i64::try_from((exact + 99) / 100).unwrap_or(i64::MAX)
    }

    /// `12.50 USD`.
    pub fn money(&self, nano: i64) -> String {
        format!("{} {}", amount(nano), self.currency)
    }
}

/// Billionths as a number with two decimals at least, and as many as it takes.
fn amount(nano: i64) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    let nano = nano.unsigned_abs();
    let decimals = format!("{:09}", nano % 1_000_000_000);
    let (cents, rest) = decimals.split_at(2);
    let rest = rest.trim_end_matches('0');
    format!("{sign}{}.{cents}{rest}", nano / 1_000_000_000)
}

/// What tasks that have ended have cost in a period, and how far they were counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// When the period began that it is of.
    pub from: TimestampMs,
    /// Billionths.
    pub closed_nano: i64,
    /// The last change of the ledger that is in it.
    pub until_seq: i64,
    /// What tells the prices that it was worked out with from others.
    pub prices: String,
}

/// How a budget stands, as it was recorded last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetState {
    /// When the period began that all of this is about; `None` before anybody has looked.
    pub period_start: Option<TimestampMs>,
    /// What tasks that have ended come to; `None` if that is to be counted anew.
    pub counted: Option<Counted>,
    /// What all tasks had cost when that was recorded, those that go on among them.
    pub spent_nano: i64,
    /// The thresholds that there were events of.
    pub told: Vec<u32>,
    /// No new tasks before that.
    pub stops_until: Option<TimestampMs>,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unique.
    pub name: BudgetName,
    /// What its user says of it.
    pub definition: BudgetDefinition,
    /// How it stands.
    pub state: BudgetState,
    /// When it was made.
    pub created_at: TimestampMs,
    /// When its user last changed it.
    pub updated_at: TimestampMs,
    /// Counts up with every change.
    pub version: u64,
}

impl Budget {
    /// Makes it say what `definition` says. What is no other sum goes on; thresholds that are not reached any more can be
    /// reached again.
    pub fn redefine(&mut self, definition: BudgetDefinition, now: TimestampMs) {
        let what = |of: &BudgetDefinition| (of.scope.clone(), of.period, of.price_sheet.clone());
        if what(&definition) == what(&self.definition) {
            let spent = self.state.spent_nano;
            let is_reached = |percent: &u32| definition.has_come_to(spent, *percent);
            self.state.told.retain(is_reached);
        } else {
            self.state = BudgetState::default();
        }
        self.definition = definition;
        self.updated_at = now;
    }

    /// Why tasks that it covers must not begin at `now`, if so.
    pub fn holds(&self, now: TimestampMs) -> Option<Hold> {
        let until = self.state.stops_until.filter(|until| *until > now)?;
        let BudgetDefinition {
            scope,
            period,
            limit_nano,
            ..
        } = &self.definition;
        let start = self.state.period_start.unwrap_or(now);
        Some(Hold {
            until,
            reason: format!(
                "budget \"{}\" of {scope} is spent: {} in {}; no new tasks until {until}, unless it gets a \
                 higher limit (neargate budget put)",
                self.name,
                self.definition.money(*limit_nano),
                period.label(start),
            ),
        })
    }

    /// Something that happened to it.
    pub fn event(&self, status: Option<String>, what: &str, at: TimestampMs) -> NewEvent {
        NewEvent {
            at,
            kind: EventKind::BudgetEvent,
            cluster: self.definition.scope.cluster().map(ToString::to_string),
            subject: self.name.to_string(),
            status,
            message: format!("(budget {}) {what}", self.name),
        }
    }
}

/// A budget that is spent keeps tasks from beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Until when, if nobody changes the budget.
    pub until: TimestampMs,
    /// Which one, and of when it is.
    pub reason: String,
}

impl Hold {
    /// What can be done about one.
    pub const HINT: &str =
        "wait for the next period, or give it a higher limit: neargate budget put -f FILE";

    /// What keeps tasks in `cluster`, of `service` if they belong to one, with `tags` from beginning at `now`: of several
    /// budgets, the one that does so the longest.
    pub fn of(
        budgets: &[Budget],
        now: TimestampMs,
        cluster: &ClusterName,
        service: Option<&ServiceName>,
        tags: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let covering = budgets
            .iter()
            .filter(|budget| budget.definition.scope.covers(cluster, service, tags));
        covering
            .filter_map(|budget| budget.holds(now))
            .max_by_key(|hold| hold.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> TimestampMs {
        let at: jiff::Timestamp = text.parse().unwrap();
        TimestampMs::from_millis(at.as_millisecond())
    }

    fn budget(scope: BudgetScope) -> Budget {
        Budget {
            name: "blue".parse().unwrap(),
            definition: BudgetDefinition {
                scope,
                period: BudgetPeriod::Month,
                limit_nano: 10_000_000_000,
                price_sheet: "fargate".to_owned(),
                currency: "USD".to_owned(),
                thresholds: vec![50, 80, 100],
                action: BudgetAction::StopNewTasks,
            },
            state: BudgetState {
                period_start: Some(at("2026-11-01T00:00:00Z")),
                spent_nano: 9_000_000_000,
                told: vec![50, 80],
                ..BudgetState::default()
            },
            created_at: at("2026-11-01T00:00:00Z"),
            updated_at: at("2026-11-01T00:00:00Z"),
            version: 1,
        }
    }

    #[test]
    fn days_and_months_are_those_of_utc() {
        for (period, now, start, end, label) in [
            (
                BudgetPeriod::Day,
                "2026-11-22T23:59:59.999Z",
                "2026-11-22T00:00:00Z",
                "2026-11-23T00:00:00Z",
                "2026-11-22",
            ),
            (
                BudgetPeriod::Month,
                "2026-12-31T23:59:59.999Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
                "2026-12",
            ),
            (
                BudgetPeriod::Month,
                "2024-02-01T00:00:00Z",
                "2024-02-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
                "2024-02",
            ),
        ] {
            assert_eq!(period.around(at(now)), (at(start), at(end)), "{now}");
            assert_eq!(period.label(at(start)), label);
        }
    }

    #[test]
    fn a_scope_covers_its_own_tasks_alone() {
        let tags = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        let (default, other) = ("default".parse().unwrap(), "other".parse().unwrap());
        let web: ServiceName = "web".parse().unwrap();
        let of_service = BudgetScope::Service {
            cluster: "default".parse().unwrap(),
            name: web.clone(),
        };
        let tag = |value: &str| BudgetScope::Tag {
            key: "team".to_owned(),
            value: value.to_owned(),
        };
        let cluster = BudgetScope::Cluster("default".parse().unwrap());
        assert!(cluster.covers(&default, None, &BTreeMap::new()));
        assert!(!cluster.covers(&other, None, &tags));
        assert!(of_service.covers(&default, Some(&web), &BTreeMap::new()));
        assert!(!of_service.covers(&default, None, &tags));
        assert!(!of_service.covers(&other, Some(&web), &tags));
        assert!(tag("blue").covers(&other, None, &tags));
        assert!(!tag("red").covers(&other, None, &tags));
    }

    #[test]
    fn money_has_two_decimals_and_as_many_as_it_takes() {
        for (nano, text) in [
            (12_500_000_000, "12.50 USD"),
            (1, "0.000000001 USD"),
            (0, "0.00 USD"),
            (-1_250_000_000, "-1.25 USD"),
        ] {
            let budget = budget(BudgetScope::Cluster("default".parse().unwrap()));
            assert_eq!(budget.definition.money(nano), text);
        }
    }

    #[test]
    fn a_budget_that_is_spent_says_so_by_name_and_period_until_the_next_one() {
        let mut budget = budget(BudgetScope::Cluster("default".parse().unwrap()));
        let now = at("2026-11-22T10:00:00Z");
        let none = BTreeMap::new();
        let default = "default".parse().unwrap();
        assert_eq!(budget.holds(now), None);
        budget.state.stops_until = Some(at("2026-12-01T00:00:00Z"));
        let hold = Hold::of(std::slice::from_ref(&budget), now, &default, None, &none).unwrap();
        assert_eq!(
            hold.reason,
            "budget \"blue\" of cluster default is spent: 10.00 USD in 2026-11; no new tasks until 2026-12-01T00:00:00.000Z, \
             unless it gets a higher limit (neargate budget put)"
        );
        assert_eq!(budget.holds(hold.until), None);
        let other = "other".parse().unwrap();
        assert_eq!(Hold::of(&[budget], now, &other, None, &none), None);
    }

    #[test]
    fn another_limit_goes_on_with_the_sum_and_another_scope_begins_anew() {
        let now = at("2026-11-22T10:00:00Z");
        let mut raised = budget(BudgetScope::Cluster("default".parse().unwrap()));
        let twelve = BudgetDefinition {
            limit_nano: 12_000_000_000,
            ..raised.definition.clone()
        };
        raised.redefine(twelve, now);
        // 9 of 12 are 75 %: 80 % can be reached again.
        assert_eq!(
            (raised.state.told, raised.state.spent_nano),
            (vec![50], 9_000_000_000)
        );
        let mut moved = budget(BudgetScope::Cluster("default".parse().unwrap()));
        let elsewhere = BudgetDefinition {
            scope: BudgetScope::Cluster("other".parse().unwrap()),
            ..moved.definition.clone()
        };
        moved.redefine(elsewhere, now);
        assert_eq!(moved.state, BudgetState::default());
    }
}
