//! Volumes and folders of the host.

use std::collections::BTreeMap;

use neargate::domain::{Mount, Volume, VolumeName, VolumeSource};
use neargate::engine::docker::daemon::{self, ContainerSpec, MountSource, VolumeSpec};
use neargate::engine::{EngineError, Order};

use super::{World, order};
use crate::harness::workload;

/// A task of two containers that mount one volume.
fn sharing(source: VolumeSource) -> Order {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    let volume: VolumeName = "shared".parse().unwrap();
    for container in &mut order.spec.containers {
        container.mounts = vec![Mount {
            volume: volume.clone(),
            container_path: "/data".to_owned(),
            read_only: false,
        }];
    }
    order.spec.volumes = vec![Volume {
        name: volume,
        source,
    }];
    order
}

pub async fn a_volume_of_a_task_goes_with_it_and_one_that_a_crash_left_is_found(world: &mut World) {
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let mut order = sharing(VolumeSource::Task { labels });
    world.run(&mut order).await;
    let filter = format!("neargate.task={}", order.task_id);
    let volumes = world.daemon.list_volumes(&filter).await.unwrap();
    let [(name, labels)] = &volumes[..] else {
        panic!("{volumes:?}");
    };
    assert_eq!(labels.get("team").map(String::as_str), Some("a"));
    let in_use = world.daemon.remove_volume(name).await;
    assert!(matches!(in_use, Err(EngineError::Refused(_))), "{in_use:?}");
    world.after_a_crash();
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(world.daemon.list_volumes(&filter).await.unwrap(), []);

    let left = VolumeSpec {
        name: name.clone(),
        labels: labels.clone(),
    };
    assert_eq!(world.daemon.ensure_volume(&left).await.as_ref(), Ok(labels));
    let found = world.engine.survey().await.unwrap();
    assert!(found.contains_key(&order.task_id));
    world.engine.remove(&order.task_id).await.unwrap();
    assert_eq!(world.daemon.inspect_volume(name).await, Ok(None));
}

pub async fn a_volume_of_a_cluster_stays_and_somebody_else_s_is_not_taken(world: &mut World) {
    let cluster = |autoprovision| VolumeSource::Cluster {
        autoprovision,
        labels: BTreeMap::new(),
    };
    let name = format!("neargate-{}.default.shared", world.instance);
    let failing = async |autoprovision| {
        let mut order = sharing(cluster(autoprovision));
        let seen = world
            .drive(&mut order, "the start to fail", |seen| {
                seen.failure.is_some()
            })
            .await;
        world.engine.remove(&order.task_id).await.unwrap();
        seen.failure.unwrap().reason
    };
    let reason = failing(false).await;
    assert!(
        reason.starts_with("CannotCreateVolumeError: volume shared: ") && reason.contains(&name),
        "{reason}"
    );

    let mut first = sharing(cluster(true));
    world.run(&mut first).await;
    world.engine.remove(&first.task_id).await.unwrap();
    let mut second = sharing(cluster(false));
    world.run(&mut second).await;
    world.engine.remove(&second.task_id).await.unwrap();
    let found = world.daemon.inspect_volume(&name).await.unwrap();
    assert!(found.is_some(), "it outlives its tasks");
    world.daemon.remove_volume(&name).await.unwrap();

    let theirs = VolumeSpec {
        name: name.clone(),
        labels: BTreeMap::from([("neargate.instance".to_owned(), world.instance.to_string())]),
    };
    world.daemon.ensure_volume(&theirs).await.unwrap();
    let reason = failing(true).await;
    let found = world.daemon.inspect_volume(&name).await.unwrap();
    world.daemon.remove_volume(&name).await.unwrap();
    assert!(reason.contains("is not Neargate's"), "{reason}");
    assert_eq!(found, Some(theirs.labels), "it is left as it was");
}

pub async fn a_folder_that_is_not_there_is_said_and_not_made(world: &mut World) {
    let path = "/neargate-contract/missing";
    let spec = ContainerSpec {
        name: format!("neargate-contract-{}", world.instance),
        image: workload().to_owned(),
        network_mode: "none".to_owned(),
        mounts: vec![daemon::Mount {
            source: MountSource::Folder(path.into()),
            path: "/data".to_owned(),
            read_only: false,
        }],
        ..ContainerSpec::default()
    };
    let refused = world.daemon.create_container(&spec).await;
    let Err(EngineError::Refused(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.contains("does not exist") && why.contains(path),
        "{why}"
    );
    let host = world.daemon.host().await.unwrap().expect("this machine");
    let told = host.resolve(std::path::Path::new(path)).await.unwrap_err();
    assert!(told.contains("does not exist"), "{told}");
    let there = host.resolve(std::path::Path::new("/usr/../usr/.")).await;
    assert_eq!(there, Ok("/usr".into()));
    assert!(!host.engine_files().is_empty());
}
