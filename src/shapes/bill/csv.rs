//! A bill as a table: RFC 4180, one row a line of the bill.
//!
//! Spreadsheets take a field that begins with `=`, `+`, `-` or `@` for a formula, and names and tags are whatever
//! somebody has typed; so a text that begins like that is preceded by an apostrophe. Numbers never are.

use super::Bill;

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// What somebody may have typed.
    Text(String),
    /// What Neargate has written: a number, a time, a word.
    Plain(String),
    /// Nothing.
    Null,
}

impl Cell {
    /// `text`, if there is one.
    pub(super) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.to_owned()))
    }

    /// A number or the like, if there is one.
    pub(super) fn plain<T: ToString>(value: Option<T>) -> Self {
        value.map_or(Self::Null, |value| Self::Plain(value.to_string()))
    }

    fn written(&self) -> String {
        let text = match self {
            Self::Null => return String::new(),
            Self::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) => {
                format!("'{text}")
            }
            Self::Plain(text) | Self::Text(text) => text.clone(),
        };
        if text.contains(['"', ',', '\r', '\n']) {
            return format!("\"{}\"", text.replace('"', "\"\""));
        }
        text
    }
}

/// A table with that head. Every line ends as RFC 4180 wants it.
pub(super) fn table(head: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let mut text = head.join(",");
    text.push_str("\r\n");
    for row in rows {
        let fields: Vec<String> = row.iter().map(Cell::written).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// The columns; they only ever become more.
const HEAD: [&str; 25] = [
    "from",
    "to",
    "group_by",
    "name",
    "cluster",
    "family",
    "revision",
    "service",
    "opened_at",
    "closed_at",
    "tasks",
    "running",
    "estimated",
    "duration_ms",
    "milli_vcpu_ms",
    "mib_ms",
    "vcpu_seconds",
    "gb_seconds",
    "used_vcpu_seconds",
    "used_gb_seconds",
    "price_sheet",
    "currency",
    "cost",
    "share_percent",
    "compared_cost",
];

impl Bill {
    /// As a table of comma-separated values. It has no line for the total, so that a program can add up a column.
    pub fn csv(&self) -> String {
        let rows = self.items.iter().map(|line| {
            let task = line.task.as_ref();
            let used = line.used.as_ref();
            vec![
                Cell::plain(Some(&self.from)),
                Cell::plain(Some(&self.to)),
                Cell::text(Some(&self.group_by)),
                Cell::text(line.name.as_deref()),
                Cell::text(line.cluster.as_deref()),
                Cell::text(task.map(|task| task.family.as_str())),
                Cell::plain(task.map(|task| task.revision)),
                Cell::text(task.and_then(|task| task.service.as_deref())),
                Cell::plain(task.map(|task| &task.opened_at)),
                Cell::plain(task.and_then(|task| task.closed_at.as_ref())),
                Cell::plain(Some(line.tasks)),
                Cell::plain(Some(line.running)),
                Cell::plain(Some(line.estimated)),
                Cell::plain(Some(line.duration_ms)),
                Cell::plain(Some(line.milli_vcpu_ms)),
                Cell::plain(Some(line.mib_ms)),
                Cell::plain(Some(&line.vcpu_seconds)),
                Cell::plain(Some(&line.gb_seconds)),
                Cell::plain(used.map(|used| &used.vcpu_seconds)),
                Cell::plain(used.map(|used| &used.gb_seconds)),
                Cell::text(Some(&self.price_sheet.name)),
                Cell::plain(Some(&self.price_sheet.currency)),
                Cell::plain(Some(&line.cost)),
                Cell::plain(Some(&line.share)),
                Cell::plain(line.compared_cost.as_ref()),
            ]
        });
        table(&HEAD, rows)
    }
}
