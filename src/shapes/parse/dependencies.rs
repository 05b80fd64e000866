//! What containers wait for: `dependsOn`.

use std::collections::HashMap;

use crate::domain::{self, Condition, Faults};
use crate::shapes::path;
use crate::shapes::{ContainerDefinition, DependencyCondition};

impl From<DependencyCondition> for Condition {
    fn from(condition: DependencyCondition) -> Self {
        match condition {
            DependencyCondition::Start => Self::Start,
            DependencyCondition::Complete => Self::Complete,
            DependencyCondition::Success => Self::Success,
            DependencyCondition::Healthy => Self::Healthy,
        }
    }
}

/// The dependencies of `container`, which is at `path`. Whether they make sense together is for [`check`].
pub(super) fn parse(container: &ContainerDefinition) -> Vec<domain::Dependency> {
    container
        .depends_on
        .iter()
        .flatten()
        .filter_map(|dependency| {
            Some(domain::Dependency {
                container: dependency.container_name.parse().ok()?,
                condition: dependency.condition?.into(),
            })
        })
        .collect()
}

/// Checks the dependencies of all `containers`. Unless they are `all_named`, nobody knows whether a name
/// is one of theirs.
pub(super) fn check(
    containers: &[ContainerDefinition],
    all_named: bool,
    path: &str,
    faults: &mut Faults,
) {
    let by_name: HashMap<&str, usize> = containers
        .iter()
        .enumerate()
        .map(|(index, container)| (container.name.as_str(), index))
        .collect();
    let names: Vec<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    let mut edges = vec![Vec::new(); containers.len()];
    for (index, container) in containers.iter().enumerate() {
        let here = path::field(&path::item(path, index), "dependsOn");
        for (nth, dependency) in container.depends_on.iter().flatten().enumerate() {
            let here = path::item(&here, nth);
            let name = dependency.container_name.as_str();
            match by_name.get(name) {
                None if !all_named || name.is_empty() => {}
                None => faults.add_with_hint(
                    path::field(&here, "containerName"),
                    format!(
                        "is {}, and the task has no such container",
                        path::quote(name)
                    ),
                    format!("its containers are: {}", names.join(", ")),
                ),
                Some(&target) if target == index => faults.add(
                    path::field(&here, "containerName"),
                    format!(
                        "is {}: a container cannot wait for itself",
                        path::quote(name)
                    ),
                ),
                Some(&target) => {
                    edges[index].push(target);
                    check_condition(dependency.condition, &containers[target], &here, faults);
                }
            }
        }
    }
    for cycle in cycles(&edges) {
        let mut round: Vec<&str> = cycle.iter().map(|index| names[*index]).collect();
        round.extend(round.first().copied());
        faults.add(
            path::field(&path::item(path, cycle[0]), "dependsOn"),
            format!("goes round in a circle: {}", round.join(" → ")),
        );
    }
}

fn check_condition(
    condition: Option<DependencyCondition>,
    target: &ContainerDefinition,
    path: &str,
    faults: &mut Faults,
) {
    let name = path::quote(&target.name);
    match condition {
        Some(DependencyCondition::Healthy) if !has_health_check(target) => faults.add_with_hint(
            path::field(path, "condition"),
            format!("is `HEALTHY`, and container {name} has no healthCheck"),
            format!("give {name} a healthCheck, or wait for START"),
        ),
        Some(DependencyCondition::Complete | DependencyCondition::Success)
            if target.essential != Some(false) =>
        {
            faults.add_with_hint(
                path::field(path, "condition"),
                format!(
                    "waits for the end of {name}, which is essential: the task would end with it"
                ),
                format!("set `essential: false` on {name}"),
            );
        }
        _ => {}
    }
}

fn has_health_check(container: &ContainerDefinition) -> bool {
    container
        .health_check
        .as_ref()
        .is_some_and(|check| check.command.first().is_none_or(|first| first != "NONE"))
}

/// Every circle that a walk along `edges` comes upon, each beginning with its smallest index. A walk is as
/// deep as there are containers, of which the caller makes sure that there are few.
pub(super) fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    fn walk(
        at: usize,
        edges: &[Vec<usize>],
        trail: &mut Vec<usize>,
        done: &mut [bool],
        cycles: &mut Vec<Vec<usize>>,
    ) {
        if let Some(start) = trail.iter().position(|index| *index == at) {
            let mut cycle = trail[start..].to_vec();
            let smallest = cycle.iter().enumerate().min_by_key(|(_, index)| **index);
            let turn = smallest.map_or(0, |(turn, _)| turn);
            cycle.rotate_left(turn);
            if !cycles.contains(&cycle) {
                cycles.push(cycle);
            }
            return;
        }
        if done[at] {
            return;
        }
        trail.push(at);
        for next in &edges[at] {
            walk(*next, edges, trail, done, cycles);
        }
        trail.pop();
        done[at] = true;
    }
    let mut cycles = Vec::new();
    let mut done = vec![false; edges.len()];
    for start in 0..edges.len() {
        walk(start, edges, &mut Vec::new(), &mut done, &mut cycles);
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_once() {
        assert!(cycles(&[vec![1], vec![2], vec![]]).is_empty());
        assert_eq!(cycles(&[vec![1], vec![2], vec![0]]), [vec![0, 1, 2]]);
        assert_eq!(
            cycles(&[vec![1], vec![0, 2], vec![3], vec![2]]),
            [vec![0, 1], vec![2, 3]]
        );
    }
}
