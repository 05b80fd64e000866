//! The parameters of an operation: their types are checked once, against the operation's row in the table, before a
//! handler sees them.
//!
//! As with AWS, null is the same as absent. A parameter of another type is a `SerializationException`, one that is
//! missing an `InvalidParameterException`; so is one that ECS has and Neargate does not. What ECS does not have is gone
//! by then ([`super::members`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::names;
use crate::control::{Control, ControlError};
use crate::domain::{
    Cluster, ClusterName, DEFAULT_CLUSTER, Tags, check_tag_count, is_reserved_tag,
};
use crate::store::PageRequest;

/// What a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// A whole number of 64 bits.
    Long,
    Flag,
    /// A list of texts.
    Texts,
    /// Any list.
    List,
    /// Any map.
    Map,
}

/// Whether a parameter must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    None,
    /// It must, but may be empty.
    Present,
    /// It must, and must not be empty.
    Filled,
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
}

impl Field {
    /// One that must be there.
    pub(super) const fn required(self) -> Self {
        Self {
            need: Need::Filled,
            ..self
        }
    }

    /// One that must be there, if only to say that it is empty.
    pub(super) const fn present(self) -> Self {
        Self {
            need: Need::Present,
            ..self
        }
    }
}

macro_rules! kinds {
    ($($function:ident = $kind:ident),+) => {
        $(
            /// A parameter of that kind.
            pub(super) const fn $function(name: &'static str) -> Field {
                Field { name, kind: Kind::$kind, need: Need::None }
            }
        )+
    };
}
kinds!(
    text = Text,
    number = Number,
    long = Long,
    flag = Flag,
    texts = Texts,
    list = List,
    map = Map
);

/// The parameters of a call.
#[derive(Debug)]
pub(super) struct Input(Map<String, Value>);

impl Input {
    /// `sent`, if it has the parameters that `fields` asks for and no others.
    pub(super) fn check(sent: Value, fields: &[Field]) -> Result<Self, EcsError> {
        let Value::Object(mut sent) = sent else {
            return Err(wrong_type("The request", &sent, "a structure"));
        };
        sent.retain(|_, value| !value.is_null());
        for (name, value) in &sent {
            let Some(field) = fields.iter().find(|field| field.name == name) else {
                let shown: String = name.chars().take(64).collect();
                return Err(EcsError::parameter(format!(
                    "The parameter {shown} is not supported by Neargate."
                )));
            };
            field.kind.check(name, value)?;
        }
        for field in fields {
            let value = sent.get(field.name);
            match field.need {
                Need::Filled if value.is_none_or(is_blank) => {
                    return Err(EcsError::parameter(blank(field.name)));
                }
                Need::Present if value.is_none() => {
                    let name = capital(field.name);
                    return Err(EcsError::parameter(format!("{name} can not be null.")));
                }
                _ => {}
            }
        }
        Ok(Self(sent))
    }

