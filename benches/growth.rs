//! How cost grows with the number of tasks, and the picture of it.

use std::fmt::Write as _;

use anyhow::Result;

use super::report::Report;
use super::services::{self, Load, TASKS_EACH};

/// Services of a server, each with two tasks: from 100 tasks to 10,000.
const SERVICES: [usize; 5] = [50, 150, 500, 1_500, 5_000];
/// The picture, in its own units: room for words at the left and below.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const BELOW: f64 = 40.0;
const ABOVE: f64 = 34.0;

/// What a server with so many tasks took.
pub struct Point {
    tasks: usize,
    load: Load,
}

/// Measures them, smallest first, and tells them as a table.
pub async fn points(report: &mut Report) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for services in SERVICES {
        let load = services::load(services).await?;
        let tasks = services * TASKS_EACH;
        points.push(Point { tasks, load });
    }
    report.section(
        "Growth",
        "Services of two tasks each on the simulated engine, durable, in a process that was started for each line. An event is a task \
         that is\nstopped, told, recorded and replaced: the CPU time of the whole process for it.",
    );
    report.table(&[
        "tasks",
        "CPU of one event",
        "idle: CPU of one core",
        "resident",
        "one service described, p99",
    ]);
    for Point { tasks, load } in &points {
        report.cells(&[
            &tasks.to_string(),
            &format!("{:.2} ms", super::millis(load.event)),
            &format!("{:.2} %", load.idle_percent),
            &format!("{:.0} MB", load.resident_mb),
            &format!("{:.2} ms", super::millis(load.describe_p99)),
        ]);
    }
    if let Some((few, many)) = points.first().zip(points.last()) {
        tell_bounds(report, few, many);
    }
    Ok(points)
}

fn tell_bounds(report: &mut Report, few: &Point, many: &Point) {
    report.section("Bounds of growth", "What is asked of the greatest number.");
    report.table(&super::HEADS);
    let tasks = many.tasks;
    report.row(
        &format!(
            "CPU of one event among {tasks} tasks, × among {}",
            few.tasks
        ),
        format!("{:.2}", many.load.event.div_duration_f64(few.load.event)),
        "2",
    );
    report.row(
        &format!("{tasks} tasks, idle: CPU of one core"),
        format!("{:.2} %", many.load.idle_percent),
        "2 %",
    );
    report.row(
        "the same: resident",
        format!("{:.0} MB", many.load.resident_mb),
        "200 MB",
    );
    report.row(
        "the same: one service described, p99",
        format!("{:.2} ms", super::millis(many.load.describe_p99)),
        "10 ms",
    );
}

/// Two curves over the number of tasks, which grows tenfold from mark to mark; each is drawn in parts of its greatest value.
pub fn picture(points: &[Point]) -> String {
    let event = |point: &Point| super::millis(point.load.event);
    let resident = |point: &Point| point.load.resident_mb;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let (bottom, right) = (HEIGHT - BELOW, WIDTH - LEFT);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {ABOVE}V{bottom}H{right}\" fill=\"none\" stroke=\"#8c959f\"/>"
    );
    for point in points {
        let (x, label) = (x(point.tasks, points), point.tasks);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#57606a\">{label}</text>",
            bottom + 18.0
        );
    }
    curve(
        &mut svg,
        points,
        &event,
        "#0969da",
        "CPU of one event, ms",
        0.0,
    );
    curve(
        &mut svg,
        points,
        &resident,
        "#bf3989",
        "resident, MB",
        WIDTH / 2.0,
    );
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#57606a\">tasks</text>\n</svg>",
        WIDTH / 2.0,
        HEIGHT - 4.0
    );
    svg
}

/// The number of tasks as a place from left to right, logarithmically.
fn x(tasks: usize, points: &[Point]) -> f64 {
    let log = |tasks: usize| (tasks as f64).ln();
    let ends = points.first().zip(points.last());
    let (first, last) = ends.map_or((0.0, 1.0), |(first, last)| {
        (log(first.tasks), log(last.tasks))
    });
    LEFT + 24.0 + (log(tasks) - first) / (last - first) * (WIDTH - 2.0 * LEFT - 48.0)
}

/// A curve with its figures beside it, and what it is above.
fn curve(
    svg: &mut String,
    points: &[Point],
    value: &dyn Fn(&Point) -> f64,
    colour: &str,
    name: &str,
    name_at: f64,
) {
    let most = points.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
    let y = |point: &Point| {
        let room = HEIGHT - BELOW - ABOVE - 20.0;
        HEIGHT - BELOW - value(point) / most * room
    };
    let line: Vec<String> = points
        .iter()
        .map(|point| format!("{:.1},{:.1}", x(point.tasks, points), y(point)))
        .collect();
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"18\" fill=\"{colour}\">{name}</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        LEFT + name_at,
        line.join(" ")
    );
    for point in points {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\">{:.1}</text>",
            x(point.tasks, points),
            y(point) - 6.0,
            value(point)
        );
    }
}
