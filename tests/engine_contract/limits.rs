//! What a container uses, and what holds a task to its size.

use neargate::domain::{CpuUnits, LimitsEnforcedBy, MemoryMib, TaskSize};
use neargate::engine::docker::host::{Group, GroupLimits};
use neargate::engine::{EngineError, Order};

use super::{World, name, order};

pub async fn what_a_container_uses_is_told(world: &mut World) {
    let mut order = order(&[("main", &["sleep"]), ("side", &["sleep"])]);
    world.run(&mut order).await;
    let (main, nobody) = ("main".parse().unwrap(), "nobody".parse().unwrap());
    let figures = world
        .engine
        .stats(&order.task_id, &main, false)
        .await
        .unwrap();
    assert!(
        figures["memory_stats"]["usage"].as_u64().unwrap() > 0,
        "{figures:#}"
    );
    let absent = world.engine.stats(&order.task_id, &nobody, true).await;
    assert!(
        matches!(absent, Err(EngineError::NotFound(_))),
        "{absent:?}"
    );
}

pub async fn a_task_with_a_size_is_held_by_a_cgroup_that_goes_with_it(world: &mut World) {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    order.spec.size = Some(TaskSize::new(CpuUnits(256), MemoryMib(512)).unwrap());
    let seen = world.run(&mut order).await;
    assert_eq!(seen.limits, Some(LimitsEnforcedBy::TaskCgroup));
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let group = host_group(world, &order);
    for container in ["one", "two"] {
        let id = &seen.containers[&name(container)].runtime_id;
        let inspect = world.daemon.inspect_container(id).await.unwrap().unwrap();
        assert_eq!(inspect.cgroup_parent, Some(host.parent(&group)));
        let is_in = host.is_in(&group, inspect.pid.unwrap()).await;
        assert_eq!(is_in, Some(true), "{container}");
    }
    assert!(host.groups(&world.instance).await.contains(&group));
    assert!(host.remove(&group).await.is_err(), "it is in use");
    world.after_a_crash();
    let adopted = world.engine.observe(&order).await.unwrap();
    assert_eq!(adopted.limits, Some(LimitsEnforcedBy::TaskCgroup));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(host.groups(&world.instance).await, []);
}

fn host_group(world: &World, order: &Order) -> Group {
    Group {
        instance: world.instance.clone(),
        name: order.task_id.to_string(),
    }
}

pub async fn a_cgroup_that_a_crash_left_behind_is_found(world: &mut World) {
    let order = order(&[("main", &["sleep"])]);
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let limits = GroupLimits {
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        pids: 10,
    };
    host.hold(&host_group(world, &order), limits).await.unwrap();
    let found = world.engine.survey().await.unwrap();
    assert!(found.contains_key(&order.task_id));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(host.groups(&world.instance).await, []);
}
