//! The two readers of documents, YAML and JSON. One visitor serves both; they differ in how a part says
//! where it is.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error as YamlError, Location, Spanned, UserMessageFormatter};

use super::{Entry, Kind, Limits, Node, Position, fault};
use crate::domain::Fault;
use crate::shapes::path;

// --- YAML ---------------------------------------------------------------------------------------------

pub(super) fn yaml(text: &str, limits: Limits) -> Result<Node, Fault> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        reject_unsupported_tags: true,
        // They come through as numbers, and `Node` makes text of them.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            flow_nesting_limit: limits.depth + 1,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(4),
            max_recorded_anchor_events: limits.nodes.saturating_mul(4),
            max_recorded_anchor_bytes: limits.bytes.saturating_mul(4),
            max_total_scalar_bytes: limits.bytes.saturating_mul(4),
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes,
            max_replay_stack_depth: limits.depth,
        },
    };
    let mut root = serde_saphyr::from_str_with_options::<Placed>(text, options)
        .map_err(|error| yaml_fault(&error))?
        .into_node(text);
    // Of an empty text the reader says that it begins nowhere.
    root.position = root.position.or(Some((1, 1)));
    Ok(root)
}

fn yaml_fault(error: &YamlError) -> Fault {
    let position = error.location().and_then(position_of);
    match error.without_snippet() {
        YamlError::DuplicateMappingKey { key, .. } => duplicate(position, key.as_deref()),
        YamlError::MultipleDocuments { .. } => Fault {
            hint: Some("send each document by itself".to_owned()),
            ..fault(
                position,
                "a second YAML document begins here; one is read".to_owned(),
            )
        },
        YamlError::Budget { .. }
        | YamlError::AliasReplayCounterOverflow { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => Fault {
            hint: Some("write it with fewer aliases, fewer entries or less depth".to_owned()),
            ..fault(
                position,
                "the document is too large, too deep or grows too much through its aliases"
                    .to_owned(),
            )
        },
        error => {
            let text = error.render_with_formatter(&UserMessageFormatter);
            let text = path::printable(
                text.rsplit_once(" at line ")
                    .map_or(&text, |(text, _)| text),
            );
            Fault {
                hint: text
                    .starts_with("mapping values are not allowed")
                    .then(|| "put a value with `: ` in it in quotes".to_owned()),
                ..fault(position, format!("is not valid YAML: {text}"))
            }
        }
    }
}

fn duplicate(position: Option<Position>, key: Option<&str>) -> Fault {
    Fault {
        hint: Some("a name may occur once in a map; remove one of the two".to_owned()),
        ..fault(
            position,
            match key {
                Some(key) => format!("{} is there twice", path::quote(key)),
                None => "a key is there twice".to_owned(),
            },
        )
    }
}

fn position_of(location: Location) -> Option<Position> {
    (location.line() > 0).then(|| (location.line(), location.column()))
}

// --- JSON ---------------------------------------------------------------------------------------------

pub(super) fn json(text: &str, limits: Limits) -> Result<Node, Fault> {
    let mut root = serde_json::from_str::<Plain>(text)
        .map_err(|error| json_fault(&error, text))?
        .0;
    let (depth, nodes) = root.measure();
    if depth > limits.depth || nodes > limits.nodes {
        return Err(fault(
            None,
            format!(
                "the document is {depth} deep and has {nodes} parts; at most {} and {} are read",
                limits.depth, limits.nodes
            ),
        ));
    }
    if let Ok(placed) = yaml(text, limits) {
        root.adopt_positions(&placed);
    }
    Ok(root)
}

fn json_fault(error: &serde_json::Error, text: &str) -> Fault {
    let position = (error.line() > 0).then(|| (error.line() as u64, error.column().max(1) as u64));
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    if let Some(key) = message.strip_prefix(TWICE) {
        return duplicate(position, Some(key));
    }
    let start = text.trim_start();
    if start.is_empty() {
        return fault(position, "the document is empty".to_owned());
    }
    if !start.starts_with(['{', '[', '"']) {
        return Fault {
            hint: Some(
                "it was sent as JSON; YAML has the content type application/yaml".to_owned(),
            ),
            ..fault(position, "is not JSON".to_owned())
        };
    }
    let message = path::printable(message);
    fault(position, format!("is not valid JSON: {message}"))
}

// --- Both ---------------------------------------------------------------------------------------------

/// How the two readers hand over a key and a part.
trait Reading: Sized {
    type Key: DeserializeOwned;
    type Part: DeserializeOwned;
    fn entry(key: Self::Key, part: Self::Part) -> RawEntry<Self::Part>;
}

struct RawEntry<P> {
    key: String,
    position: Option<Position>,
    part: P,
}

/// A part of JSON.
struct Plain(Node);

/// A part of YAML.
struct Placed(Spanned<Raw<Placed>>);

/// A part whose own parts are still as the reader gave them.
enum Raw<P> {
    Null,
    Flag(bool),
    Number(Number),
    /// A number that JSON does not have: `.inf`, `1e999`.
    NotFinite,
    Text(String),
    List(Vec<P>),
    Map(Vec<RawEntry<P>>),
}

impl Reading for Plain {
    type Key = String;
    type Part = Self;

    fn entry(key: String, part: Self) -> RawEntry<Self> {
        RawEntry {
            key,
            position: None,
            part,
        }
    }
}

impl Reading for Placed {
    type Key = Spanned<String>;
    type Part = Self;

    fn entry(key: Spanned<String>, part: Self) -> RawEntry<Self> {
        RawEntry {
            key: key.value,
            position: position_of(key.referenced),
            part,
        }
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = deserializer.deserialize_any(RawVisitor::<Self>(PhantomData))?;
        Ok(Self(raw.into_node(None, None, |part| part.0)))
    }
}

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Raw<Placed> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor::<Placed>(PhantomData))
    }
}

