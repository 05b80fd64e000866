//! What it costs: the bill, grouped and over time; what was reserved beside what was used; the comparison with Fargate; and
//! which sizes would have done.
//!
//! A page is made of the same bills as those of `GET /v1/bill`, and links to them for all that it leaves out.

mod pictures;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::ask::{Asked, chosen, names};
use super::format::{Svg, query};
use super::frame::{Frame, Nav};
use super::period::{Range, money};
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::control::{BillQuery, ControlError};
use crate::domain::display;
use crate::meter::bill::GroupBy;
use crate::shapes::{Advice, AdvisedSize, Bill, BillLine, Rightsizing};
use crate::store::UsageFilter;

/// How many lines of a bill a page shows.
const LISTED: usize = 100;
/// What a bill is compared with, unless it is priced by that.
const COMPARED: &str = "fargate";
/// How much more than what was used an advised size has, in percent.
const MARGIN_PERCENT: u32 = 25;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/cost", get(cost))
        .route("/cost/rightsizing", get(rightsizing))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CostQuery {
    by: Option<String>,
    /// The tag's key, where it is by tag.
    tag: Option<String>,
    range: Option<String>,
    cluster: Option<String>,
    family: Option<String>,
}

/// What is asked for, as the form shows it.
#[derive(Clone)]
struct Choices {
    by: &'static str,
    tag: String,
    range: Range,
    cluster: String,
    family: String,
}

/// What a bill can be grouped by on the page.
const GROUPS: [(&str, &str); 5] = [
    ("service", "service"),
    ("family", "family"),
    ("cluster", "cluster"),
    ("tag", "tag"),
    ("time", "day or hour"),
];

impl Choices {
    fn groups(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let by = self.by;
        GROUPS
            .iter()
            .map(move |(word, label)| (*word, *label, *word == by))
    }

    fn ranges(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let range = self.range;
        Range::OF_COSTS
            .iter()
            .map(move |one| (one.word(), one.label(), *one == range))
    }

    /// What the figures are kept by.
    fn key(&self) -> String {
        query(&[
            ("by", self.by),
            ("tag", &self.tag),
            ("range", self.range.word()),
            ("cluster", &self.cluster),
            ("family", &self.family),
        ])
    }

    /// The bill that has them.
    fn wanted(&self, group_by: GroupBy, visit: &Visit) -> Result<BillQuery, ApiError> {
        let (from, to) = self.range.period(visit.now);
        Ok(BillQuery {
            filter: UsageFilter {
                cluster: names("cluster", Some(&self.cluster))?,
                family: names("family", Some(&self.family))?,
            },
            from: Some(from),
            to: Some(to),
            group_by,
            price_sheet: None,
            compare: None,
        })
    }

    fn group_by(&self) -> Result<GroupBy, ApiError> {
        let text = match self.by {
            "tag" => format!("tag:{}", self.tag),
            "time" => self.range.step_word().to_owned(),
            other => other.to_owned(),
        };
        GroupBy::parse(&text).ok_or_else(|| {
            ApiError::new(
                Kind::InvalidRequest,
                "by tag: the key of the tag is missing or too long",
            )
            .hint("write the key beside it, such as team")
        })
    }
}

/// A line of the bill.
struct Line {
    name: String,
    path: Option<String>,
    tasks: String,
    reserved: String,
    used: String,
    share: String,
    cost: String,
    exact: String,
    compared: Option<String>,
}

#[derive(Template)]
#[template(path = "cost.html")]
struct CostPage {
    frame: Frame,
    choices: Choices,
    /// As soon as they are known.
    figures: Option<Arc<Figures>>,
}

/// What the page shows.
pub(super) struct Figures {
    from: String,
    to: String,
    sheet: String,
    has_prices: bool,
    compared_with: Option<String>,
    total: Line,
    comparison: Option<String>,
    is_empty: bool,
    lines: Vec<Line>,
    /// How many lines are not shown.
    more: usize,
    stack: Svg,
    stack_note: Option<&'static str>,
    cpu: Svg,
    memory: Svg,
    notes: Vec<String>,
    csv: String,
    focus: String,
    json: String,
    rightsizing: String,
}

async fn cost(visit: Visit, Asked(asked): Asked<CostQuery>) -> Result<Response, ApiError> {
    let by = chosen("by", asked.by.as_deref(), |word| {
        GROUPS
            .iter()
            .map(|(known, _)| *known)
            .find(|known| *known == word)
    })?;
    let range = chosen("range", asked.range.as_deref(), |word| {
        Range::parse(word, Range::OF_COSTS)
    })?
    .unwrap_or_default();
    let choices = Choices {
        by: by.unwrap_or("service"),
        tag: asked.tag.unwrap_or_default().trim().to_owned(),
        range,
        cluster: asked.cluster.unwrap_or_default(),
        family: asked.family.unwrap_or_default(),
    };
    let wanted = choices.wanted(choices.group_by()?, &visit)?;
    let wanted = BillQuery {
        compare: Some(COMPARED.to_owned()),
        ..wanted
    };
    let make = || make(visit.clone(), choices.clone(), wanted);
    let key = choices.key();
    let page = CostPage {
        figures: visit.console.bills.get(&key, visit.now, make).await?,
        frame: visit.frame(Nav::Cost, "Cost"),
        choices,
    };
    visit.show(&page)
}

