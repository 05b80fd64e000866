//! What differs between two texts, line by line. PURE.

/// The most pairs of lines that are compared; beyond that, all that differs is said to be new.
const MOST_PAIRS: usize = 1_000_000;
/// How many lines that are alike are shown beside those that differ.
const AROUND: usize = 3;

/// What has become of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is in both.
    Same(String),
    /// It was there.
    Gone(String),
    /// It is there now.
    New(String),
    /// So many lines that are in both are not shown.
    Skipped(usize),
}

/// What makes `new` of `old`; nothing if they are the same.
pub(super) fn lines(old: &str, new: &str) -> Vec<Change> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let alike = |(one, other): &(&&str, &&str)| one == other;
    let before = old.iter().zip(&new).take_while(alike).count();
    let rest = (&old[before..], &new[before..]);
    let after = rest
        .0
        .iter()
        .rev()
        .zip(rest.1.iter().rev())
        .take_while(alike)
        .count();
    let (old_middle, new_middle) = (
        &rest.0[..rest.0.len() - after],
        &rest.1[..rest.1.len() - after],
    );
    if old_middle.is_empty() && new_middle.is_empty() {
        return Vec::new();
    }
    let same = |line: &&str| Change::Same((*line).to_owned());
    let mut changes: Vec<Change> = old[..before].iter().map(same).collect();
    changes.extend(middle(old_middle, new_middle));
    changes.extend(old[old.len() - after..].iter().map(same));
    without_the_far(changes)
}

/// The longest common subsequence, read from its end: the table says how long it is from each pair on.
fn middle(old: &[&str], new: &[&str]) -> Vec<Change> {
    let gone = |line: &&str| Change::Gone((*line).to_owned());
    let added = |line: &&str| Change::New((*line).to_owned());
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        return old.iter().map(gone).chain(new.iter().map(added)).collect();
    }
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for one in (0..old.len()).rev() {
        for other in (0..new.len()).rev() {
            let place = one * width + other;
            longest[place] = if old[one] == new[other] {
                longest[place + width + 1] + 1
            } else {
                longest[place + width].max(longest[place + 1])
            };
        }
    }
    let (mut one, mut other) = (0, 0);
    let mut changes = Vec::new();
    while one < old.len() && other < new.len() {
        let place = one * width + other;
        if old[one] == new[other] {
            changes.push(Change::Same(old[one].to_owned()));
            (one, other) = (one + 1, other + 1);
        } else if longest[place + width] >= longest[place + 1] {
            changes.push(gone(&old[one]));
            one += 1;
        } else {
            changes.push(added(&new[other]));
            other += 1;
        }
    }
    changes.extend(old[one..].iter().map(gone));
    changes.extend(new[other..].iter().map(added));
    changes
}

/// Leaves out what is alike and far from anything that is not.
fn without_the_far(changes: Vec<Change>) -> Vec<Change> {
    let differs = |change: &Change| !matches!(change, Change::Same(_));
    let places: Vec<usize> = (0..changes.len())
        .filter(|place| differs(&changes[*place]))
        .collect();
    let is_near = |place: usize| {
        let next = places.partition_point(|other| *other < place);
        let near =
            |other: Option<&usize>| other.is_some_and(|other| place.abs_diff(*other) <= AROUND);
        near(places.get(next)) || near(next.checked_sub(1).and_then(|before| places.get(before)))
    };
    let mut shown = Vec::new();
    for (place, change) in changes.into_iter().enumerate() {
        if is_near(place) {
            shown.push(change);
        } else if let Some(Change::Skipped(count)) = shown.last_mut() {
            *count += 1;
        } else {
            shown.push(Change::Skipped(1));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let told = lines(old, new).into_iter().map(|change| match change {
            Change::Same(line) => format!("  {line}"),
            Change::Gone(line) => format!("- {line}"),
            Change::New(line) => format!("+ {line}"),
            Change::Skipped(count) => format!("… {count}"),
        });
        told.collect()
    }

    #[test]
    fn what_differs_is_told_with_what_is_around_it() {
        let old = "a\nb\nc\nd\ne\nf\ng\nimage: 1\nh";
        let new = "a\nb\nc\nd\ne\nf\ng\nimage: 2\nport: 80\nh";
        assert_eq!(
            told(old, new),
            [
                "… 4",
                "  e",
                "  f",
                "  g",
                "- image: 1",
                "+ image: 2",
                "+ port: 80",
                "  h"
            ]
        );
        assert_eq!(told(old, old), Vec::<String>::new());
        assert_eq!(told("", "a"), ["+ a"]);
        assert_eq!(told("a", ""), ["- a"]);
    }

    #[test]
    fn texts_that_are_very_long_are_compared_within_bounds() {
        let text = |from: usize| {
            (from..from + 5_000)
                .map(|n| format!("{n}\n"))
                .collect::<String>()
        };
        assert_eq!(lines(&text(0), &text(10_000)).len(), 10_000);
    }

    proptest! {
        #[test]
        fn the_changes_make_the_new_text_of_the_old(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
            let all = |text: &str| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
            let (old, new) = (all(&old), all(&new));
            let refs = |lines: &[String]| lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
            let (old_refs, new_refs): (Vec<&str>, Vec<&str>) =
                (old.iter().map(String::as_str).collect(), new.iter().map(String::as_str).collect());
            let changes = middle(&old_refs, &new_refs);
            let mut seen = (Vec::new(), Vec::new());
            for change in changes {
                match change {
                    Change::Same(line) => { seen.0.push(line.clone()); seen.1.push(line); }
                    Change::Gone(line) => seen.0.push(line),
                    Change::New(line) => seen.1.push(line),
                    Change::Skipped(_) => unreachable!(),
                }
            }
            prop_assert_eq!(refs(&seen.0), refs(&old));
            prop_assert_eq!(refs(&seen.1), refs(&new));
        }
    }
}
