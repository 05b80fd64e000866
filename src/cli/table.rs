//! Tables without lines, as wide as the terminal; as wide as they need to be where there is none.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement};

use super::sanitise::one_line;
use crate::domain::display::Tone;

/// One field of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    text: String,
    tone: Tone,
}

impl Field {
    /// `text`, made harmless.
    pub(super) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: one_line(text.as_ref()),
            tone,
        }
    }

    /// The status of something, in ECS's words, with the tone that goes with it.
    pub(super) fn status(text: impl AsRef<str>) -> Self {
        let tone = Tone::of_status(text.as_ref());
        Self::new(text, tone)
    }

    /// What became of a deployment, in ECS's words, with the tone that goes with it.
    pub(super) fn deployment(text: impl AsRef<str>) -> Self {
        let tone = Tone::of_deployment(text.as_ref());
        Self::new(text, tone)
    }
}

impl<T: AsRef<str>> From<T> for Field {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// How wide a table may be, and whether it may have colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Columns of the terminal; `None` when there is none.
    pub(super) width: Option<u16>,
    /// Whether tones become colours.
    pub(super) colour: bool,
}

/// Fewer columns than that are none that one can read in.
const NARROWEST: usize = 16;

/// The lines of `text`, broken between words, none of which is wider than `width` columns.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut table = comfy_table::Table::new();
    let width = u16::try_from(width.max(NARROWEST)).unwrap_or(u16::MAX);
    table
        .load_style(NOTHING)
        .force_no_tty()
        .set_width(width)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .add_row([text]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    let lines: Vec<String> = table.trim_fmt().lines().map(ToOwned::to_owned).collect();
    if lines.is_empty() {
        vec![String::new()]
    } else {
        lines
    }
}

/// Rows under a head.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Field>>,
    whole: usize,
}

impl Table {
    /// A table with these columns. The first of them is never broken over lines, so that an ID in it can be
    /// copied.
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
            whole: 0,
        }
    }

    /// The column that is never broken over lines is another.
    pub(super) fn keep_whole(mut self, column: usize) -> Self {
        self.whole = column;
        self
    }

    /// Adds a row; as many fields as there are columns.
    pub(super) fn row<const N: usize>(&mut self, fields: [Field; N]) {
        self.rows.push(fields.into());
    }

    /// Whether there is nothing but the head.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; each line ends with a new line. Columns in which nothing stands are left out.
    pub(super) fn render(&self, look: Look) -> String {
        let columns: Vec<usize> = (0..self.head.len())
            .filter(|column| self.is_used(*column))
            .collect();
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).force_no_tty();
        if look.colour {
            table.enforce_styling();
        }
        if let Some(width) = look.width {
            table
                .set_width(width)
                .set_content_arrangement(ContentArrangement::Dynamic);
        }
        let head = |column: &usize| Cell::new(self.head[*column]).add_attribute(Attribute::Bold);
        table.set_header(columns.iter().map(head));
        for row in &self.rows {
            table.add_row(
                columns
                    .iter()
                    .filter_map(|column| row.get(*column))
                    .map(cell),
            );
        }
        for (position, column) in columns.iter().enumerate() {
            let Some(drawn) = table.column_mut(position) else {
                continue;
            };
            drawn.set_padding((0, 2));
            if *column == self.whole {
                drawn.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }

    fn is_used(&self, column: usize) -> bool {
        column == self.whole
            || self
                .rows
                .iter()
                .any(|row| row.get(column).is_some_and(|field| !field.text.is_empty()))
    }
}

fn cell(field: &Field) -> Cell {
    let cell = Cell::new(&field.text);
    match field.tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Busy => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Past => cell.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["TASK", "STATUS", "EMPTY", "NOTE"]);
        table.row([
            "0123456789ab".into(),
            Field::status("RUNNING"),
            "".into(),
            "a\x1b[2Jb".into(),
        ]);
        table.row([
            "ba9876543210".into(),
            Field::status("STOPPED"),
            "".into(),
            "a reason that is long enough to need a second line".into(),
        ]);
        table
    }

    #[test]
    fn without_a_terminal_it_is_as_wide_as_it_needs_to_be() {
        assert_eq!(
            table().render(Look::default()),
            "TASK          STATUS   NOTE\n\
             0123456789ab  RUNNING  a\\x1b[2Jb\n\
             ba9876543210  STOPPED  a reason that is long enough to need a second line\n"
        );
    }

    #[test]
    fn on_a_terminal_it_fits_and_ids_stay_whole() {
        let text = table().render(Look {
            width: Some(50),
            colour: false,
        });
        assert!(
            text.lines().all(|line| line.chars().count() <= 50),
            "{text}"
        );
        assert!(
            text.contains("0123456789ab") && text.contains("ba9876543210"),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn colours_only_when_wanted() {
        assert!(
            table()
                .render(Look {
                    width: None,
                    colour: true
                })
                .contains("\x1b[")
        );
    }
}
