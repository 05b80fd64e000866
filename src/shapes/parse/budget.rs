//! Requests to make and to change budgets.

use std::sync::LazyLock;

use super::run_task::name;
use super::{Formed, finish, form};
use crate::control::PutBudget;
use crate::domain::{
    BudgetAction, BudgetName, BudgetScope, ClusterName, DEFAULT_CLUSTER, Faults, HIGHEST_THRESHOLD,
    MOST_THRESHOLDS, ServiceName,
};
use crate::meter::money::parse_decimal;
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;
use crate::shapes::{PutBudgetRequest, path};

static BUDGET: LazyLock<Schema> = LazyLock::new(Schema::of::<PutBudgetRequest>);

/// Where there are events unless somebody says otherwise.
const THRESHOLDS: [u32; 3] = [50, 80, 100];

/// A budget that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedBudget {
    /// Its name.
    pub name: BudgetName,
    /// What it is to be.
    pub wanted: PutBudget,
}

impl ParsedBudget {
    /// What `document` asks for, or all that is wrong with it. It must not have another name than `named`, if that is
    /// given.
    pub fn parse(document: &Document, named: Option<&BudgetName>) -> Result<Self, Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<PutBudgetRequest>(document, &BUDGET);
        let mut faults = Faults::default();
        let parsed = budget(&request, named, &mut faults);
        finish(parsed, document, form, &faults)
    }
}

impl PutBudgetRequest {
    /// The request as it is written in `document`, or what is wrong with it.
    pub fn read(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<Self>(document, &BUDGET);
        let mut faults = Faults::default();
        let parsed = budget(&request, None, &mut faults);
        finish(parsed.map(|_| request), document, form, &faults)
    }
}

fn budget(
    request: &PutBudgetRequest,
    named: Option<&BudgetName>,
    faults: &mut Faults,
) -> Option<ParsedBudget> {
    let budget_name = match (&request.name, named) {
        (Some(sent), named) => {
            let sent = name::<BudgetName>(sent, "name", faults);
            if let (Some(sent), Some(named)) = (&sent, named)
                && sent != named
            {
                faults.add_with_hint(
                    "name",
                    format!("is `{sent}`, but it is `{named}` that is to be put"),
                    "a budget keeps its name; delete it and make another one",
                );
            }
            sent
        }
        (None, Some(named)) => Some(named.clone()),
        (None, None) => {
            faults.add_with_hint("name", "is missing", "give it one, as name: blue-team");
            None
        }
    };
    let scope = scope(request, faults);
    let limit_nano = limit(&request.limit, faults);
    let action: BudgetAction = request.action.unwrap_or_default().into();
    let thresholds = thresholds(request.thresholds.as_deref(), action, faults);
    Some(ParsedBudget {
        name: budget_name?,
        wanted: PutBudget {
            scope: scope?,
            period: request.period.into(),
            limit_nano: limit_nano?,
            currency: request.currency.clone(),
            price_sheet: request.price_sheet.clone(),
            thresholds: thresholds?,
            action,
        },
    })
}