async fn make(visit: Visit, choices: Choices, wanted: BillQuery) -> Result<Arc<Figures>, ApiError> {
    let (range, group_by) = (choices.range, wanted.group_by.clone());
    let bill = bill(&visit, wanted).await?;
    let over_time = pictures::over_time(&visit, &bill.wanted, range).await?;
    let (stack, stack_note) =
        pictures::stack(&visit, &bill.wanted, &bill.shown, &over_time, range).await?;
    let stack = (stack, stack_note);
    let figures = figures(&choices, &group_by, bill, &over_time, stack);
    Ok(Arc::new(figures))
}

/// A bill, and what was asked for.
struct Made {
    wanted: BillQuery,
    shown: Bill,
}

/// The bill; without the comparison, where the sheets are in different currencies or it would be with itself.
async fn bill(visit: &Visit, mut wanted: BillQuery) -> Result<Made, ApiError> {
    let control = visit.control();
    let made = match control.bill(wanted.clone()).await {
        Err(ControlError::Invalid(_)) if wanted.compare.is_some() => {
            wanted.compare = None;
            control.bill(wanted.clone()).await?
        }
        made => made?,
    };
    let mut shown = Bill::new(&made, control.instance_id());
    if shown.price_sheet.name == COMPARED {
        wanted.compare = None;
        shown.compared_with = None;
    }
    Ok(Made { wanted, shown })
}

