//! What tasks cost, and which sizes would have done.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment};
use super::openapi::Common;
use super::problem::{ApiError, Kind};
use crate::control::BillQuery;
use crate::domain::TimestampMs;
use crate::meter::bill::GroupBy;
use crate::shapes::{Bill, IssuedBill, IssuedBillSummary, Page, Problem, Rightsizing};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(get_bill))
        .routes(routes!(list_bills, issue_bill))
        .routes(routes!(get_issued_bill))
        .routes(routes!(get_rightsize))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GetBill {
    /// Only tasks of this cluster.
    cluster: Option<String>,
    /// Only tasks that were run from this family.
    family: Option<String>,
    /// From when on: RFC 3339, or how long ago it was, such as `1d`; since the beginning of this month, in UTC, unless
    /// said otherwise. What tasks held before is not on the bill.
    from: Option<String>,
    /// Until when; until now unless said otherwise.
    to: Option<String>,
    /// What the lines stand for: `task`, `family` (unless said otherwise), `service`, `cluster`, `tag:KEY`, `day` or
    /// `hour`. Days and hours are those of UTC.
    group_by: Option<String>,
    /// The price sheet; the operator's choice unless said otherwise.
    price_sheet: Option<String>,
    /// A price sheet to compare with: what it would have cost by that.
    compare: Option<String>,
    /// How the answer is written: `json` (unless said otherwise), `csv`, or `focus`, which is FOCUS 1.2 as CSV.
    format: Option<String>,
}

impl GetBill {
    fn read(self, now: TimestampMs) -> Result<(BillQuery, Format), ApiError> {
        let mut check = Check::default();
        let filter = check.usage_filter(self.cluster.as_deref(), self.family.as_deref());
        let from = check.moment("from", self.from.as_deref(), now);
        let to = check.moment("to", self.to.as_deref(), now);
        let group_by = self.group_by.as_deref();
        let group_by = check.word("groupBy", group_by, GroupBy::parse, &[GroupBy::WORDS]);
        let formats = ["json", "csv", "focus"];
        let format = check.word("format", self.format.as_deref(), Format::parse, &formats);
        check.done()?;
        let query = BillQuery {
            filter,
            from,
            to,
            group_by: group_by.unwrap_or(GroupBy::Family),
            price_sheet: self.price_sheet,
            compare: self.compare,
        };
        Ok((query, format.unwrap_or_default()))
    }
}

/// How a bill is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    Csv,
    Focus,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "focus" => Some(Self::Focus),
            _ => None,
        }
    }
}

/// What tasks reserved, used and cost within a period, grouped and added up, to the last unit.
#[utoipa::path(
    get, path = "/v1/bill", tag = "usage",
    params(GetBill),
    responses((status = 200, description = "The bill.", body = Bill), Common)
)]
async fn get_bill(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<GetBill>,
) -> Result<Response, ApiError> {
    let control = &rest.state.control;
    let (query, format) = query.read(control.now())?;
    let bill = Bill::new(&control.bill(query).await?, control.instance_id());
    let csv = |text: String| ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text);
    Ok(match format {
        Format::Json => Json(bill).into_response(),
        Format::Csv => csv(bill.csv()).into_response(),
        Format::Focus => csv(bill.focus()).into_response(),
    })
}

