//! Budgets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment, Sent};
use super::openapi::Common;
use super::problem::ApiError;
use crate::control::Control;
use crate::domain::BudgetName;
use crate::shapes::{Budget, Page, ParsedBudget, Problem, PutBudgetRequest};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_budgets))
        .routes(routes!(get_budget, put_budget, delete_budget))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListBudgets {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Budgets by name, as they stand now.
#[utoipa::path(
    get, path = "/v1/budgets", tag = "usage",
    params(ListBudgets),
    responses((status = 200, description = "A page of budgets.", body = Page<Budget>), Common)
)]
async fn list_budgets(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListBudgets>,
) -> Result<Json<Page<Budget>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.budgets(page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(Budget::from).collect(),
        next_token: page.next,
    }))
}

/// One budget, as it stands now.
#[utoipa::path(
    get, path = "/v1/budgets/{budget}", tag = "usage",
    params(("budget" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The budget.", body = Budget),
        (status = 404, description = "There is no such budget.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_budget(
    State(control): State<Control>,
    Segment(name): Segment<BudgetName>,
) -> Result<Json<Budget>, ApiError> {
    Ok(Json(Budget::from(&control.budget(&name).await?)))
}

/// Makes a budget what the document says; what is absent gets its default.
///
/// With another limit, other thresholds or another action the sum of the present period goes on. A threshold that is not
/// reached any more can be reached again.
#[utoipa::path(
    put, path = "/v1/budgets/{budget}", tag = "usage",
    params(("budget" = String, Path, description = "Its name.")),
    request_body(content(
        (PutBudgetRequest = "application/json"),
        (PutBudgetRequest = "application/yaml"),
    )),
    responses(
        (status = 200, description = "The budget.", body = Budget),
        (status = 404, description = "There is no such cluster.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many budgets.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full; nothing was recorded.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn put_budget(
    State(control): State<Control>,
    Segment(name): Segment<BudgetName>,
    Sent(document): Sent,
) -> Result<Json<Budget>, ApiError> {
    let ParsedBudget { name, wanted } =
        ParsedBudget::parse(&document, Some(&name)).map_err(|faults| ApiError::invalid(&faults))?;
    let view = control.put_budget(&name, wanted).await?;
    Ok(Json(Budget::from(&view)))
}

/// Deletes a budget. Tasks that it kept from beginning begin.
#[utoipa::path(
    delete, path = "/v1/budgets/{budget}", tag = "usage",
    params(("budget" = String, Path, description = "Its name.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such budget.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_budget(
    State(control): State<Control>,
    Segment(name): Segment<BudgetName>,
) -> Result<StatusCode, ApiError> {
    control.delete_budget(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
