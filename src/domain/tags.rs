//! Tags: keys and values that things are found, and bills grouped, by.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ClusterName, ServiceName};

/// Keys and their values.
pub type Tags = BTreeMap<String, String>;

/// Whether a key is one that only ECS itself gives: those that begin with `aws:`, however that is written.
pub fn is_reserved_tag(key: &str) -> bool {
    key.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

/// The tags that ECS gives to the tasks of whoever set `enableECSManagedTags`.
///
/// Source: Amazon ECS developer guide, "Tagging Amazon ECS resources".
pub fn managed_tags(cluster: &ClusterName, service: Option<&ServiceName>) -> Tags {
    let cluster = ("aws:ecs:clusterName", cluster.to_string());
    let service = service.map(|service| ("aws:ecs:serviceName", service.to_string()));
    let all = [cluster].into_iter().chain(service);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The tags that a document has as a list of keys and values.
pub fn tags_of_document(sent: Option<&Value>) -> Tags {
    let all = sent.and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|tag| (text(&tag["key"]), text(&tag["value"])))
        .collect()
}

/// The most tags of anything, those of ECS itself not counted.
pub const MOST_TAGS: usize = 50;

/// What is to change about the tags of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// These are added; one that is there already gets the new value.
    Add(Tags),
    /// The tags of these keys are taken away; that one is not there changes nothing.
    Remove(Vec<String>),
}

impl TagChange {
    /// The tags after the change; why not otherwise.
    pub fn apply(&self, mut tags: Tags) -> Result<Tags, String> {
        let reserved = || "Tag keys that begin with aws: are reserved for AWS.".to_owned();
        match self {
            Self::Add(added) => {
                if added.keys().any(|key| is_reserved_tag(key)) {
                    return Err(reserved());
                }
                tags.extend(added.clone());
            }
            Self::Remove(keys) => {
                if keys.iter().any(|key| is_reserved_tag(key)) {
                    return Err(reserved());
                }
                tags.retain(|key, _| !keys.contains(key));
            }
        }
        check_tag_count(&tags)?;
        Ok(tags)
    }
}

/// Whether there are not too many; why not otherwise.
pub fn check_tag_count(tags: &Tags) -> Result<(), String> {
    let own = tags.keys().filter(|key| !is_reserved_tag(key)).count();
    if own > MOST_TAGS {
        return Err(format!("Tags can have at most {MOST_TAGS} items."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_aws_is_reserved_however_it_is_written() {
        assert!(is_reserved_tag("aws:ecs:serviceName") && is_reserved_tag("AWS:x"));
        assert!(!is_reserved_tag("aws") && !is_reserved_tag("é") && !is_reserved_tag("awsome:x"));
        let tags = managed_tags(&"blue".parse().unwrap(), Some(&"web".parse().unwrap()));
        assert_eq!(tags["aws:ecs:clusterName"], "blue");
        assert_eq!(tags["aws:ecs:serviceName"], "web");
    }

    #[test]
    fn tags_of_ecs_itself_are_neither_counted_nor_changed() {
        let tags = managed_tags(&"blue".parse().unwrap(), None);
        let many = |count: usize| {
            TagChange::Add((0..count).map(|n| (n.to_string(), String::new())).collect())
        };
        let full = many(MOST_TAGS).apply(tags).unwrap();
        assert_eq!(full.len(), MOST_TAGS + 1);
        assert!(
            many(MOST_TAGS + 1)
                .apply(full.clone())
                .unwrap_err()
                .contains("at most 50")
        );
        let gone = TagChange::Remove(vec!["aws:ecs:clusterName".to_owned()]).apply(full.clone());
        assert!(gone.unwrap_err().contains("reserved"));
        let none = TagChange::Remove((0..MOST_TAGS).map(|n| n.to_string()).collect());
        assert_eq!(none.apply(full).unwrap().len(), 1);
    }
}
