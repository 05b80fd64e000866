//! What came of checking the books of the meter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::BooksCheck;

/// Whether the books of the meter are right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageVerification {
    /// Whether every check holds.
    pub holds: bool,
    /// Each check with its numbers.
    pub checks: Vec<UsageCheck>,
}

/// Something that must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageCheck {
    /// What, in one sentence.
    pub what: String,
    /// Whether it does.
    pub holds: bool,
    /// With which numbers.
    pub numbers: String,
    /// Where it does not.
    pub differences: Vec<String>,
}

impl UsageVerification {
    /// These checks together.
    pub fn new(checks: Vec<BooksCheck>) -> Self {
        let checks: Vec<UsageCheck> = checks
            .into_iter()
            .map(|check| UsageCheck {
                what: check.what.to_owned(),
                holds: check.differences.is_empty(),
                numbers: check.numbers,
                differences: check.differences,
            })
            .collect();
        Self {
            holds: checks.iter().all(|check| check.holds),
            checks,
        }
    }
}
