//! A task's size, spread over its containers: for where no cgroup can be put around all of them.
//!
//! Pure. What the parts come to together is never more than the whole: a task may then use less than its size,
//! when one container needs little and another would need more, but never more.

use super::host::GroupLimits;
use crate::domain::{ContainerDefinition, CpuUnits, MemoryMib, TaskSize};

/// What Docker gives a container at least, in MiB.
const LEAST_MEMORY_MIB: u32 = 6;
/// What Docker gives a container at least, in CPU units: a hundredth of a processor.
const LEAST_CPU: u32 = 11;

/// The hard limits of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of CPU.
    pub cpu: CpuUnits,
    /// Of memory.
    pub memory: MemoryMib,
}

/// Each container's part of a task of `size` on a host with so many processors, in their order.
///
/// A container's own hard limit (its `memory`) or reservation of CPU (its `cpu`) comes first, and the rest is
/// divided equally among those without: memory only where there is no own limit, CPU among all if each says
/// how much. A `memoryReservation` is what a container gets at least.
pub fn spread(size: TaskSize, host_cpus: u32, containers: &[ContainerDefinition]) -> Vec<Share> {
    let memory: Vec<Wish> = containers
        .iter()
        .map(|container| Wish {
            floor: LEAST_MEMORY_MIB,
            least: container.memory_reservation.unwrap_or_default().0,
            own: container.memory.map(|own| own.0),
        })
        .collect();
    let says_how_much = |container: &ContainerDefinition| container.cpu.0 > 0;
    let all_say = containers.iter().all(says_how_much);
    let cpu: Vec<Wish> = containers
        .iter()
        .map(|container| Wish {
            floor: LEAST_CPU,
            least: if all_say { container.cpu.0 } else { 0 },
            own: (says_how_much(container) && !all_say).then_some(container.cpu.0),
        })
        .collect();
    // Docker refuses more than the host has.
    let whole_cpu = size.cpu().0.min(host_cpus.saturating_mul(1_024));
    divide(whole_cpu, &cpu)
        .into_iter()
        .zip(divide(size.memory().0, &memory))
        .map(|(cpu, memory)| Share {
            cpu: CpuUnits(cpu),
            memory: MemoryMib(memory),
        })
        .collect()
}

/// What all processes of a task of `size` may have together.
pub fn whole(size: TaskSize, pids: i64) -> GroupLimits {
    GroupLimits {
        cpu: size.cpu(),
        memory: size.memory(),
        pids,
    }
}

/// What one container needs of a whole.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// Less than this Docker refuses, and 0 would be no limit at all.
    floor: u32,
    least: u32,
    /// Neither more nor, if it can be had, less.
    own: Option<u32>,
}

/// First what Docker asks for (the smallest size has that for the ten containers that a task may have), then what
/// each needs at least, then what some want for themselves, then the rest to those who want what there is. Where
/// there is too little, everybody gets less in the same proportion.
fn divide(whole: u32, wishes: &[Wish]) -> Vec<u32> {
    let mut shares = vec![0; wishes.len()];
    let steps: [fn(&Wish) -> u32; 3] = [
        |wish| wish.floor,
        |wish| wish.least,
        |wish| wish.own.unwrap_or_default(),
    ];
    for wanted in steps {
        let left = whole - shares.iter().sum::<u32>();
        let lacking: Vec<u32> = wishes
            .iter()
            .zip(&shares)
            .map(|(wish, share)| wanted(wish).saturating_sub(*share))
            .collect();
        for (share, more) in shares.iter_mut().zip(in_proportion(left, &lacking)) {
            *share += more;
        }
    }
    let left = whole - shares.iter().sum::<u32>();
    let takers: u32 = wishes
        .iter()
        .map(|wish| u32::from(wish.own.is_none()))
        .sum();
    if let Some(each) = left.checked_div(takers) {
        for (share, _) in shares
            .iter_mut()
            .zip(wishes)
            .filter(|(_, wish)| wish.own.is_none())
        {
            *share += each;
        }
    }
    shares
}

/// As much of each as is wanted, or, where that is more than the whole, its part of it.
fn in_proportion(whole: u32, wanted: &[u32]) -> Vec<u32> {
    let sum: u64 = wanted.iter().copied().map(u64::from).sum();
    let part = |want: u32| {
        if sum <= u64::from(whole) {
            return want;
        }
        let part = u64::from(want) * u64::from(whole) / sum;
        u32::try_from(part).unwrap_or(want)
    };
    wanted.iter().copied().map(part).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::fixtures::container;

    fn size(cpu: u32, memory: u32) -> TaskSize {
        TaskSize::new(CpuUnits(cpu), MemoryMib(memory)).unwrap()
    }

    fn asks(cpu: u32, memory: Option<u32>, reservation: Option<u32>) -> ContainerDefinition {
        ContainerDefinition {
            cpu: CpuUnits(cpu),
            memory: memory.map(MemoryMib),
            memory_reservation: reservation.map(MemoryMib),
            ..container("main")
        }
    }

    fn shares(size: TaskSize, containers: &[ContainerDefinition]) -> Vec<(u32, u32)> {
        spread(size, 64, containers)
            .iter()
            .map(|share| (share.cpu.0, share.memory.0))
            .collect()
    }

    #[test]
    fn a_container_alone_has_the_whole_task() {
        assert_eq!(shares(size(256, 512), &[asks(0, None, None)]), [(256, 512)]);
        assert_eq!(
            shares(size(256, 512), &[asks(64, Some(128), None)]),
            [(256, 128)],
            "its own memory is a hard limit, its own CPU is not"
        );
    }

    #[test]
    fn what_is_not_asked_for_is_divided_among_those_who_do_not_ask() {
        let containers = [
            asks(100, Some(112), None),
            asks(0, None, Some(64)),
            asks(0, None, None),
        ];
        assert_eq!(
            shares(size(256, 512), &containers),
            [(100, 112), (78, 229), (78, 171)]
        );
    }

    #[test]
    fn own_limits_that_are_too_much_together_are_cut() {
        let containers = [asks(0, Some(512), None), asks(0, Some(512), None)];
        assert_eq!(
            shares(size(256, 512), &containers),
            [(128, 256), (128, 256)]
        );
    }

    #[test]
    fn no_container_gets_more_than_the_host_has() {
        let spread = spread(size(16_384, 32_768), 2, &[asks(0, None, None)]);
        assert_eq!(spread[0].cpu, CpuUnits(2_048));
    }

    proptest! {
        #[test]
        fn the_parts_are_never_more_than_the_whole_and_never_refused(
            asked in prop::collection::vec(
                (0_u32..300, prop::option::of(6_u32..600), prop::option::of(6_u32..600)), 1..=10),
        ) {
            let containers: Vec<_> = asked.iter().map(|(c, m, r)| asks(*c, *m, *r)).collect();
            let spread = spread(size(256, 512), 64, &containers);
            let cpu: u32 = spread.iter().map(|share| share.cpu.0).sum();
            let memory: u32 = spread.iter().map(|share| share.memory.0).sum();
            prop_assert!(cpu <= 256 && memory <= 512, "{spread:?}");
            for (share, container) in spread.iter().zip(&containers) {
                if let Some(own) = container.memory {
                    let least = container.memory_reservation.map_or(6, |least| least.0);
                    prop_assert!(share.memory.0 <= own.0.max(least), "{share:?} {container:?}");
                }
                prop_assert!(share.cpu.0 >= 11 && share.memory.0 >= 6, "{share:?} is refused");
            }
        }
    }
}
