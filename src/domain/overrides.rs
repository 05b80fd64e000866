//! What one run changes of its task definition.

use serde::{Deserialize, Serialize};

use super::{ContainerName, CpuUnits, Faults, MemoryMib, RuntimeName, TaskSize, TaskSpec};

/// `overrides` of ECS RunTask, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOverrides {
    /// Replaces the task's CPU.
    pub cpu: Option<CpuUnits>,
    /// Replaces the task's memory.
    pub memory: Option<MemoryMib>,
    /// Replaces the runtime that its containers run under.
    #[serde(default)]
    pub runtime: Option<RuntimeName>,
    /// What changes in single containers.
    pub containers: Vec<ContainerOverride>,
}

/// What one run changes of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerOverride {
    /// Which container.
    pub name: ContainerName,
    /// Replaces the command.
    pub command: Option<Vec<String>>,
    /// Added to the environment; a name that is there already gets the new value.
    pub environment: Vec<(String, String)>,
    /// Replaces the container's CPU.
    pub cpu: Option<CpuUnits>,
    /// Replaces the container's hard limit.
    pub memory: Option<MemoryMib>,
    /// Replaces the container's soft limit.
    pub memory_reservation: Option<MemoryMib>,
}

impl TaskOverrides {
    /// `spec` with these changes, or all that is wrong with them.
    pub fn apply(&self, mut spec: TaskSpec) -> Result<TaskSpec, Faults> {
        let mut faults = Faults::default();
        self.resize(&mut spec, &mut faults);
        spec.runtime = self.runtime.clone().or(spec.runtime);
        for (index, change) in self.containers.iter().enumerate() {
            let names: Vec<&str> = spec.containers.iter().map(|c| c.name.as_str()).collect();
            let names = names.join(", ");
            let Some(container) = spec.containers.iter_mut().find(|c| c.name == change.name) else {
                faults.add_with_hint(
                    format!("overrides.containerOverrides[{index}].name"),
                    format!(
                        "task definition {} has no container `{}`",
                        spec.definition, change.name
                    ),
                    format!("its containers are: {names}"),
                );
                continue;
            };
            if let Some(command) = &change.command {
                container.command = Some(command.clone());
            }
            for (name, value) in &change.environment {
                container.environment.retain(|(known, _)| known != name);
                container.environment.push((name.clone(), value.clone()));
            }
            container.cpu = change.cpu.unwrap_or(container.cpu);
            container.memory = change.memory.or(container.memory);
            container.memory_reservation =
                change.memory_reservation.or(container.memory_reservation);
            let limit = container.memory.max(container.memory_reservation);
            if let (Some(limit), Some(size)) = (limit, spec.size)
                && limit > size.memory()
            {
                faults.add_with_hint(
                    format!("overrides.containerOverrides[{index}].memory"),
                    format!(
                        "{limit} MiB is more than the task has, which is {} MiB",
                        size.memory()
                    ),
                    "override the task's memory as well, or ask for less",
                );
            }
        }
        faults.into_result(spec)
    }

    /// Gives the task the CPU and memory that are asked for, with what the definition says of the other.
    fn resize(&self, spec: &mut TaskSpec, faults: &mut Faults) {
        if self.cpu.is_none() && self.memory.is_none() {
            return;
        }
        let cpu = self.cpu.or(spec.size.map(TaskSize::cpu));
        let memory = self.memory.or(spec.size.map(TaskSize::memory));
        let (Some(cpu), Some(memory)) = (cpu, memory) else {
            faults.add_with_hint(
                "overrides",
                format!("task definition {} has no size of its own", spec.definition),
                "override both cpu and memory",
            );
            return;
        };
        match TaskSize::new(cpu, memory) {
            Ok(size) => spec.size = Some(size),
            Err(error) => match error.hint {
                Some(hint) => faults.add_with_hint("overrides", error.message, hint),
                None => faults.add("overrides", error.message),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::{container, name, spec};

    fn change(of: &str) -> ContainerOverride {
        ContainerOverride {
            name: name(of),
            command: None,
            environment: Vec::new(),
            cpu: None,
            memory: None,
            memory_reservation: None,
        }
    }

    #[test]
    fn a_new_value_replaces_the_old_one_and_the_rest_stays() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut web = container("web");
        web.environment = vec![pair("A", "1"), pair("B", "2")];
        let overrides = TaskOverrides {
            containers: vec![ContainerOverride {
                command: Some(vec!["sleep".to_owned()]),
                environment: vec![pair("A", "3")],
                ..change("web")
            }],
            ..TaskOverrides::default()
        };
        let changed = overrides.apply(spec(vec![web, container("side")])).unwrap();
        assert_eq!(
            changed.containers[0].environment,
            [pair("B", "2"), pair("A", "3")]
        );
        assert_eq!(
            changed.containers[0].command.as_deref(),
            Some(&["sleep".to_owned()][..])
        );
        assert_eq!(changed.containers[1], container("side"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let overrides = TaskOverrides {
            cpu: Some(CpuUnits(300)),
            memory: None,
            runtime: None,
            containers: vec![
                change("nobody"),
                ContainerOverride {
                    memory: Some(MemoryMib(9_999)),
                    ..change("web")
                },
            ],
        };
        let faults = overrides.apply(spec(vec![container("web")])).unwrap_err();
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        let expected = [
            "overrides",
            "overrides.containerOverrides[0].name",
            "overrides.containerOverrides[1].memory",
        ];
        assert_eq!(paths, expected);
    }
}
