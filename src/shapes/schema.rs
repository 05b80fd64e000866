//! Checks a document against the schema that the shapes themselves have in the `OpenAPI` document.
//!
//! One source of truth: what is required, which values an enum has, and how long or large something may
//! be is said once, on the type, and everything said there is enforced here. All faults are found in one
//! go; beside them the document is handed out with every faulty part replaced by something harmless, so
//! that the rules which no schema can express are checked in the same go.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::document::{Document, Entry, Format, Kind, Node};
use super::path;
use crate::domain::Faults;

/// So many faults are told of a document. After as many the check of its form ends.
pub(super) const MOST_FAULTS: usize = 100;

/// A schema, ready to check documents against.
pub(super) struct Schema {
    shape: Shape,
    nullable: bool,
}

enum Shape {
    Text {
        min: u64,
        max: u64,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Flag,
    Choice(Vec<String>),
    List {
        item: Box<Schema>,
        min: u64,
        max: u64,
    },
    Object(Vec<Field>),
    Map(Box<Schema>),
    /// Anything goes. Also what a schema says in words that are not understood here; a test proves that
    /// no shape of ours does.
    Any,
}

struct Field {
    name: String,
    required: bool,
    schema: Schema,
}

/// What a check came to.
pub(super) struct Checked {
    /// Everything that is wrong.
    pub(super) faults: Faults,
    /// The document; texts that YAML would call numbers are texts. Where there are faults, it lacks the
    /// faulty parts, or has harmless ones in their place where leaving them out would shift others.
    pub(super) value: Value,
}

impl Schema {
    /// The schema of `T`.
    pub(super) fn of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        T::schemas(&mut named);
        let named: Vec<(String, Value)> = named
            .into_iter()
            .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
            .collect();
        Self::compile(&json!(T::schema()), &named)
    }

    /// The shapes have no cycles, so references are followed here, once.
    fn compile(schema: &Value, named: &[(String, Value)]) -> Self {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            let target = named.iter().find(|(known, _)| known == name);
            return target.map_or(Self::any(), |(_, target)| Self::compile(target, named));
        }
        if let Some([one, Value::Object(other)]) = schema["oneOf"].as_array().map(Vec::as_slice)
            && other.get("type") == Some(&json!("null"))
        {
            let inner = Self::compile(one, named);
            return Self {
                nullable: true,
                ..inner
            };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(name) => vec![name],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let kind = types.iter().find(|name| **name != "null");
        Self {
            nullable: types.contains(&"null"),
            shape: kind.map_or(Shape::Any, |kind| Shape::compile(kind, schema, named)),
        }
    }

    fn any() -> Self {
        Self {
            shape: Shape::Any,
            nullable: true,
        }
    }

    /// Checks `document`. Faults have their positions and are in the order of the document.
    pub(super) fn check(&self, document: &Document) -> Checked {
        let mut checker = Checker {
            format: document.format,
            faults: Faults::default(),
            count: 0,
        };
        let value = checker.check(self, &document.root, "");
        Checked {
            value: value.unwrap_or_else(|| self.harmless()),
            faults: checker.faults,
        }
    }

    /// Something that can stand where this is asked for.
    fn harmless(&self) -> Value {
        match &self.shape {
            Shape::Text { .. } => json!(""),
            Shape::Integer { min, .. } => json!((*min).max(0)),
            Shape::Flag => json!(false),
            Shape::Choice(values) => json!(values.first()),
            Shape::List { .. } => json!([]),
            Shape::Object(_) | Shape::Map(_) => json!({}),
            Shape::Any => Value::Null,
        }
    }

    /// `must be …`
    fn wanted(&self) -> String {
        match &self.shape {
            Shape::Text { .. } => "a string".to_owned(),
            Shape::Integer { .. } => "a whole number".to_owned(),
            Shape::Flag => "true or false".to_owned(),
            Shape::Choice(values) => one_of(values),
            Shape::List { .. } => "a list".to_owned(),
            Shape::Object(_) | Shape::Map(_) => "a map".to_owned(),
            Shape::Any => "anything".to_owned(),
        }
    }

