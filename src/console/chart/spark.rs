//! A small line without axes, beside a figure.

use super::{Canvas, MOST_COLUMNS, Say, Svg, Tenths, chunks, portion};

const WIDTH: u64 = 120;
const HEIGHT: u64 = 28;
/// What is left free above and below, in tenths, so that the line is not cut.
const MARGIN: u64 = 20;

/// `values` in the order of time, drawn from nothing to the highest of them. Of many, each point is the highest of its
/// neighbours.
pub(in crate::console) fn sparkline(title: &str, values: &[u64], say: Say<'_>) -> Svg {
    let points: Vec<u64> = chunks(values.len(), MOST_COLUMNS)
        .filter_map(|(from, to)| values[from..to].iter().copied().max())
        .collect();
    let highest = points.iter().copied().max().unwrap_or_default();
    let described = match (values.first(), values.last()) {
        (Some(_), Some(last)) => {
            let lowest = values.iter().copied().min().unwrap_or_default();
            format!(
                "{} values, from {} to {}; the last is {}.",
                values.len(),
                say(lowest),
                say(highest),
                say(*last)
            )
        }
        _ => "There is no data yet.".to_owned(),
    };
    let mut canvas = Canvas::new("spark", WIDTH, HEIGHT, title, &described);
    let room = HEIGHT * 10 - 2 * MARGIN;
    let y = |value: u64| Tenths(MARGIN + room - portion(room, value.into(), highest.into()));
    let floor = Tenths(HEIGHT * 10 - MARGIN);
    match points.as_slice() {
        [] => canvas.line("grid", (Tenths(0), floor), (Tenths(WIDTH * 10), floor)),
        [only] => canvas.line(
            "line",
            (Tenths(0), y(*only)),
            (Tenths(WIDTH * 10), y(*only)),
        ),
        _ => {
            let steps = points.len() as u128 - 1;
            let path: Vec<String> = points
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let x = Tenths(portion(WIDTH * 10, index as u128, steps));
                    format!("{x},{}", y(*value))
                })
                .collect();
            let path = path.join(" ");
            canvas.raw(format_args!(
                "<polygon class=\"area\" points=\"0,{floor} {path} {WIDTH},{floor}\"/>"
            ));
            canvas.raw(format_args!(
                "<polyline class=\"line\" fill=\"none\" points=\"{path}\"/>"
            ));
        }
    }
    canvas.finish()
}
