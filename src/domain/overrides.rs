//! What one run changes of its task definition.

use serde::{Deserialize, Serialize};

use super::{ContainerName, CpuUnits, Faults, MemoryMib, TaskSize, TaskSpec};

/// `overrides` of ECS RunTask, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOverrides {
    /// Replaces the task's CPU.
    pub cpu: Option<CpuUnits>,
    /// Replaces the task's memory.
    pub memory: Option<MemoryMib>,
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
        if self.cpu.is_some() || self.memory.is_some() {
            let cpu = self
                .cpu
                .or(spec.size.map(TaskSize::cpu))
                .unwrap_or_default();
            let memory = self
                .memory
                .or(spec.size.map(TaskSize::memory))
                .unwrap_or_default();
            match TaskSize::new(cpu, memory) {
                Ok(size) => spec.size = Some(size),
                Err(error) => match error.hint {
                    Some(hint) => faults.add_with_hint("overrides", error.message, hint),
                    None => faults.add("overrides", error.message),
                },
            }
        }
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
        }
        faults.into_result(spec)
    }
}
