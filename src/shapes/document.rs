//! A document as it was sent, YAML or JSON: a tree that knows where in the text each of its parts is.
//!
//! Whoever sends a document may be hostile or tired. So reading it is bounded in every direction (bytes,
//! depth, nodes, and what aliases expand to), keys that occur twice are faults and not a choice, and a
//! scalar in YAML remembers its spelling, so that `value: 010` can mean the text `010`. What the document
//! means is not known here; see `schema` for that.
//!
//! JSON is read strictly, by a reader of JSON. Its positions come from reading the same text once more as
//! YAML, of which JSON is nearly a subset; where it is not, a JSON document has no positions.

mod read;

use serde_json::{Number, Value};

use super::path;
use crate::domain::{Fault, Faults};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document.
    Yaml,
    /// JSON.
    Json,
}

/// How much of a document is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Lists and maps within each other.
    pub depth: usize,
    /// Lists, maps and scalars, with what aliases expand to.
    pub nodes: usize,
}

impl Default for Limits {
    /// 1 MiB, 32 deep, 50,000 nodes: an ECS task definition has at most 64 KiB, is 7 deep, and rarely has
    /// more than a few hundred nodes.
    fn default() -> Self {
        Self {
            bytes: 1_048_576,
            depth: 32,
            nodes: 50_000,
        }
    }
}

/// Line and column, both from 1.
pub type Position = (u64, u64);

/// A document that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// How it was written.
    pub(super) format: Format,
    /// What is in it.
    pub(super) root: Node,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Where it begins, if the text is known.
    pub(super) position: Option<Position>,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a part of a document is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Nothing.
    Null,
    /// True or false, and how it was spelled.
    Flag(bool, Option<Box<str>>),
    /// A number, and how it was spelled.
    Number(Number, Option<Box<str>>),
    /// A text.
    Text(String),
    /// Parts in an order.
    List(Vec<Node>),
    /// Parts with names, in the order of the text; no name occurs twice.
    Map(Vec<Entry>),
}

/// A part with a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The name.
    pub(super) key: String,
    /// Where the name begins, if the text is known.
    pub(super) position: Option<Position>,
    /// The part.
    pub(super) value: Node,
}

impl Document {
    /// Reads `bytes` within the default limits.
    pub fn read(bytes: &[u8], format: Format) -> Result<Self, Faults> {
        Self::read_within(bytes, format, Limits::default())
    }

    /// Reads `bytes` within `limits`. What cannot be read is one fault, at its place.
    pub fn read_within(bytes: &[u8], format: Format, limits: Limits) -> Result<Self, Faults> {
        let read = || {
            if bytes.len() > limits.bytes {
                return Err(fault(
                    None,
                    format!(
                        "the document has {} bytes; at most {} are read",
                        bytes.len(),
                        limits.bytes
                    ),
                ));
            }
            let text = std::str::from_utf8(bytes).map_err(|error| {
                let before = &bytes[..error.valid_up_to()];
                fault(
                    Some(end_of(before)),
                    "the document is not UTF-8 from here on".to_owned(),
                )
            })?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let root = match format {
                Format::Yaml => read::yaml(text, limits)?,
                Format::Json => read::json(text, limits)?,
            };
            Ok(Self { format, root })
        };
        read().map_err(|fault| Faults::from_iter([fault]))
    }

    /// A document without a text, such as one that was stored.
    pub fn from_value(value: &Value) -> Self {
        Self {
            format: Format::Json,
            root: Node::from(value),
        }
    }

    /// What is in it.
    pub fn value(&self) -> Value {
        Value::from(&self.root)
    }

    /// Where `path` is in the text. A field is where its name is; what is not there at all is where the
    /// nearest thing around it is.
    pub fn position(&self, path: &str) -> Option<Position> {
        let mut node = &self.root;
        let mut position = node.position;
        let mut rest = path;
        while !rest.is_empty() {
            let step = match &node.kind {
                Kind::Map(entries) => entries.iter().find_map(|entry| {
                    path::strip_field(rest, &entry.key)
                        .map(|rest| (&entry.value, entry.position, rest))
                }),
                Kind::List(items) => path::strip_index(rest).and_then(|(index, rest)| {
                    items.get(index).map(|item| (item, item.position, rest))
                }),
                _ => None,
            };
            let Some((next, found, after)) = step else {
                break;
            };
            (node, position, rest) = (next, found.or(position), after);
        }
        position
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(flag) => Kind::Flag(*flag, None),
            Value::Number(number) => Kind::Number(number.clone(), None),
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    position: None,
                    value: Self::from(value),
                };
                Kind::Map(fields.iter().map(entry).collect())
            }
        };
        Self {
            position: None,
            kind,
        }
    }
}

impl From<&Node> for Value {
    fn from(node: &Node) -> Self {
        match &node.kind {
            Kind::Null => Self::Null,
            Kind::Flag(flag, _) => Self::Bool(*flag),
            Kind::Number(number, _) => Self::Number(number.clone()),
            Kind::Text(text) => Self::String(text.clone()),
            Kind::List(items) => Self::Array(items.iter().map(Self::from).collect()),
            Kind::Map(entries) => Self::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), Self::from(&entry.value)))
                    .collect(),
            ),
        }
    }
}

impl Node {
    /// How deep this is and how many parts it has. The reader of JSON bounds the recursion.
    fn measure(&self) -> (usize, usize) {
        let inner = |nodes: &mut dyn Iterator<Item = &Self>| {
            let (depth, count) = nodes.fold((0, 0), |(depth, count), node| {
                let (inner_depth, inner_count) = node.measure();
                (depth.max(inner_depth), count + inner_count)
            });
            (depth + 1, count + 1)
        };
        match &self.kind {
            Kind::List(items) => inner(&mut items.iter()),
            Kind::Map(entries) => inner(&mut entries.iter().map(|entry| &entry.value)),
            _ => (0, 1),
        }
    }

    /// Takes the positions of `other`, which is the same document read by another reader, as far as the
    /// two agree.
    fn adopt_positions(&mut self, other: &Self) {
        self.position = other.position;
        match (&mut self.kind, &other.kind) {
            (Kind::List(items), Kind::List(others)) if items.len() == others.len() => {
                for (item, other) in items.iter_mut().zip(others) {
                    item.adopt_positions(other);
                }
            }
            (Kind::Map(entries), Kind::Map(others)) if entries.len() == others.len() => {
                for (entry, other) in entries.iter_mut().zip(others) {
                    if entry.key == other.key {
                        entry.position = other.position;
                        entry.value.adopt_positions(&other.value);
                    }
                }
            }
            _ => {}
        }
    }
}

fn fault(position: Option<Position>, message: String) -> Fault {
    Fault {
        path: String::new(),
        position,
        message,
        hint: None,
    }
}

/// The line and column that follow on `text`.
fn end_of(text: &[u8]) -> Position {
    let line_start = text
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let line = text.split(|b| *b == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&text[line_start..]).chars().count();
    (line as u64, column as u64)
}