    /// All of them.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// One of them, whatever it is.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// The same of one that must be there.
    pub(super) fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A list of texts; empty when it is not there.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let items = self.value(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// A list of `most` texts, and of one at least.
    pub(super) fn some_texts(
        &self,
        name: &'static str,
        most: usize,
    ) -> Result<Vec<&str>, EcsError> {
        let texts = self.texts(name);
        if texts.is_empty() {
            return Err(EcsError::parameter(blank(name)));
        }
        at_most(name, texts.len(), most)?;
        Ok(texts)
    }

    /// A whole number from `least` to `most`.
    pub(super) fn number(
        &self,
        name: &str,
        least: i64,
        most: i64,
    ) -> Result<Option<i64>, EcsError> {
        let number = self.value(name).and_then(Value::as_i64);
        match number {
            Some(number) if !(least..=most).contains(&number) => Err(EcsError::parameter(format!(
                "{name} must be from {least} to {most}."
            ))),
            number => Ok(number),
        }
    }

    /// One of a few words.
    pub(super) fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, EcsError> {
        match self.text(name) {
            Some(text) if !words.contains(&text) => Err(not_one_of(name, text, words)),
            text => Ok(text),
        }
    }

    /// Whether `include` has `word`; all of it must be among `words`.
    pub(super) fn includes(&self, word: &str, words: &[&str]) -> Result<bool, EcsError> {
        let sent = self.texts("include");
        if let Some(unknown) = sent.iter().find(|one| !words.contains(one)) {
            return Err(not_one_of("include", unknown, words));
        }
        Ok(sent.contains(&word))
    }

    /// Which page, of `otherwise` items unless it says how many.
    pub(super) fn page(&self, otherwise: u32) -> Result<PageRequest, EcsError> {
        let limit = self.number("maxResults", 1, 100)?;
        Ok(PageRequest {
            limit: limit
                .and_then(|limit| u32::try_from(limit).ok())
                .unwrap_or(otherwise),
            token: self.text("nextToken").map(str::to_owned),
        })
    }

    /// The name of the cluster that the call is about; nobody has looked whether it exists.
    pub(super) fn cluster_name(&self) -> Result<ClusterName, EcsError> {
        names::cluster(self.text("cluster").unwrap_or(DEFAULT_CLUSTER))
    }

    /// The cluster that the call is about, which exists.
    pub(super) async fn cluster(&self, control: &Control) -> Result<Cluster, EcsError> {
        match control.cluster(&self.cluster_name()?).await {
            Err(ControlError::NotFound { .. }) => Err(EcsError::no_cluster()),
            found => Ok(found?),
        }
    }

    /// `tags`, a list of keys and values.
    pub(super) fn tags(&self) -> Result<BTreeMap<String, String>, EcsError> {
        let sent = self.value("tags").and_then(Value::as_array);
        let mut tags = BTreeMap::new();
        for tag in sent.into_iter().flatten() {
            let text = |name: &str| match &tag[name] {
                Value::Null => Ok(""),
                Value::String(text) => Ok(text.as_str()),
                other => Err(wrong_type(name, other, "a String")),
            };
            let (key, value) = (text("key")?, text("value")?);
            let size = |text: &str| text.chars().count();
            if !(1..=128).contains(&size(key)) || size(value) > 256 {
                return Err(EcsError::parameter(
                    "The tag key must have 1 to 128 characters, and the value 256 at most.",
                ));
            }
            if is_reserved_tag(key) {
                return Err(EcsError::parameter(
                    "Tag keys that begin with aws: are reserved for AWS.",
                ));
            }
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(EcsError::parameter("Duplicate tag keys found."));
            }
        }
        check_tags(&tags)?;
        Ok(tags)
    }
}

/// Whether there are not too many.
pub(super) fn check_tags(tags: &Tags) -> Result<(), EcsError> {
    check_tag_count(tags).map_err(EcsError::parameter)
}

/// Whether a list is not too long.
fn at_most(name: &str, length: usize, most: usize) -> Result<(), EcsError> {
    if length > most {
        let name = capital(name);
        return Err(EcsError::parameter(format!(
            "{name} can have at most {most} items."
        )));
    }
    Ok(())
}

impl Kind {
    fn check(self, name: &str, value: &Value) -> Result<(), EcsError> {
        let (fits, wanted) = match self {
            Self::Text => (value.is_string(), "a String"),
            // What a client calls an integer is one of 32 bits.
            Self::Number => (
                value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                "an Integer",
            ),
            Self::Long => (value.is_i64(), "a Long"),
            Self::Flag => (value.is_boolean(), "a Boolean"),
            Self::List => (value.is_array(), "a List"),
            Self::Map => (value.is_object(), "a Map"),
            Self::Texts => {
                let items = value.as_array();
                let fits = items.is_some_and(|items| items.iter().all(Value::is_string));
                (fits, "a List of Strings")
            }
        };
        if fits {
            Ok(())
        } else {
            Err(wrong_type(name, value, wanted))
        }
    }
}

/// As AWS says it: what was sent cannot be what was wanted.
fn wrong_type(name: &str, value: &Value, wanted: &str) -> EcsError {
    let sent = match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(_) => "BOOLEAN_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    };
    EcsError::new(
        "SerializationException",
        format!("{name}: {sent} can not be converted to {wanted}"),
    )
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// As ECS says it: `TaskDefinition can not be blank.`
fn blank(name: &str) -> String {
    match name {
        "tasks" | "services" | "containerInstances" => {
            format!("{} cannot be empty.", capital(name))
        }
        _ => format!("{} can not be blank.", capital(name)),
    }
}

fn capital(name: &str) -> String {
    let (first, rest) = name.split_at(usize::from(!name.is_empty()));
    format!("{}{rest}", first.to_ascii_uppercase())
}

fn not_one_of(name: &str, text: &str, words: &[&str]) -> EcsError {
    let shown: String = text.chars().take(64).collect();
    EcsError::parameter(format!(
        "{name} is \"{shown}\"; it must be one of {}.",
        json!(words)
    ))
}
