//! From what was sent to domain types: the rules that no schema can express.
//!
//! Every rule is checked even when another one is broken already, so that one answer tells all that is
//! wrong. A rule that would only complain about something that the schema check has complained about
//! before stays silent.

mod access_key;
mod budget;
mod container;
mod dependencies;
mod environment;
mod image;
mod linux;
mod logs;
mod ports;
mod run_task;
mod schedule;
mod secrets;
mod service;
mod size;
mod task_definition;
mod volumes;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use budget::ParsedBudget;
pub use run_task::ParsedRunTask;
pub use schedule::ParsedSchedule;
pub use service::ParsedService;
pub use task_definition::ParsedTaskDefinition;

use super::document::Document;
use super::path;
use super::schema::{Checked, MOST_FAULTS, Schema};
use crate::domain::{Fault, Faults};

/// A document that has the right form, or as much of one as could be saved.
struct Formed<T> {
    request: T,
    value: Value,
    /// What is wrong with its form.
    faults: Faults,
}

/// Checks the form of `document` and reads it.
fn form<T: DeserializeOwned + Default>(document: &Document, schema: &Schema) -> Formed<T> {
    let Checked { mut faults, value } = schema.check(document);
    // The schema is derived from `T`, so what passes it can be read; if not, that is a fault like others.
    let request = serde_json::from_value(value.clone()).unwrap_or_else(|error| {
        faults.add("", format!("cannot be read: {error}"));
        T::default()
    });
    Formed {
        request,
        value,
        faults,
    }
}

/// `value` if nothing is wrong, otherwise all that is wrong with the form of `document` and, beyond that,
/// with what it says; each fault at its place in the text.
fn finish<T>(
    value: Option<T>,
    document: &Document,
    form: Faults,
    meaning: &Faults,
) -> Result<T, Faults> {
    let news: Vec<Fault> = meaning
        .iter()
        .filter(|fault| {
            !form
                .iter()
                .any(|known| path::is_within(&fault.path, &known.path))
        })
        // To find the place of one takes a walk through the document: so not for thousands of them.
        .take(MOST_FAULTS + 1)
        .cloned()
        .collect();
    let mut faults = form;
    faults.extend(news);
    faults.locate(|path| document.position(path));
    let faults = first(faults);
    match value {
        Some(value) => faults.into_result(value),
        // Whoever made nothing has said why; should it ever have been forgotten, nothing is accepted.
        None if faults.is_empty() => {
            let mut faults = faults;
            faults.add("", "cannot be accepted");
            Err(faults)
        }
        None => Err(faults),
    }
}

/// The first of `faults`: as many as anybody will read.
fn first(faults: Faults) -> Faults {
    let all = faults.iter().count();
    if all <= MOST_FAULTS {
        return faults;
    }
    let mut first: Vec<Fault> = faults.iter().take(MOST_FAULTS).cloned().collect();
    if let Some(last) = first.last_mut() {
        last.message += "; there are more faults than are told here";
    }
    first.into_iter().collect()
}