    /// The names of its fields.
    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        match &self.shape {
            Shape::Object(fields) => fields.iter().map(|field| field.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The paths of all fields, with `[]` for the items of lists and `.*` for the values of maps.
    #[cfg(test)]
    pub(super) fn leaves(&self, path: &str, out: &mut Vec<String>) {
        match &self.shape {
            Shape::Object(fields) => {
                for field in fields {
                    field.schema.leaves(&path::field(path, &field.name), out);
                }
            }
            Shape::List { item, .. } if matches!(item.shape, Shape::Object(_)) => {
                item.leaves(&format!("{path}[]"), out);
            }
            // It is refused, whatever is in it.
            Shape::Any if path == "volumeConfigurations" => {}
            Shape::Any => panic!("{path} has a schema that is not understood"),
            _ => out.push(path.to_owned()),
        }
    }
}

impl Shape {
    fn compile(kind: &str, schema: &Value, named: &[(String, Value)]) -> Self {
        let size = |name: &str, otherwise: u64| schema[name].as_u64().unwrap_or(otherwise);
        match kind {
            "string" => match schema["enum"].as_array() {
                Some(values) => Self::Choice(
                    values
                        .iter()
                        .filter_map(|value| value.as_str().map(str::to_owned))
                        .collect(),
                ),
                None => Self::Text {
                    min: size("minLength", 0),
                    max: size("maxLength", u64::MAX),
                },
            },
            "integer" => {
                let (lowest, highest) = match schema["format"].as_str() {
                    Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
                    _ => (i64::MIN, i64::MAX),
                };
                Self::Integer {
                    min: schema["minimum"].as_i64().unwrap_or(lowest),
                    max: schema["maximum"].as_i64().unwrap_or(highest),
                }
            }
            "boolean" => Self::Flag,
            "array" => Self::List {
                item: Box::new(Schema::compile(&schema["items"], named)),
                min: size("minItems", 0),
                max: size("maxItems", u64::MAX),
            },
            "object" => match (&schema["properties"], &schema["additionalProperties"]) {
                (Value::Object(properties), _) => {
                    Self::Object(fields(properties, &schema["required"], named))
                }
                (_, values @ Value::Object(_)) => {
                    Self::Map(Box::new(Schema::compile(values, named)))
                }
                _ => Self::Any,
            },
            _ => Self::Any,
        }
    }
}

fn fields(
    properties: &Map<String, Value>,
    required: &Value,
    named: &[(String, Value)],
) -> Vec<Field> {
    let is_required = |name: &str| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    properties
        .iter()
        .map(|(name, schema)| Field {
            name: name.clone(),
            required: is_required(name),
            schema: Schema::compile(schema, named),
        })
        .collect()
}

/// `a, b or c`
fn one_of(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

struct Checker {
    format: Format,
    faults: Faults,
    count: usize,
}

impl Checker {
    /// Whether there are more faults than will be told.
    fn has_enough(&self) -> bool {
        self.count > MOST_FAULTS
    }

    fn fault(&mut self, path: &str, message: String, hint: Option<String>) {
        if self.has_enough() {
            return;
        }
        self.count += 1;
        match hint {
            Some(hint) => self.faults.add_with_hint(path, message, hint),
            None => self.faults.add(path, message),
        }
    }

    /// `node` as a value, or nothing if it is faulty.
    fn check(&mut self, schema: &Schema, node: &Node, path: &str) -> Option<Value> {
        if self.has_enough() {
            return None;
        }
        match (&schema.shape, &node.kind) {
            (Shape::Any, _) => Some(Value::from(node)),
            (_, Kind::Null) if schema.nullable => Some(Value::Null),
            (Shape::Text { min, max }, Kind::Text(text)) => self.text(text, *min, *max, path),
            // In YAML a number, yes or no is a text as well, if a text is asked for.
            (Shape::Text { min, max }, Kind::Flag(_, Some(text)) | Kind::Number(_, Some(text)))
                if self.format == Format::Yaml =>
            {
                self.text(text, *min, *max, path)
            }
            (Shape::Integer { min, max }, Kind::Number(number, _))
                if number.is_i64() || number.is_u64() =>
            {
                self.integer(number, *min, *max, path)
            }
            (Shape::Flag, Kind::Flag(flag, _)) => Some(json!(flag)),
            (Shape::Choice(values), Kind::Text(text)) => self.choice(values, text, path),
            (Shape::List { item, min, max }, Kind::List(nodes)) => {
                self.size(nodes.len(), "item", *min, *max, path);
                let check = |(index, node)| {
                    self.check(item, node, &path::item(path, index))
                        .unwrap_or_else(|| item.harmless())
                };
                Some(nodes.iter().enumerate().map(check).collect())
            }
            (Shape::Object(fields), Kind::Map(entries)) => Some(self.object(fields, entries, path)),
            (Shape::Map(schema), Kind::Map(entries)) => Some(self.map(schema, entries, path)),
            _ => {
                self.wrong_type(schema, node, path);
                None
            }
        }
    }

    fn text(&mut self, text: &str, min: u64, max: u64, path: &str) -> Option<Value> {
        if text.contains('\0') {
            self.fault(path, "contains a NUL character".to_owned(), None);
            return None;
        }
        self.size(text.chars().count(), "character", min, max, path)
            .then(|| json!(text))
    }

    /// Whether `size` lies between the two.
    fn size(&mut self, size: usize, what: &str, min: u64, max: u64, path: &str) -> bool {
        let size = size as u64;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        if size < min {
            let has = if size == 0 {
                "is empty".to_owned()
            } else {
                format!("has {size} {what}{}", plural(size))
            };
            self.fault(
                path,
                format!("{has}; it must have at least {min} {what}{}", plural(min)),
                None,
            );
        } else if size > max {
            self.fault(
                path,
                format!(
                    "has {size} {what}{}; it may have at most {max}",
                    plural(size)
                ),
                None,
            );
        }
        (min..=max).contains(&size)
    }

    fn integer(
        &mut self,
        number: &serde_json::Number,
        min: i64,
        max: i64,
        path: &str,
    ) -> Option<Value> {
        if number
            .as_i64()
            .is_some_and(|number| (min..=max).contains(&number))
        {
            return Some(json!(number));
        }
        let range = match (min, max) {
            (i64::MIN, i64::MAX) => "is too large".to_owned(),
            (_, i64::MAX) => format!("must be at least {min}"),
            (i64::MIN, _) => format!("must be at most {max}"),
            _ => format!("must be from {min} to {max}"),
        };
        self.fault(path, format!("is {number}; it {range}"), None);
        None
    }

    fn choice(&mut self, values: &[String], text: &str, path: &str) -> Option<Value> {
        if values.iter().any(|value| value == text) {
            return Some(json!(text));
        }
        let hint = nearest(text, values.iter().map(String::as_str))
            .map(|value| format!("did you mean `{value}`?"));
        self.fault(
            path,
            format!("is {}; it must be {}", path::quote(text), one_of(values)),
            hint,
        );
        None
    }

    fn object(&mut self, fields: &[Field], entries: &[Entry], path: &str) -> Value {
        let mut object = Map::new();
        let mut seen = HashSet::new();
        for entry in entries {
            if self.has_enough() {
                break;
            }
            let here = path::field(path, &entry.key);
            if let Some(field) = fields.iter().find(|field| field.name == entry.key) {
                seen.insert(field.name.as_str());
                if let Some(value) = self.check(&field.schema, &entry.value, &here) {
                    object.insert(entry.key.clone(), value);
                }
            } else {
                let hint = unknown_hint(fields, &entry.key);
                self.fault(&here, "is not a known field".to_owned(), hint);
            }
        }
        for field in fields {
            if field.required && !seen.contains(field.name.as_str()) {
                self.fault(
                    &path::field(path, &field.name),
                    "is missing".to_owned(),
                    None,
                );
            }
        }
        Value::Object(object)
    }

    fn map(&mut self, schema: &Schema, entries: &[Entry], path: &str) -> Value {
        let mut map = Map::new();
        for entry in entries {
            let here = path::field(path, &entry.key);
            if entry.key.contains('\0') {
                self.fault(&here, "has a NUL character in its name".to_owned(), None);
            } else if let Some(value) = self.check(schema, &entry.value, &here) {
                map.insert(entry.key.clone(), value);
            }
        }
        Value::Object(map)
    }

    fn wrong_type(&mut self, schema: &Schema, node: &Node, path: &str) {
        let is = match &node.kind {
            Kind::Null => "has no value",
            Kind::Flag(..) => "is true or false",
            Kind::Number(number, _) if number.is_f64() => "is a number with a fraction",
            Kind::Number(..) => "is a number",
            Kind::Text(_) => "is a string",
            Kind::List(_) => "is a list",
            Kind::Map(_) => "is a map",
        };
        let hint = match (&schema.shape, &node.kind) {
            (Shape::Text { .. }, Kind::Number(number, _)) => {
                Some(format!("write it in quotes: \"{number}\""))
            }
            (Shape::Text { .. }, Kind::Flag(flag, _)) => {
                Some(format!("write it in quotes: \"{flag}\""))
            }
            (Shape::Integer { .. }, Kind::Text(text)) if text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: {text}"))
            }
            (Shape::Flag, Kind::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" => Some("write true, without quotes".to_owned()),
                "no" | "off" | "false" => Some("write false, without quotes".to_owned()),
                _ => None,
            },
            (Shape::List { .. }, Kind::Text(_) | Kind::Map(_)) => {
                Some("write it as an item of a list".to_owned())
            }
            _ => None,
        };
        self.fault(path, format!("{is}; it must be {}", schema.wanted()), hint);
    }
}

/// What to do about the field `name`, which is none of `fields`.
fn unknown_hint(fields: &[Field], name: &str) -> Option<String> {
    const A_FEW: usize = 12;
    let names = fields.iter().map(|field| field.name.as_str());
    match nearest(name, names.clone()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if fields.len() <= A_FEW => {
            let names: Vec<&str> = names.collect();
            Some(format!("known here: {}", names.join(", ")))
        }
        None => None,
    }
}

/// The one of `known` that somebody who wrote `text` is likely to have meant.
fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any name of ECS; and the measure takes time that grows with the square of the length.
    if text.chars().count() > 64 {
        return None;
    }
    let plain = |text: &str| text.replace(['_', '-', ' '], "").to_lowercase();
    let wanted = plain(text);
    known
        .map(|name| (strsim::jaro_winkler(&wanted, &plain(name)), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