/// Issues a bill: it is kept as it is now, and never changes. Its period must be over; `format` does not matter.
#[utoipa::path(
    post, path = "/v1/bills", tag = "usage",
    params(GetBill),
    responses((status = 201, description = "It was issued.", body = IssuedBill), Common)
)]
async fn issue_bill(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<GetBill>,
) -> Result<impl IntoResponse, ApiError> {
    let control = &rest.state.control;
    let (query, _) = query.read(control.now())?;
    let made = control.bill(query).await?;
    let bill = Bill::new(&made, control.instance_id());
    // It is made of texts and numbers alone, so this cannot fail.
    let document = serde_json::to_value(&bill).unwrap_or_default();
    let number = control.issue_bill(&made, &document).await?;
    let issued = IssuedBill {
        number,
        issued_at: made.as_of.to_string(),
        bill,
    };
    let location = format!("/v1/bills/{number}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(issued),
    ))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListBills {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Bills that were issued, the newest first.
#[utoipa::path(
    get, path = "/v1/bills", tag = "usage",
    params(ListBills),
    responses((status = 200, description = "A page of bills.", body = Page<IssuedBillSummary>), Common)
)]
async fn list_bills(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListBills>,
) -> Result<Json<Page<IssuedBillSummary>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.issued_bills(page).await?;
    let items = page.items.into_iter();
    let items = items.map(|issued| shown(issued).map(IssuedBillSummary::from));
    Ok(Json(Page {
        items: items.collect::<Result<_, _>>()?,
        next_token: page.next,
    }))
}

/// One bill that was issued, as it was then.
#[utoipa::path(
    get, path = "/v1/bills/{number}", tag = "usage",
    params(("number" = u64, Path, description = "Its number.")),
    responses(
        (status = 200, description = "The bill.", body = IssuedBill),
        (status = 404, description = "No bill has that number.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_issued_bill(
    State(rest): State<Arc<Rest>>,
    Segment(number): Segment<u64>,
) -> Result<Json<IssuedBill>, ApiError> {
    let issued = rest.state.control.issued_bill(number).await?;
    Ok(Json(shown(issued)?))
}

fn shown(issued: crate::store::IssuedBill) -> Result<IssuedBill, ApiError> {
    let bill = serde_json::from_value(issued.document).map_err(|error| {
        let text = format!("bill {} is not understood", issued.number);
        ApiError::new(Kind::Internal, text).internal(&error)
    })?;
    Ok(IssuedBill {
        number: issued.number,
        issued_at: issued.issued_at.to_string(),
        bill,
    })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GetRightsize {
    /// Only tasks of this cluster.
    cluster: Option<String>,
    /// Only tasks that were run from this family.
    family: Option<String>,
    /// From when on: RFC 3339, or how long ago it was, such as `7d`; since the beginning of this month, in UTC, unless
    /// said otherwise.
    from: Option<String>,
    /// Until when; until now unless said otherwise.
    to: Option<String>,
    /// How much more than what was used the size must have, in percent; 25 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 1000)]
    margin_percent: Option<String>,
    /// The price sheet that savings are worked out by; the operator's choice unless said otherwise.
    price_sheet: Option<String>,
}

/// How much more than what was used a size must have, unless somebody says otherwise.
const MARGIN_PERCENT: u32 = 25;

/// For each family and service, the smallest size that would have covered what its tasks used.
///
/// With what that rests on, and what it would have saved.
#[utoipa::path(
    get, path = "/v1/rightsize", tag = "usage",
    params(GetRightsize),
    responses((status = 200, description = "The advice.", body = Rightsizing), Common)
)]
async fn get_rightsize(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<GetRightsize>,
) -> Result<Json<Rightsizing>, ApiError> {
    let control = &rest.state.control;
    let now = control.now();
    let mut check = Check::default();
    let filter = check.usage_filter(query.cluster.as_deref(), query.family.as_deref());
    let from = check.moment("from", query.from.as_deref(), now);
    let to = check.moment("to", query.to.as_deref(), now);
    let margin = check.number("marginPercent", query.margin_percent.as_deref(), 0..=1_000);
    check.done()?;

    let margin = margin.and_then(|margin| u32::try_from(margin).ok());
    let margin = margin.unwrap_or(MARGIN_PERCENT);
    let query = BillQuery {
        filter,
        from,
        to,
        group_by: GroupBy::Family,
        price_sheet: query.price_sheet,
        compare: None,
    };
    let (advice, period, sheet) = control.rightsize(&query, margin).await?;
    Ok(Json(Rightsizing::new(&advice, period, margin, &sheet)))
}