fn figures(
    choices: &Choices,
    group_by: &GroupBy,
    made: Made,
    over_time: &crate::meter::bill::Bill,
    (stack, stack_note): (Svg, Option<&'static str>),
) -> Figures {
    let bill = made.shown;
    let currency = bill.price_sheet.currency.clone();
    let is_compared = bill.compared_with.is_some();
    let line = |one: &BillLine| line(one, group_by, &currency, is_compared);
    let export = |format: &str| {
        let pairs = [
            ("from", bill.from.as_str()),
            ("to", bill.to.as_str()),
            ("groupBy", bill.group_by.as_str()),
            ("cluster", choices.cluster.as_str()),
            ("family", choices.family.as_str()),
            ("compare", if is_compared { COMPARED } else { "" }),
            ("format", format),
        ];
        format!("/v1/bill?{}", query(&pairs))
    };
    let advice = [
        ("range", choices.range.word()),
        ("cluster", choices.cluster.as_str()),
        ("family", choices.family.as_str()),
    ];
    let used = pictures::used(over_time, choices.range);
    Figures {
        csv: export("csv"),
        focus: export("focus"),
        json: export(""),
        rightsizing: format!("/cost/rightsizing?{}", query(&advice)),
        total: line(&bill.total),
        comparison: comparison(&bill),
        is_empty: bill.total.tasks == 0,
        lines: bill.items.iter().take(LISTED).map(line).collect(),
        more: bill.items.len().saturating_sub(LISTED),
        stack,
        stack_note,
        cpu: used.cpu(),
        memory: used.memory(),
        from: bill.from,
        to: bill.to,
        has_prices: over_time.sheet.has_prices(),
        sheet: bill.price_sheet.name,
        compared_with: bill.compared_with.map(|sheet| sheet.name),
        notes: bill.notes,
    }
}

fn line(one: &BillLine, group_by: &GroupBy, currency: &str, is_compared: bool) -> Line {
    let name = match (&one.name, group_by) {
        (Some(name), GroupBy::Day) => name.chars().take(10).collect(),
        (Some(name), GroupBy::Hour) => name.chars().take(16).collect::<String>().replace('T', " "),
        (Some(name), _) => name.clone(),
        (None, GroupBy::Service) => "(no service)".to_owned(),
        (None, _) => "(without the tag)".to_owned(),
    };
    let path = match (&one.name, &one.cluster, group_by) {
        (Some(name), Some(cluster), GroupBy::Service) => {
            Some(format!("/services/{cluster}/{name}"))
        }
        (Some(name), _, GroupBy::Family) => Some(format!("/task-definitions/{name}")),
        _ => None,
    };
    let used = match &one.used {
        Some(used) => format!("{} vCPU-s, {} GB-s", used.vcpu_seconds, used.gb_seconds),
        None => "nobody could see".to_owned(),
    };
    Line {
        name,
        path,
        tasks: match one.running {
            0 => one.tasks.to_string(),
            running => format!("{} ({running} running)", one.tasks),
        },
        reserved: format!("{} vCPU-s, {} GB-s", one.vcpu_seconds, one.gb_seconds),
        used,
        share: format!("{} %", one.share),
        cost: money(one.cost_nano, currency),
        exact: format!("{} {currency}", one.cost),
        compared: one
            .compared_cost_nano
            .filter(|_| is_compared)
            .map(|nano| money(nano, currency)),
    }
}

/// How the total compares, in a sentence.
fn comparison(bill: &Bill) -> Option<String> {
    let other = bill.compared_with.as_ref()?;
    let (own, compared) = (bill.total.cost_nano, bill.total.compared_cost_nano?);
    let currency = &bill.price_sheet.currency;
    let by = format!(
        "By the price sheet {} the same would have cost {}",
        other.name,
        money(compared, currency)
    );
    Some(match compared.checked_sub(own)? {
        0 => format!("{by}: as much."),
        saved if saved > 0 => format!("{by}: {} more.", money(saved, currency)),
        lost => format!("{by}: {} less.", money(lost.saturating_neg(), currency)),
    })
}

/// A family or service, and what is advised to it.
struct AdviceRow {
    family: String,
    service: String,
    cluster: String,
    measured: String,
    used: String,
    now: String,
    advised: String,
    cost: String,
    saves: String,
    note: String,
}

#[derive(Template)]
#[template(path = "rightsizing.html")]
struct RightsizingPage {
    frame: Frame,
    choices: Choices,
    margin: u32,
    /// As soon as they are known.
    sizes: Option<Arc<Sizes>>,
}

/// What the page shows.
pub(super) struct Sizes {
    from: String,
    to: String,
    sheet: String,
    rows: Vec<AdviceRow>,
    more: usize,
    json: String,
}

async fn rightsizing(visit: Visit, Asked(asked): Asked<CostQuery>) -> Result<Response, ApiError> {
    let range = chosen("range", asked.range.as_deref(), |word| {
        Range::parse(word, Range::OF_COSTS)
    })?
    .unwrap_or(Range::Week);
    let choices = Choices {
        by: "family",
        tag: String::new(),
        range,
        cluster: asked.cluster.unwrap_or_default(),
        family: asked.family.unwrap_or_default(),
    };
    let wanted = choices.wanted(GroupBy::Family, &visit)?;
    let make = || advise(visit.clone(), choices.clone(), wanted);
    let key = choices.key();
    let page = RightsizingPage {
        sizes: visit.console.advice.get(&key, visit.now, make).await?,
        frame: visit.frame(Nav::Cost, "Which sizes would have done"),
        choices,
        margin: MARGIN_PERCENT,
    };
    visit.show(&page)
}

async fn advise(visit: Visit, choices: Choices, wanted: BillQuery) -> Result<Arc<Sizes>, ApiError> {
    let (advice, period, sheet) = visit.control().rightsize(&wanted, MARGIN_PERCENT).await?;
    let advice = Rightsizing::new(&advice, period, MARGIN_PERCENT, &sheet);
    let pairs = [
        ("from", advice.from.as_str()),
        ("to", advice.to.as_str()),
        ("cluster", choices.cluster.as_str()),
        ("family", choices.family.as_str()),
    ];
    let row = |one: &Advice| advice_row(one, &advice.currency);
    Ok(Arc::new(Sizes {
        json: format!("/v1/rightsize?{}", query(&pairs)),
        rows: advice.items.iter().take(LISTED).map(row).collect(),
        more: advice.items.len().saturating_sub(LISTED),
        from: advice.from,
        to: advice.to,
        sheet: advice.price_sheet,
    }))
}

fn advice_row(one: &Advice, currency: &str) -> AdviceRow {
    let size = |size: AdvisedSize| {
        format!(
            "{} vCPU, {} MiB",
            display::vcpu(size.cpu.into()),
            size.memory
        )
    };
    let milli = one.used_milli_vcpu;
    let note = match (&one.reason, one.saving_nano) {
        (Some(reason), _) => reason.as_str(),
        (None, saving) if saving < 0 => "needs more than it has",
        (None, _) if one.advised == Some(one.current) => "is right",
        (None, _) => "",
    };
    AdviceRow {
        family: one.family.clone(),
        service: one.service.clone().unwrap_or_default(),
        cluster: one.cluster.clone(),
        measured: format!("{} of {}", one.measured, one.tasks),
        used: if one.measured > 0 {
            format!(
                "{}.{:03} vCPU, {}",
                milli / 1_000,
                milli % 1_000,
                display::bytes(one.peak_bytes)
            )
        } else {
            String::new()
        },
        now: size(one.current),
        advised: one.advised.map(size).unwrap_or_default(),
        cost: format!("{} {currency}", one.cost),
        saves: one
            .advised
            .map(|_| money(one.saving_nano, currency))
            .unwrap_or_default(),
        note: note.to_owned(),
    }
}
