//! Environment variables, labels and tags: names with values.

use std::collections::BTreeMap;

use crate::domain::Faults;
use crate::shapes::path;
use crate::shapes::{KeyValuePair, Tag};

/// Labels that begin like this are Neargate's own: by them it knows what is its own on an engine.
const OWN_LABELS: &str = "neargate.";

/// The variables at `path`, in their order.
pub(super) fn variables(
    pairs: Option<&Vec<KeyValuePair>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (index, pair) in pairs.into_iter().flatten().enumerate() {
        let here = path::field(&path::item(path, index), "name");
        let name = pair.name.as_deref();
        match name {
            None => faults.add(here, "is missing"),
            Some("") => faults.add(here, "is empty"),
            Some(name) if name.contains('=') => faults.add_with_hint(
                here,
                format!("is {}; it may not contain `=`", path::quote(name)),
                "put what follows on it into `value`",
            ),
            Some(_) => {}
        }
        variables.push((
            name.unwrap_or_default().to_owned(),
            pair.value.clone().unwrap_or_default(),
        ));
    }
    variables
}

/// The labels at `path`.
pub(super) fn labels(
    labels: Option<&BTreeMap<String, String>>,
    path: &str,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    for name in labels.into_iter().flatten().map(|(name, _)| name) {
        let here = path::field(path, name);
        if name.is_empty() {
            faults.add(here, "has no name");
        } else if name.to_ascii_lowercase().starts_with(OWN_LABELS) {
            faults.add(
                here,
                format!("begins with `{OWN_LABELS}`, as only Neargate's own labels may"),
            );
        }
    }
    labels.cloned().unwrap_or_default()
}

/// The tags at `path`.
pub(super) fn tags(
    tags: Option<&Vec<Tag>>,
    path: &str,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for (index, tag) in tags.into_iter().flatten().enumerate() {
        if map.insert(tag.key.clone(), tag.value.clone()).is_some() {
            let here = path::field(&path::item(path, index), "key");
            faults.add(
                here,
                format!("is {}, which is there already", path::quote(&tag.key)),
            );
        }
    }
    map
}