fn scope(request: &PutBudgetRequest, faults: &mut Faults) -> Option<BudgetScope> {
    let cluster = |faults: &mut Faults| match &request.cluster {
        Some(sent) => name::<ClusterName>(sent, "cluster", faults),
        None => DEFAULT_CLUSTER.parse().ok(),
    };
    match (&request.cluster, &request.service, &request.tag) {
        (_, Some(service), None) => {
            let service = name::<ServiceName>(service, "service", faults);
            Some(BudgetScope::Service {
                cluster: cluster(faults)?,
                name: service?,
            })
        }
        (Some(_), None, None) => Some(BudgetScope::Cluster(cluster(faults)?)),
        (None, None, Some(tag)) => match tag.split_once('=') {
            Some((key, value)) if !key.is_empty() => Some(BudgetScope::Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => {
                faults.add_with_hint(
                    "tag",
                    format!("is {}, which is no tag", path::quote(tag)),
                    "write KEY=VALUE, as tag: team=blue",
                );
                None
            }
        },
        (None, None, None) => {
            faults.add_with_hint(
                "",
                "says nothing of whose cost counts",
                "write cluster: default, or service: web, or tag: team=blue",
            );
            None
        }
        (_, _, Some(_)) => {
            faults.add_with_hint(
                "tag",
                "cannot stand beside a cluster or a service",
                "a tag covers the tasks in every cluster; make a budget for each",
            );
            None
        }
    }
}

fn limit(text: &str, faults: &mut Faults) -> Option<i64> {
    let nano = parse_decimal(text, 9).and_then(|nano| i64::try_from(nano).ok());
    let nano = nano.filter(|nano| *nano > 0);
    if nano.is_none() {
        faults.add_with_hint(
            "limit",
            format!("is {}, which is no amount of money", path::quote(text)),
            "write a number above 0 in quotes, with a point and up to nine decimals: \"25.00\"",
        );
    }
    nano
}

/// In their order, each once. Where new tasks are kept from beginning at the limit, there is an event at it.
fn thresholds(sent: Option<&[u32]>, action: BudgetAction, faults: &mut Faults) -> Option<Vec<u32>> {
    let mut thresholds = sent.unwrap_or(&THRESHOLDS).to_vec();
    for (index, percent) in thresholds.iter().enumerate() {
        if !(1..=HIGHEST_THRESHOLD).contains(percent) {
            faults.add_with_hint(
                format!("thresholds[{index}]"),
                format!("is {percent}, and must be from 1 to {HIGHEST_THRESHOLD}"),
                "write percents of the limit, as thresholds: [50, 80, 100]",
            );
            return None;
        }
    }
    if action == BudgetAction::StopNewTasks {
        thresholds.push(100);
    }
    thresholds.sort_unstable();
    thresholds.dedup();
    if thresholds.len() > MOST_THRESHOLDS {
        faults.add(
            "thresholds",
            format!("are {}, and may be {MOST_THRESHOLDS}", thresholds.len()),
        );
        return None;
    }
    Some(thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BudgetPeriod;
    use crate::shapes::Format;

    fn parse(text: &str) -> Result<ParsedBudget, Vec<String>> {
        let document = Document::read(text.as_bytes(), Format::Yaml).unwrap();
        ParsedBudget::parse(&document, None).map_err(|faults| {
            let told = faults
                .iter()
                .map(|fault| format!("{}: {}", fault.path, fault.message));
            told.collect()
        })
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let parsed = parse("{name: blue, service: web, period: day, limit: '25.5'}").unwrap();
        let expected = PutBudget {
            scope: BudgetScope::Service {
                cluster: "default".parse().unwrap(),
                name: "web".parse().unwrap(),
            },
            period: BudgetPeriod::Day,
            limit_nano: 25_500_000_000,
            currency: None,
            price_sheet: None,
            thresholds: vec![50, 80, 100],
            action: BudgetAction::Notify,
        };
        assert_eq!(parsed.wanted, expected);
        let stops = parse(
            "{name: blue, tag: team==, period: month, limit: '1', thresholds: [90, 10, 90], action: stopNewTasks}",
        )
        .unwrap();
        assert_eq!(stops.wanted.thresholds, [10, 90, 100]);
        let tag = BudgetScope::Tag {
            key: "team".to_owned(),
            value: "=".to_owned(),
        };
        assert_eq!(stops.wanted.scope, tag);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_its_place() {
        for (text, fault) in [
            ("{cluster: a, period: day, limit: '1'}", "name: is missing"),
            (
                "{name: a, period: day, limit: '1'}",
                ": says nothing of whose cost counts",
            ),
            (
                "{name: a, cluster: a, tag: b=c, period: day, limit: '1'}",
                "tag: cannot stand beside a cluster or a service",
            ),
            (
                "{name: a, tag: team, period: day, limit: '1'}",
                "tag: is `team`, which is no tag",
            ),
            (
                "{name: a, tag: a=b, period: day, limit: '0'}",
                "limit: is `0`, which is no amount of money",
            ),
            (
                "{name: a, tag: a=b, period: day, limit: '-1'}",
                "limit: is `-1`, which is no amount of money",
            ),
            (
                "{name: a, tag: a=b, period: day, limit: '1', thresholds: [50, 0]}",
                "thresholds[1]: is 0, and must be from 1 to 1000",
            ),
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults, [fault], "{text}");
        }
        assert!(parse("{name: a, tag: a=b, limit: '1', periode: day}").is_err());
        assert!(parse("{name: a, tag: a=b, limit: '1', period: week}").is_err());
    }
}