impl Placed {
    /// The part, with spellings cut from `text`.
    fn into_node(self, text: &str) -> Node {
        let Spanned {
            value,
            referenced,
            defined,
        } = self.0;
        value.into_node(position_of(referenced), spelling(text, defined), |part| {
            part.into_node(text)
        })
    }
}

/// The piece of `text` at `location`.
fn spelling(text: &str, location: Location) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    text.get(start..start.checked_add(length)?).map(str::trim)
}

impl<P> Raw<P> {
    fn into_node(
        self,
        position: Option<Position>,
        spelling: Option<&str>,
        child: impl Fn(P) -> Node,
    ) -> Node {
        let kind = match self {
            Self::Null => Kind::Null,
            Self::Flag(flag) => Kind::Flag(flag, spelling.map(Into::into)),
            Self::Number(number) => Kind::Number(number, spelling.map(Into::into)),
            Self::NotFinite => Kind::Text(spelling.unwrap_or(".nan").to_owned()),
            Self::Text(text) => Kind::Text(text),
            Self::List(parts) => Kind::List(parts.into_iter().map(child).collect()),
            Self::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|entry| Entry {
                        key: entry.key,
                        position: entry.position,
                        value: child(entry.part),
                    })
                    .collect(),
            ),
        };
        Node { position, kind }
    }
}

/// How the visitor tells [`json_fault`] that a key is there twice; the key follows.
const TWICE: &str = "twice: ";

struct RawVisitor<R>(PhantomData<R>);

impl<'de, R: Reading> Visitor<'de> for RawVisitor<R> {
    type Value = Raw<R::Part>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Raw::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Raw::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Raw::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Raw::NotFinite, Raw::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(part) = parts.next_element::<R::Part>()? {
            list.push(part);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut map: Vec<RawEntry<R::Part>> = Vec::new();
        let mut keys = HashSet::new();
        while let Some((key, part)) = parts.next_entry::<R::Key, R::Part>()? {
            let entry = R::entry(key, part);
            if !keys.insert(entry.key.clone()) {
                return Err(de::Error::custom(format_args!("{TWICE}{}", entry.key)));
            }
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
