//! Costs and usage over time, as pictures.

use crate::api::ApiError;
use crate::console::chart::Stack;
use crate::console::format::Svg;
use crate::console::period::{Range, money};
use crate::console::used::Used;
use crate::console::visit::Visit;
use crate::control::BillQuery;
use crate::domain::TimestampMs;
use crate::meter::bill::{Bill, GroupBy, Subject, Sums};
use crate::shapes;

/// Up to so many tasks that go on, a page works out a bill for each column of its picture: those are read for each of them.
const MOST_RUNNING: u64 = 300;

/// The bill of `wanted` by day, or by hour where the range is short.
pub(super) async fn over_time(
    visit: &Visit,
    wanted: &BillQuery,
    range: Range,
) -> Result<Bill, ApiError> {
    let by_step = BillQuery {
        group_by: match range {
            Range::Hour | Range::Day => GroupBy::Hour,
            Range::Week | Range::Month => GroupBy::Day,
        },
        compare: None,
        ..wanted.clone()
    };
    Ok(visit.control().bill(by_step).await?)
}

/// The cost over time, cut as the bill is, and what to know about it.
pub(super) async fn stack(
    visit: &Visit,
    wanted: &BillQuery,
    bill: &shapes::Bill,
    over_time: &Bill,
    range: Range,
) -> Result<(Svg, Option<&'static str>), ApiError> {
    let steps = range.steps(visit.now);
    let labels: Vec<String> = steps
        .iter()
        .map(|(from, _)| range.label_of(*from))
        .collect();
    let currency = &bill.price_sheet.currency;
    let say = |nano: u64| money(i64::try_from(nano).unwrap_or(i64::MAX), currency);
    let title = format!("Cost by {} in {currency}", range.step_word());
    let by_time = wanted.group_by.step().is_some();
    let is_large = bill.total.running > MOST_RUNNING;
    if by_time || is_large || bill.total.tasks == 0 {
        let mut all = vec![0; steps.len()];
        for (place, sums) in placed(over_time, &steps) {
            all[place] = cost(sums);
        }
        let series = if bill.total.tasks == 0 {
            Vec::new()
        } else {
            vec![("all of it".to_owned(), all)]
        };
        let stack = Stack {
            title,
            labels,
            series,
        };
        let note = (is_large && !by_time)
            .then_some("So many tasks go on that the picture shows all of them together.");
        return Ok((stack.draw(&say), note));
    }
    let mut series: Vec<(String, Vec<u64>)> = Vec::new();
    for (place, (from, to)) in steps.iter().enumerate() {
        let of_step = BillQuery {
            from: Some(*from),
            to: Some(*to),
            compare: None,
            ..wanted.clone()
        };
        for line in visit.control().bill(of_step).await?.lines {
            let name = name(&line.subject);
            let at = series
                .iter()
                .position(|(known, _)| *known == name)
                .unwrap_or_else(|| {
                    series.push((name, vec![0; steps.len()]));
                    series.len() - 1
                });
            series[at].1[place] = cost(&line.sums);
        }
    }
    let stack = Stack {
        title,
        labels,
        series,
    };
    Ok((stack.draw(&say), None))
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Task(task) => task.id.to_string(),
        Subject::Family(family) => family.clone(),
        Subject::Service(Some((cluster, service))) => format!("{service} ({cluster})"),
        Subject::Service(None) => "(no service)".to_owned(),
        Subject::Cluster(cluster) => cluster.to_string(),
        Subject::Tag(Some(value)) => value.clone(),
        Subject::Tag(None) => "(without the tag)".to_owned(),
        Subject::Time(at) => at.to_string(),
    }
}

fn cost(sums: &Sums) -> u64 {
    u64::try_from(sums.accrued.cost.total().0).unwrap_or_default()
}

/// The sums of each step of time, with its place among `steps`.
fn placed<'a>(
    bill: &'a Bill,
    steps: &'a [(TimestampMs, TimestampMs)],
) -> impl Iterator<Item = (usize, &'a Sums)> {
    bill.lines.iter().filter_map(|line| match line.subject {
        Subject::Time(at) => {
            let place = steps
                .iter()
                .position(|(from, to)| *from <= at && at < *to)?;
            Some((place, &line.sums))
        }
        _ => None,
    })
}

/// What was reserved and used in each step of `range`.
pub(super) fn used(over_time: &Bill, range: Range) -> Used {
    let steps = range.steps(over_time.as_of);
    let mut used = Used::new(range, &steps);
    for (place, sums) in placed(over_time, &steps) {
        used.add(place, sums);
    }
    used
}
