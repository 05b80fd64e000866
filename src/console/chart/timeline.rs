//! The phases of a life, one below the other, each where it lies in the whole.

use super::{Canvas, Svg, Tenths, portion, short};

/// The most phases that are drawn.
const MOST_PHASES: usize = 16;
const WIDTH: u64 = 640;
const ROW: u64 = 26;
/// Where bars begin and how wide all of them are, in tenths.
const LEFT: u64 = 1_500;
const ROOM: u64 = 3_700;
/// The shortest bar that can be seen, in tenths.
const SHORTEST: u64 = 20;

/// A part of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Phase {
    /// What it is called.
    pub(in crate::console) name: String,
    /// The class of its colour: a word of this program, never of a user.
    pub(in crate::console) class: &'static str,
    /// When it began, in milliseconds.
    pub(in crate::console) from_ms: i64,
    /// When it ended, or now while it goes on.
    pub(in crate::console) to_ms: i64,
    /// How long it took, in words.
    pub(in crate::console) took: String,
}

/// A life as a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console) struct Timeline {
    /// What it is called.
    pub(in crate::console) title: String,
    /// In the order in which they began.
    pub(in crate::console) phases: Vec<Phase>,
}

impl Timeline {
    /// The picture: a row for each phase, with its name, its bar and how long it took.
    pub(in crate::console) fn draw(&self) -> Svg {
        let phases = &self.phases[..self.phases.len().min(MOST_PHASES)];
        let said: Vec<String> = phases
            .iter()
            .map(|phase| format!("{} took {}", phase.name, phase.took))
            .collect();
        let described = if said.is_empty() {
            "Nothing has happened yet.".to_owned()
        } else {
            format!("{}.", said.join("; "))
        };
        let height = (phases.len() as u64).max(1) * ROW + 4;
        let mut canvas = Canvas::new("timeline", WIDTH, height, &self.title, &described);
        let from = phases
            .iter()
            .map(|phase| phase.from_ms)
            .min()
            .unwrap_or_default();
        let to = phases
            .iter()
            .map(|phase| phase.to_ms)
            .max()
            .unwrap_or_default();
        let whole = since(from, to);
        for (row, phase) in (0_u64..).zip(phases) {
            let begins = portion(ROOM, since(from, phase.from_ms), whole);
            let ends = portion(ROOM, since(from, phase.to_ms), whole);
            let width = ends.saturating_sub(begins).max(SHORTEST);
            let begins = begins.min(ROOM - SHORTEST);
            let (x, y) = (LEFT + begins, row * ROW * 10 + 50);
            let words = y + 130;
            canvas.words(
                "axis",
                "end",
                (Tenths(LEFT - 100), Tenths(words)),
                &short(&phase.name, 18),
            );
            let says = format!("{}: {}", phase.name, phase.took);
            let size = (Tenths(width), Tenths(180));
            canvas.rect(
                &format!("phase phase-{}", phase.class),
                (Tenths(x), Tenths(y)),
                size,
                &says,
            );
            let after = (Tenths(x + width + 80), Tenths(words));
            canvas.words("legend", "start", after, &short(&phase.took, 18));
        }
        if phases.is_empty() {
            canvas.words(
                "empty",
                "middle",
                (Tenths(WIDTH * 5), Tenths(180)),
                "nothing has happened yet",
            );
        }
        canvas.finish()
    }
}

/// How long it is from one moment to the other; nothing if that lies before.
fn since(from: i64, to: i64) -> u128 {
    u128::try_from(i128::from(to) - i128::from(from)).unwrap_or_default()
}
