//! Pictures of figures: data in, SVG text out. PURE.
//!
//! A picture goes into a page as it is, so everything that a user named is escaped here, and nothing in it is a script
//! or a style: colours come from classes in the style sheet, so that they fit dark and light. Who cannot see it has its
//! title and its description, which say the numbers; who has a mouse finds them at each column and point. Coordinates
//! are integers in tenths of a unit, so that no figure, however large, makes anything but a picture; and a picture has
//! bounds, whatever it is made of ([`MOST_COLUMNS`], [`MOST_SERIES`]).

mod graph;
mod lines;
mod stack;
mod timeline;

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use super::format::Svg;

pub(in crate::console) use graph::{Edge, Graph, Node};
pub(in crate::console) use lines::Lines;
pub(in crate::console) use stack::Stack;
pub(in crate::console) use timeline::{Phase, Timeline};

/// The most columns or points that a picture has; neighbours are put together beyond that.
pub(in crate::console) const MOST_COLUMNS: usize = 240;
/// The most columns where each is made of several series.
const MOST_STACKED: usize = 62;
/// The most series that are told apart; the rest is put together as "others".
pub(in crate::console) const MOST_SERIES: usize = 8;
/// How many columns a description says in words.
const MOST_SAID: usize = 60;
/// The most characters of a name that a picture shows.
const MOST_NAMED: usize = 24;

/// How a figure is written for people.
pub(in crate::console) type Say<'a> = &'a dyn Fn(u64) -> String;

/// A length or place in tenths of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Tenths(u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            rest => write!(f, "{}.{rest}", self.0 / 10),
        }
    }
}

/// `length` × `part` / `whole`, at most `length`; nothing of nothing.
fn portion(length: u64, part: u128, whole: u128) -> u64 {
    if whole == 0 {
        return 0;
    }
    let part = part.min(whole);
    // More than 64 bits would not be seen in a picture.
    let shift = u128::BITS - whole.leading_zeros().min(u128::BITS);
    let shift = shift.saturating_sub(64);
    let (part, whole) = (part >> shift, (whole >> shift).max(1));
    let share = u128::from(length) * part / whole;
    u64::try_from(share).unwrap_or(length).min(length)
}

/// A picture that is being drawn.
struct Canvas(String);

impl Canvas {
    /// A picture of `width` × `height` units, with what it is called and what it says.
    fn new(class: &str, width: u64, height: u64, title: &str, description: &str) -> Self {
        let mut text = String::with_capacity(2_048);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart {class}\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"xMidYMid meet\"><title>{}</title><desc>{}</desc>",
            Escaped(title),
            Escaped(description)
        );
        Self(text)
    }

    fn raw(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(text);
    }

    /// A box; what it says is shown when one points to it.
    fn rect(
        &mut self,
        class: &str,
        (x, y): (Tenths, Tenths),
        (width, height): (Tenths, Tenths),
        says: &str,
    ) {
        self.raw(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\">"
        ));
        if !says.is_empty() {
            self.raw(format_args!("<title>{}</title>", Escaped(says)));
        }
        self.raw(format_args!("</rect>"));
    }

    fn line(&mut self, class: &str, from: (Tenths, Tenths), to: (Tenths, Tenths)) {
        self.raw(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// Words; `anchor` is where in them the place is: `start`, `middle` or `end`.
    fn words(&mut self, class: &str, anchor: &str, (x, y): (Tenths, Tenths), words: &str) {
        self.raw(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{}</text>",
            Escaped(words)
        ));
    }

    fn finish(mut self) -> Svg {
        self.0.push_str("</svg>");
        Svg(self.0)
    }
}

/// Text as it stands in an SVG: without its markup, its control characters, and what turns the direction of writing.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(' ')?,
                _ if c.is_control() || turns(c) => f.write_char('\u{fffd}')?,
                // No characters of XML.
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a character changes how what follows is written, without being seen.
const fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As much of a name as a picture shows.
fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The sum of what lies in the same column, where there are more columns than are drawn.
fn gathered(values: &[u64], columns: usize) -> Vec<u64> {
    chunks(values.len(), columns)
        .map(|(from, to)| {
            values[from..to]
                .iter()
                .fold(0, |sum, value| u64::saturating_add(sum, *value))
        })
        .collect()
}

