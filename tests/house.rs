//! The rules of the house: which room may import which, and that no test file is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may import from, beside itself. A room that is not listed must not exist.
///
/// `domain ← {plan, meter, store, engine} ← {control, reconcile} ← {shapes, api, console, cli} ← main`,
/// with two additions that `ARCHITECTURE.md` explains: an engine without pods of its own asks `plan::pod`
/// for the next step, and the log's shape is made from the engine's line.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("bell", &["domain"]),
    ("plan", &["domain"]),
    ("meter", &["domain", "plan"]), // plan: its tests drive the meter with the planner's own transitions
    ("store", &["domain"]),
    ("engine", &["domain", "plan"]),
    (
        "control",
        &["domain", "store", "engine", "bell", "clock", "meter"],
    ),
    (
        "reconcile",
        &[
            "domain", "store", "engine", "bell", "clock", "plan", "meter",
        ],
    ),
    ("shapes", &["domain", "engine", "meter", "control", "store"]),
    (
        "api",
        &[
            "domain",
            "store",
            "engine",
            "control",
            "shapes",
            "clock",
            "bell",
            "reconcile",
            "meter", // the words that a bill can be grouped by
        ],
    ),
    (
        "console",
        &[
            "domain", "store", "engine", "control", "shapes", "meter",
            "api", // it is mounted there, and refuses in the same words
        ],
    ),
    ("cli", &["domain", "shapes", "clock", "config"]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    (
        "serve",
        &[
            "domain",
            "clock",
            "bell",
            "store",
            "engine",
            "control",
            "reconcile",
            "api",
            "console",
            "cli",
            "config",
            "meter",
            "telemetry",
        ],
    ),
    ("lib", &["cli", "serve", "telemetry"]),
    ("main", &["cli", "serve", "telemetry"]),
];

/// Crates that only these places may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("bollard", &["src/engine/docker/client"]),
    ("sqlx", &["src/store"]),
    ("axum", &["src/api", "src/console"]),
    ("askama", &["src/console"]),
    ("reqwest", &["src/cli"]),
    ("tokio_tungstenite", &["src/cli"]),
];

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The room that a source file belongs to: its first folder below `src`, or its own name.
fn room_of(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file without its comments and its unit tests, which may use whatever they need.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let is_test = path.components().any(|part| part.as_os_str() == "tests")
        || path
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "fixtures");
    if is_test {
        return String::new();
    }
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that code names as `crate::room`, also within braces: `use crate::{a::B, c}`.
fn imports_of(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let preceded = code[..start]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        let rest = &code[start + "crate::".len()..];
        if preceded {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.extend(first_segment(&std::mem::take(&mut word))),
                    _ if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            rooms.extend(first_segment(&word));
        } else {
            rooms.extend(first_segment(rest));
        }
    }
    rooms
}

fn first_segment(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn imports_point_inward_only() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let room = room_of(&path);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!(
                "{}: room `{room}` has no place in the house: add it to ALLOWED",
                path.display()
            ));
            continue;
        };
        for import in imports_of(&code_of(&path)) {
            let is_room = ALLOWED.iter().any(|(name, _)| *name == import);
            if is_room && import != room && !allowed.contains(&import.as_str()) {
                wrong.push(format!(
                    "{}: `{room}` must not import `{import}`",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_check_of_imports_can_fail() {
    let code = "use crate::{domain::{Task, TaskId}, store::Store};\nlet x = crate::engine::Hint::Everything;";
    let expected = ["domain", "engine", "store"].map(str::to_owned);
    assert_eq!(imports_of(code), expected.into());
}

#[test]
fn each_outside_world_has_one_door() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let code = code_of(&path);
        for (name, places) in ONLY_IN {
            let named = code.contains(&format!("{name}::"));
            let has_place = |place: &&str| path.starts_with(root().join(place));
            if named && !places.iter().any(has_place) {
                let place = places.join(" or ");
                wrong.push(format!("{}: `{name}` belongs in {place}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_file_is_listed() {
    let main = fs::read_to_string(root().join("tests/main.rs")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_module = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("mod.rs").exists();
        if is_module && stem != "main" {
            assert!(
                main.contains(&format!("mod {stem};")),
                "tests/main.rs does not list {stem}"
            );
        }
    }
}
