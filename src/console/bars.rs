//! Bars and small lines, drawn as SVG whose figures are attributes: the policy of pages allows no style of their own.

use std::fmt::Write as _;

use super::format::Svg;

const WIDTH: u64 = 240;
const HEIGHT: u64 = 14;

/// A bar of what there is in `whole`, of which `reserved` is given away and `used` is used. The text beside it says the same,
/// so whoever cannot see it misses nothing.
pub(super) fn capacity(used: u64, reserved: u64, whole: u64) -> Svg {
    let width = |amount: u64| {
        let whole = whole.max(reserved).max(1);
        (u128::from(amount.min(whole)) * u128::from(WIDTH) / u128::from(whole))
            .min(u128::from(WIDTH))
    };
    let (reserved, used) = (width(reserved), width(used));
    let thin = HEIGHT / 2;
    Svg(format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
<rect class=\"free\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"3\"/>\
<rect class=\"reserved\" width=\"{reserved}\" height=\"{HEIGHT}\" rx=\"3\"/>\
<rect class=\"used\" y=\"{}\" width=\"{used}\" height=\"{thin}\" rx=\"2\"/></svg>",
        HEIGHT / 4
    ))
}

/// A bar of tasks by state, each state as wide as it has tasks, with marks where the bounds of a deployment are.
pub(super) fn tasks(parts: &[(&str, u64)], marks: &[u64]) -> Svg {
    let sum: u64 = parts.iter().map(|(_, count)| count).sum();
    let whole = marks.iter().copied().max().unwrap_or(0).max(sum).max(1);
    let place = |count: u64| count * WIDTH * 2 / whole;
    let (width, height) = (WIDTH * 2, HEIGHT + 8);
    let mut svg = format!(
        "<svg class=\"bar marked\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
<rect class=\"free\" y=\"4\" width=\"{width}\" height=\"{HEIGHT}\" rx=\"3\"/>"
    );
    let mut before = 0;
    for (class, count) in parts.iter().filter(|(_, count)| *count > 0) {
        let (x, end) = (place(before), place(before + count));
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"4\" width=\"{}\" height=\"{HEIGHT}\" rx=\"3\"/>",
            (end - x).saturating_sub(1)
        );
        before += count;
    }
    for mark in marks {
        let x = place(*mark).clamp(1, width - 1);
        let _ = write!(
            svg,
            "<line class=\"rule\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{height}\"/>"
        );
    }
    svg.push_str("</svg>");
    Svg(svg)
}

/// A line through `values`, the oldest on the left, with a dot at the newest; nothing where there are none.
pub(super) fn sparkline(values: &[i128]) -> Svg {
    const TALL: i128 = 40;
    /// What the dot needs at each side.
    const DOT: i128 = 4;
    let Some(steps) = values.len().checked_sub(1) else {
        return Svg::default();
    };
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let width = i128::from(WIDTH) - 2 * DOT;
    let step = width * 100 / i128::try_from(steps.max(1)).unwrap_or(1);
    let (mut points, mut end) = (String::new(), (0, 0));
    let mut x = if steps == 0 { width * 100 } else { 0 };
    for value in values {
        end = (
            DOT + x / 100,
            TALL - DOT - (TALL - 2 * DOT) * value.max(&0) / highest,
        );
        let _ = write!(points, "{},{} ", end.0, end.1);
        x += step;
    }
    Svg(format!(
        "<svg viewBox=\"0 0 {WIDTH} {TALL}\" width=\"{WIDTH}\" height=\"{TALL}\" aria-hidden=\"true\">\
<polyline class=\"line\" points=\"{}\"/><circle class=\"end\" cx=\"{}\" cy=\"{}\" r=\"3\"/></svg>",
        points.trim_end(),
        end.0,
        end.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_their_frame_whatever_they_show() {
        for (used, reserved, whole) in [
            (0, 0, 0),
            (5, 10, 10),
            (u64::MAX, u64::MAX, 1),
            (1, 2, u64::MAX),
        ] {
            let Svg(svg) = capacity(used, reserved, whole);
            for part in svg.split(" width=\"").skip(1) {
                let width: u64 = part.split('"').next().unwrap().parse().unwrap();
                assert!(width <= WIDTH, "{svg}");
            }
        }
        let Svg(svg) = tasks(&[("good", 2), ("busy", 0), ("bad", 1)], &[2, 4]);
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert_eq!(svg.matches("<line").count(), 2, "{svg}");
        assert!(tasks(&[], &[]).0.ends_with("</svg>"));
    }

    #[test]
    fn a_line_ends_in_a_dot_which_is_all_there_is_of_a_single_day() {
        assert_eq!(sparkline(&[]).0, "");
        let Svg(day) = sparkline(&[1]);
        assert!(day.contains("cx=\"236\" cy=\"4\""), "{day}");
        let Svg(days) = sparkline(&[0, 5, 10]);
        assert!(days.contains("points=\"4,36 120,20 236,4\""), "{days}");
        assert!(days.contains("cx=\"236\" cy=\"4\""), "{days}");
    }
}
