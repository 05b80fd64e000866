//! What was reserved, as a line, and what was used of it, as an area below.

use super::stack::{described, span};
use super::{
    Canvas, HEIGHT, MOST_COLUMNS, PLOT, Say, Svg, Tenths, WIDTH, chunks, legend, legend_height,
    nothing,
};

/// A chart of two figures over time. Times that nobody has figures of are left free.
#[derive(Clone, Debug, Default)]
pub(in crate::console) struct Lines {
    /// What it is called.
    pub(in crate::console) title: String,
    /// What each column stands for.
    pub(in crate::console) labels: Vec<String>,
    /// What was reserved in each of them.
    pub(in crate::console) reserved: Vec<Option<u64>>,
    /// What was used in each of them.
    pub(in crate::console) used: Vec<Option<u64>>,
}

impl Lines {
    /// The chart. Of many columns, each that is drawn is the highest of its neighbours.
    pub(in crate::console) fn draw(&self, say: Say<'_>) -> Svg {
        let count = self.labels.len();
        let (reserved, used) = (
            highest_of(&self.reserved, count),
            highest_of(&self.used, count),
        );
        let Some(highest) = reserved.iter().chain(&used).flatten().copied().max() else {
            return nothing("lines", &self.title);
        };
        let labels: Vec<String> = chunks(count, MOST_COLUMNS)
            .map(|(from, to)| span(&self.labels[from..to]))
            .collect();
        let words = |value: Option<u64>| value.map_or_else(|| "no data".to_owned(), say);
        let both = |index: usize| {
            let (reserved, used) = (words(reserved[index]), words(used[index]));
            format!("reserved {reserved}, used {used}")
        };
        let described = described(&labels, &both);

        let height = HEIGHT + legend_height(2);
        let mut canvas = Canvas::new("lines", WIDTH, height, &self.title, &described);
        PLOT.frame(&mut canvas, highest, &labels, say);
        for (index, value) in used.iter().enumerate() {
            let Some(value) = value else { continue };
            let (from, to) = (PLOT.x(index, labels.len()), PLOT.x(index + 1, labels.len()));
            let y = PLOT.y((*value).into(), highest.into());
            let size = (Tenths(to.0 - from.0), Tenths(PLOT.top + PLOT.height - y.0));
            canvas.rect(
                "used",
                (from, y),
                size,
                &format!("{}: {}", labels[index], both(index)),
            );
        }
        for path in steps(&reserved, highest) {
            canvas.raw(format_args!(
                "<polyline class=\"limit\" fill=\"none\" points=\"{path}\"/>"
            ));
        }
        let entries = [("limit-key", "reserved"), ("used", "used")];
        let entries = entries.map(|(class, name)| (class.to_owned(), name.to_owned()));
        legend(&mut canvas, &entries);
        canvas.finish()
    }
}

/// The highest of what lies in the same column; `None` where nothing does.
fn highest_of(values: &[Option<u64>], count: usize) -> Vec<Option<u64>> {
    chunks(count, MOST_COLUMNS)
        .map(|(from, to)| {
            (from..to)
                .filter_map(|index| values.get(index).copied().flatten())
                .max()
        })
        .collect()
}

/// The points of each stretch without a hole, as steps: a figure holds for the whole of its column.
fn steps(values: &[Option<u64>], highest: u64) -> Vec<String> {
    let mut paths = Vec::new();
    let mut path: Vec<String> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                let y = PLOT.y((*value).into(), highest.into());
                path.push(format!("{},{y}", PLOT.x(index, values.len())));
                path.push(format!("{},{y}", PLOT.x(index + 1, values.len())));
            }
            None if path.is_empty() => {}
            None => paths.push(std::mem::take(&mut path).join(" ")),
        }
    }
    if !path.is_empty() {
        paths.push(path.join(" "));
    }
    paths
}