/// The first and the end of each of `columns` parts of `length`; each has at least one.
fn chunks(length: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let size = length.div_ceil(columns.max(1)).max(1);
    (0..length.div_ceil(size)).map(move |index| (index * size, ((index + 1) * size).min(length)))
}

/// The three heights that a chart marks, and what they are called: nothing, half, and all.
fn marks(highest: u64, say: Say<'_>) -> [(u64, String); 3] {
    [0, highest / 2, highest].map(|value| (value, say(value)))
}

/// The part of a picture in which figures are drawn, in tenths.
#[derive(Clone, Copy, Debug)]
struct Plot {
    left: u64,
    top: u64,
    width: u64,
    height: u64,
}

/// The usual chart: room for the words at the left and below.
const PLOT: Plot = Plot {
    left: 1_080,
    top: 120,
    width: 5_240,
    height: 1_600,
};
/// The same in units: how large the picture is, without its legend.
const WIDTH: u64 = 640;
const HEIGHT: u64 = 200;
/// How high a line of the legend is, and how wide one of its entries, in units.
const LEGEND_LINE: u64 = 20;
const LEGEND_ENTRY: u64 = 210;

impl Plot {
    /// How far up `value` lies.
    fn y(self, value: u128, highest: u128) -> Tenths {
        Tenths(self.top + self.height - portion(self.height, value, highest))
    }

    /// Where the `index`th of `count` parts begins.
    fn x(self, index: usize, count: usize) -> Tenths {
        Tenths(self.left + portion(self.width, index as u128, count as u128))
    }

    /// The lines at the heights that are marked, and the words of the columns below.
    fn frame(self, canvas: &mut Canvas, highest: u64, labels: &[String], say: Say<'_>) {
        for (value, words) in marks(highest, say) {
            let y = self.y(value.into(), highest.into());
            canvas.line(
                "grid",
                (Tenths(self.left), y),
                (Tenths(self.left + self.width), y),
            );
            let beside = (Tenths(self.left - 60), Tenths(y.0 + 40));
            canvas.words("axis", "end", beside, &short(&words, 13));
        }
        let below = Tenths(self.top + self.height + 180);
        let named = match labels {
            [] => vec![],
            [_] => vec![(0, "start")],
            _ => vec![(0, "start"), (labels.len() - 1, "end")],
        };
        for (index, anchor) in named {
            let x = if anchor == "end" {
                self.left + self.width
            } else {
                self.left
            };
            canvas.words(
                "axis",
                anchor,
                (Tenths(x), below),
                &short(&labels[index], MOST_NAMED),
            );
        }
    }
}

/// A square of the colour of each series with its name, below the chart.
fn legend(canvas: &mut Canvas, entries: &[(String, String)]) {
    let columns = (WIDTH / LEGEND_ENTRY).max(1);
    for (index, (class, name)) in (0_u64..).zip(entries) {
        let x = 10 + index % columns * LEGEND_ENTRY;
        let y = HEIGHT + 8 + index / columns * LEGEND_LINE;
        let (x, y) = (x * 10, y * 10);
        canvas.rect(
            class,
            (Tenths(x), Tenths(y)),
            (Tenths(110), Tenths(110)),
            name,
        );
        let beside = (Tenths(x + 160), Tenths(y + 100));
        canvas.words("legend", "start", beside, &short(name, MOST_NAMED));
    }
}

/// How high a legend of so many entries is, in units.
fn legend_height(entries: usize) -> u64 {
    let columns = (WIDTH / LEGEND_ENTRY).max(1);
    (entries as u64).div_ceil(columns) * LEGEND_LINE + 8
}

/// A picture that says that there is nothing to see yet.
fn nothing(class: &str, title: &str) -> Svg {
    let mut canvas = Canvas::new(class, WIDTH, HEIGHT, title, "There is no data yet.");
    let middle = (Tenths(WIDTH * 5), Tenths(HEIGHT * 5));
    canvas.words("empty", "middle", middle, "no data yet");
    canvas.finish()
}
