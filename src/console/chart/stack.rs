//! Columns over time, each made of what several series have in it.

use super::{
    Canvas, HEIGHT, MOST_SAID, MOST_SERIES, MOST_STACKED, PLOT, Say, Svg, Tenths, WIDTH, chunks,
    gathered, legend, legend_height, nothing, portion,
};

/// A chart of stacked columns.
#[derive(Clone, Debug, Default)]
pub(in crate::console) struct Stack {
    /// What it is called.
    pub(in crate::console) title: String,
    /// What each column stands for.
    pub(in crate::console) labels: Vec<String>,
    /// The name of each series, and its part of each column; what is missing is nothing.
    pub(in crate::console) series: Vec<(String, Vec<u64>)>,
}

impl Stack {
    /// The chart, with a legend. The largest series come first; of very many, the smallest are put together.
    pub(in crate::console) fn draw(&self, say: Say<'_>) -> Svg {
        let series = self.told_apart();
        if self.labels.is_empty() || series.is_empty() {
            return nothing("stack", &self.title);
        }
        let labels: Vec<String> = chunks(self.labels.len(), MOST_STACKED)
            .map(|(from, to)| span(&self.labels[from..to]))
            .collect();
        let columns = labels.len();
        let sum = |index: usize| -> u128 {
            series
                .iter()
                .map(|(_, values)| u128::from(values[index]))
                .sum()
        };
        let highest = (0..columns).map(sum).max().unwrap_or_default();
        let shown = |sum: u128| say(u64::try_from(sum).unwrap_or(u64::MAX));
        let described = described(&labels, &|index| shown(sum(index)));

        let height = HEIGHT + legend_height(series.len());
        let mut canvas = Canvas::new("stack", WIDTH, height, &self.title, &described);
        let top = u64::try_from(highest).unwrap_or(u64::MAX);
        PLOT.frame(&mut canvas, top, &labels, say);
        for (index, label) in labels.iter().enumerate() {
            let (from, to) = (PLOT.x(index, columns), PLOT.x(index + 1, columns));
            let gap = ((to.0 - from.0) / 6).min(60);
            let width = Tenths((to.0 - from.0 - gap).max(1));
            let mut below: u128 = 0;
            for (place, (name, values)) in series.iter().enumerate() {
                let value = u128::from(values[index]);
                if value == 0 {
                    continue;
                }
                let (low, high) = (
                    portion(PLOT.height, below, highest),
                    portion(PLOT.height, below + value, highest),
                );
                below += value;
                let y = Tenths(PLOT.top + PLOT.height - high);
                let says = format!("{label}, {name}: {}", say(values[index]));
                let size = (width, Tenths(high - low));
                canvas.rect(&class(place), (from, y), size, &says);
            }
        }
        let entries: Vec<(String, String)> = series
            .iter()
            .enumerate()
            .map(|(place, (name, _))| (class(place), name.clone()))
            .collect();
        legend(&mut canvas, &entries);
        canvas.finish()
    }

    /// The series, the largest first, each with a figure for each column that is drawn.
    fn told_apart(&self) -> Vec<(String, Vec<u64>)> {
        let mut series: Vec<(u128, String, Vec<u64>)> = self
            .series
            .iter()
            .map(|(name, values)| {
                let mut values = values.clone();
                values.resize(self.labels.len(), 0);
                let sum = values.iter().map(|value| u128::from(*value)).sum();
                (sum, name.clone(), gathered(&values, MOST_STACKED))
            })
            .collect();
        series.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        let rest = if series.len() > MOST_SERIES {
            series.split_off(MOST_SERIES - 1)
        } else {
            Vec::new()
        };
        let mut told: Vec<(String, Vec<u64>)> = series
            .into_iter()
            .map(|(_, name, values)| (name, values))
            .collect();
        if let Some((_, _, first)) = rest.first() {
            let mut others = vec![0_u64; first.len()];
            for (_, _, values) in &rest {
                for (other, value) in others.iter_mut().zip(values) {
                    *other = other.saturating_add(*value);
                }
            }
            told.push((format!("{} others", rest.len()), others));
        }
        told
    }
}

/// The class of a series' colour.
fn class(place: usize) -> String {
    format!("series-{}", place % MOST_SERIES + 1)
}

/// What several columns that are drawn as one stand for.
pub(super) fn span(labels: &[String]) -> String {
    match labels {
        [] => String::new(),
        [only] => only.clone(),
        [first, .., last] => format!("{first} to {last}"),
    }
}

/// Each column and its figure, as far as there is room.
pub(super) fn described(labels: &[String], figure: &dyn Fn(usize) -> String) -> String {
    let said: Vec<String> = labels
        .iter()
        .take(MOST_SAID)
        .enumerate()
        .map(|(index, label)| format!("{label}: {}", figure(index)))
        .collect();
    let rest = labels.len().saturating_sub(MOST_SAID);
    let more = if rest > 0 {
        format!("; and {rest} more")
    } else {
        String::new()
    };
    format!("{}{more}.", said.join("; "))
}
