//! Pictures of everything that figures and names can be.

use proptest::prelude::*;

use super::*;

const EVIL: &str = "<script>alert('x')</script>\u{1b}[31m\u{202e}&\"";

fn say(value: u64) -> String {
    format!("{value} s")
}

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("day {index}")).collect()
}

/// Fails unless `svg` is one well-formed element without anything that could be made to run.
#[track_caller]
fn check(svg: &Svg) -> String {
    let text = svg.to_string();
    assert!(
        text.starts_with("<svg ") && text.ends_with("</svg>"),
        "{text}"
    );
    assert!(text.contains(" role=\"img\" ") && text.contains("<title>") && text.contains("<desc>"));
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bare > in {text}");
        let end = rest[start..]
            .find('>')
            .unwrap_or_else(|| panic!("an open tag in {text}"))
            + start;
        let tag = &rest[start + 1..end];
        let name = tag.trim_matches('/').split(' ').next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{text}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(
            [
                "svg", "title", "desc", "rect", "line", "text", "polyline", "polygon", "path"
            ]
            .contains(&name),
            "<{name}> in {text}"
        );
        for attribute in tag
            .split('"')
            .step_by(2)
            .skip(1)
            .chain(tag.split('"').next())
        {
            assert!(
                !attribute.contains("style=") && !attribute.contains(" on"),
                "{tag}"
            );
        }
        for number in ["x", "y", "width", "height", "points", "d"] {
            if let Some(value) = tag.split(&format!(" {number}=\"")).nth(1) {
                let value = value.split('"').next().unwrap();
                let is_number =
                    |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | 'M' | 'C');
                assert!(value.chars().all(is_number), "{number}={value} in {tag}");
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{text}");
    assert!(!text.chars().any(char::is_control), "{text}");
    text
}

#[test]
fn an_empty_chart_says_that_there_is_nothing() {
    for svg in [
        Stack::default().draw(&say),
        Stack {
            labels: labels(3),
            ..Stack::default()
        }
        .draw(&say),
        Lines::default().draw(&say),
        Lines {
            labels: labels(2),
            used: vec![None],
            ..Lines::default()
        }
        .draw(&say),
    ] {
        assert!(check(&svg).contains("There is no data yet."), "{svg}");
    }
    assert!(check(&Timeline::default().draw()).contains("Nothing has happened yet."));
    assert!(check(&Graph::default().draw()).contains("There is nothing in it."));
}

#[test]
fn one_point_is_a_picture_too() {
    let stack = Stack {
        title: "cost".to_owned(),
        labels: labels(1),
        series: vec![("web".to_owned(), vec![5])],
    };
    let stack = check(&stack.draw(&say));
    assert!(stack.contains("<desc>day 0: 5 s.</desc>"), "{stack}");
    assert!(stack.contains("<title>day 0, web: 5 s</title>"), "{stack}");
    let lines = Lines {
        labels: labels(1),
        reserved: vec![Some(4)],
        used: vec![Some(1)],
        ..Lines::default()
    };
    assert!(check(&lines.draw(&say)).contains("day 0: reserved 4 s, used 1 s."));
}

#[test]
fn a_column_is_as_high_as_its_part_of_the_highest() {
    let stack = Stack {
        title: "cost".to_owned(),
        labels: labels(2),
        series: vec![
            ("small".to_owned(), vec![1, 0]),
            ("large".to_owned(), vec![3, 2]),
        ],
    };
    let text = check(&stack.draw(&say));
    // 160 units for 4: the larger series comes first, so it lies below.
    for part in [
        "class=\"series-1\" x=\"108\" y=\"52\" width=\"256\" height=\"120\"><title>day 0, large: 3 s",
        "class=\"series-2\" x=\"108\" y=\"12\" width=\"256\" height=\"40\"><title>day 0, small: 1 s",
        "class=\"series-1\" x=\"370\" y=\"92\" width=\"256\" height=\"80\"><title>day 1, large: 2 s",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !text.contains("day 1, small"),
        "nothing is drawn for nothing: {text}"
    );
}

#[test]
fn many_columns_and_series_are_put_together() {
    let stack = Stack {
        title: "cost".to_owned(),
        labels: labels(10_000),
        series: (0..100)
            .map(|index| (format!("s{index}"), vec![1; 10_000]))
            .collect(),
    };
    let text = check(&stack.draw(&say));
    assert!(text.len() < 110_000, "{} bytes", text.len());
    assert!(text.contains(">93 others</text>"), "{text}");
    assert!(text.contains("day 0 to day 161"), "{text}");
}

#[test]
fn a_hole_in_the_figures_is_a_hole_in_the_line() {
    let lines = Lines {
        title: "CPU".to_owned(),
        labels: labels(4),
        reserved: vec![Some(10), None, Some(10), Some(10)],
        used: vec![Some(5), None, None, Some(0)],
    };
    let text = check(&lines.draw(&say));
    assert_eq!(
        text.matches("<polyline class=\"limit\"").count(),
        2,
        "{text}"
    );
    assert!(
        text.contains("day 1: reserved no data, used no data"),
        "{text}"
    );
    assert!(
        text.contains("day 2: reserved 10 s, used no data"),
        "{text}"
    );
}

#[test]
fn names_cannot_be_made_to_run() {
    let evil = || EVIL.to_owned();
    let said = |_: u64| EVIL.to_owned();
    let stack = Stack {
        title: evil(),
        labels: vec![evil(), evil()],
        series: vec![(evil(), vec![1, 2])],
    };
    let lines = Lines {
        title: evil(),
        labels: vec![evil()],
        reserved: vec![Some(1)],
        used: vec![Some(1)],
    };
    let timeline = Timeline {
        title: evil(),
        phases: vec![Phase {
            name: evil(),
            class: "ran",
            from_ms: 0,
            to_ms: 1,
            took: evil(),
        }],
    };
    let node = Node {
        name: evil(),
        note: evil(),
        class: "running",
    };
    let graph = Graph {
        title: evil(),
        nodes: vec![node.clone(), node],
        edges: vec![Edge {
            from: 0,
            to: 1,
            label: evil(),
        }],
    };
    for svg in [
        stack.draw(&said),
        lines.draw(&said),
        timeline.draw(),
        graph.draw(),
    ] {
        let text = check(&svg);
        assert!(
            !text.contains("<script") && text.contains("&lt;script"),
            "{text}"
        );
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn phases_lie_where_they_were() {
    let phase = |name: &str, from_ms, to_ms| Phase {
        name: name.to_owned(),
        class: "ran",
        from_ms,
        to_ms,
        took: format!("{} ms", to_ms - from_ms),
    };
    let timeline = Timeline {
        title: "Life".to_owned(),
        phases: vec![phase("waited", 1_000, 1_500), phase("ran", 1_500, 2_000)],
    };
    let text = check(&timeline.draw());
    assert!(
        text.contains("<desc>waited took 500 ms; ran took 500 ms.</desc>"),
        "{text}"
    );
    assert!(text.contains("x=\"150\" y=\"5\" width=\"185\""), "{text}");
    assert!(text.contains("x=\"335\" y=\"31\" width=\"185\""), "{text}");
    // A clock that went back makes no picture fail.
    let timeline = Timeline {
        phases: vec![
            phase("a", 5, 1),
            phase("b", i64::MIN, -1),
            phase("c", 0, i64::MAX),
        ]
        .into_iter()
        .map(|one| Phase {
            took: String::new(),
            ..one
        })
        .collect(),
        ..timeline
    };
    check(&timeline.draw());
}

#[test]
fn what_waits_stands_to_the_right_of_what_it_waits_for() {
    let node = |name: &str| Node {
        name: name.to_owned(),
        note: "RUNNING".to_owned(),
        class: "running",
    };
    let edge = |from, to, label: &str| Edge {
        from,
        to,
        label: label.to_owned(),
    };
    let graph = Graph {
        title: "Containers".to_owned(),
        nodes: vec![node("web"), node("db"), node("migrate")],
        edges: vec![
            edge(1, 2, "HEALTHY"),
            edge(2, 0, "SUCCESS"),
            edge(1, 0, "HEALTHY"),
            edge(9, 0, "START"),
        ],
    };
    let text = check(&graph.draw());
    let place = |name: &str| -> u64 {
        let before = text
            .split(&format!("<title>{name}: RUNNING</title>"))
            .next()
            .unwrap();
        let x = before.rsplit(" x=\"").next().unwrap();
        x.split('"').next().unwrap().parse().unwrap()
    };
    assert!(
        place("db") < place("migrate") && place("migrate") < place("web"),
        "{text}"
    );
    assert!(text.contains("web waits for migrate (SUCCESS)"), "{text}");
    assert_eq!(
        text.matches("<path ").count(),
        3,
        "an arrow from nowhere is left out: {text}"
    );
    // A circle, which no definition can have, ends.
    let circle = Graph {
        edges: vec![edge(0, 1, "a"), edge(1, 0, "b"), edge(2, 2, "c")],
        ..graph
    };
    check(&circle.draw());
}

#[test]
fn a_portion_is_within_the_whole_whatever_the_numbers() {
    assert_eq!(portion(100, 1, 2), 50);
    assert_eq!(portion(100, 0, 0), 0);
    assert_eq!(portion(100, 5, 2), 100);
    assert_eq!(portion(100, u128::MAX / 2, u128::MAX), 50 - 1);
    assert_eq!(portion(100, u128::MAX, u128::MAX), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_figures_make_a_picture(
        rows in prop::collection::vec((".{0,30}", prop::collection::vec(any::<u64>(), 0..40)), 0..12),
        names in prop::collection::vec(".{0,30}", 0..400),
    ) {
        let stack = Stack { title: "t".to_owned(), labels: names.clone(), series: rows.clone() };
        check(&stack.draw(&say));
        let values: Vec<Option<u64>> = rows
            .iter()
            .flat_map(|(_, values)| values.iter().map(|value| (value % 3 > 0).then_some(*value)))
            .collect();
        let lines = Lines { title: "t".to_owned(), labels: names, reserved: values.clone(), used: values };
        check(&lines.draw(&say));
    }

    #[test]
    fn any_life_and_any_dependencies_make_a_picture(
        phases in prop::collection::vec((".{0,30}", any::<i64>(), any::<i64>()), 0..30),
        nodes in prop::collection::vec(".{0,40}", 0..60),
        edges in prop::collection::vec((0_usize..70, 0_usize..70), 0..80),
    ) {
        let phases = phases
            .into_iter()
            .map(|(name, from_ms, to_ms)| Phase { took: name.clone(), name, class: "ran", from_ms, to_ms })
            .collect();
        check(&Timeline { title: "t".to_owned(), phases }.draw());
        let nodes = nodes.into_iter().map(|name| Node { note: name.clone(), name, class: "running" });
        let edges = edges.into_iter().map(|(from, to)| Edge { from, to, label: "HEALTHY".to_owned() });
        let graph = Graph { title: "t".to_owned(), nodes: nodes.collect(), edges: edges.collect() };
        check(&graph.draw());
    }
}
