//! What differs between two documents, field by field, for a person.

use serde_json::Value;

/// One field that differs. `None` is a field that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where, as `containerDefinitions[0].image`.
    pub path: String,
    /// As it is.
    pub old: Option<String>,
    /// As it is to be.
    pub new: Option<String>,
}

impl Change {
    /// `~ desiredCount: 2 -> 3`
    pub fn line(&self) -> String {
        let path = &self.path;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!("~ {path}: {old} -> {new}"),
            (Some(old), None) => format!("- {path}: {old}"),
            (None, new) => format!("+ {path}: {}", new.as_deref().unwrap_or_default()),
        }
    }
}

/// What is to change so that `old` becomes `new`. A number and the same number as a text do not differ, as
/// `cpu: 256` and `cpu: "256"` mean the same.
pub fn diff(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), old, new, &mut changes);
    changes
}

fn compare(path: String, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let at = |name: &str| match path.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            for (name, value) in new {
                compare(
                    at(name),
                    old.get(name).unwrap_or(&Value::Null),
                    value,
                    changes,
                );
            }
            for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                compare(at(name), value, &Value::Null, changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                let item = |list: &[Value]| list.get(index).cloned().unwrap_or_default();
                compare(format!("{path}[{index}]"), &item(old), &item(new), changes);
            }
        }
        _ => {
            let (old, new) = (text(old), text(new));
            if old != new {
                changes.push(Change { path, old, new });
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_told_by_its_path() {
        let old = json!({ "cpu": "256", "family": "web", "containers": [{ "image": "a:1", "user": "me" }] });
        let new = json!({ "cpu": 256, "family": "web", "containers": [{ "image": "a:2" }, { "image": "b" }] });
        let lines: Vec<String> = diff(&old, &new).iter().map(Change::line).collect();
        assert_eq!(
            lines,
            [
                "~ containers[0].image: a:1 -> a:2",
                "- containers[0].user: me",
                "+ containers[1]: {\"image\":\"b\"}",
            ]
        );
        assert_eq!(diff(&old, &old), []);
    }
}
