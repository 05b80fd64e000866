//! Volumes, mount points and `volumesFrom`.

use super::{check, yaml};
use crate::domain::VolumeSource;

const VOLUMES: &str = "\
family: app
cpu: 256
memory: 512
volumes:
  - {name: data}
  - {name: data}
  - {name: no way}
  - {host: {sourcePath: srv}}
  - {name: both, host: {sourcePath: /srv}, dockerVolumeConfiguration: {scope: shared}}
  - {name: opts, dockerVolumeConfiguration: {driver: nfs, driverOpts: {type: none, o: bind, device: /}, labels: {neargate.task: x}}}
  - {name: late, configuredAtLaunch: true}
containerDefinitions:
  - name: a
    image: a
    mountPoints:
      - {sourceVolume: nope, containerPath: data}
      - {sourceVolume: data, containerPath: /a/../b}
      - {sourceVolume: data, containerPath: /proc/sys}
      - {sourceVolume: data, containerPath: //}
      - {sourceVolume: data, containerPath: /twice}
      - {sourceVolume: data, containerPath: /twice/}
      - {sourceVolume: data, containerPath: /run/secrets/in}
      - {sourceVolume: data, containerPath: /tmp}
      - {}
    secretFiles: [{containerPath: /run/secrets/key, valueFrom: key}]
    linuxParameters: {tmpfs: [{containerPath: /tmp, size: 1}]}
    volumesFrom: [{sourceContainer: b}, {sourceContainer: a}, {sourceContainer: c}, {}]
  - name: b
    image: b
    volumesFrom: [{sourceContainer: a, readOnly: true}]
";

#[test]
fn all_that_is_wrong_with_volumes_is_told_at_once() {
    check(
        VOLUMES,
        "\
6:6: volumes[1].name: is `data`, which is there already
7:6: volumes[2].name: is `no way`, which is not a volume name (use up to 255 letters, digits, hyphens and underscores)
8:5: volumes[3].name: is missing
8:13: volumes[3].host.sourcePath: is `srv`; it must be an absolute path
9:5: volumes[4]: has both a host.sourcePath and a dockerVolumeConfiguration (take one of them out)
10:46: volumes[5].dockerVolumeConfiguration.driver: only `local` is supported: what another driver mounts, nobody could check; the operator can make such a volume for the cluster, see docs/volumes.md
10:59: volumes[5].dockerVolumeConfiguration.driverOpts: is not supported: with options, the local driver mounts whatever the host has; the operator can make such a volume for the cluster, see docs/volumes.md
10:114: volumes[5].dockerVolumeConfiguration.labels[\"neargate.task\"]: begins with `neargate.`, as only Neargate's own labels may
11:18: volumes[6].configuredAtLaunch: is not supported: there is no EBS here that a run could describe; a volume with only a name is as large as the engine's disk
16:10: containerDefinitions[0].mountPoints[0].sourceVolume: is `nope`, and the task has no such volume (its volumes are: data, both, opts, late)
16:30: containerDefinitions[0].mountPoints[0].containerPath: is `data`; it must be an absolute path
17:30: containerDefinitions[0].mountPoints[1].containerPath: is `/a/../b`; it may not contain `..`, commas or colons
18:30: containerDefinitions[0].mountPoints[2].containerPath: is `/proc/sys`, which a container cannot do without (mount it at a folder of its own, as /data)
19:30: containerDefinitions[0].mountPoints[3].containerPath: is `/`, which a container cannot do without (mount it at a folder of its own, as /data)
21:30: containerDefinitions[0].mountPoints[5].containerPath: is `/twice`, which is there already
22:30: containerDefinitions[0].mountPoints[6].containerPath: is `/run/secrets/in`, and the secretFiles in `/run/secrets` would be hidden (put the one or the other elsewhere)
23:30: containerDefinitions[0].mountPoints[7].containerPath: is `/tmp`, where linuxParameters.tmpfs has a file system already
24:9: containerDefinitions[0].mountPoints[8].sourceVolume: is missing
24:9: containerDefinitions[0].mountPoints[8].containerPath: is missing
27:5: containerDefinitions[0].volumesFrom: goes round in a circle: a → b → a
27:42: containerDefinitions[0].volumesFrom[1].sourceContainer: is `a`: a container cannot take volumes from itself
27:64: containerDefinitions[0].volumesFrom[2].sourceContainer: is `c`, and the task has no such container (its containers are: a, b)
27:85: containerDefinitions[0].volumesFrom[3].sourceContainer: is missing
",
    );
}

#[test]
fn volumes_from_are_mounts_of_the_same_volumes() {
    let definition = "\
family: app
cpu: 256
memory: 512
volumes:
  - name: data
    host: {}
  - {name: more, dockerVolumeConfiguration: {scope: shared, autoprovision: true, labels: {team: a}}}
  - {name: disk, host: {sourcePath: /srv/../data}}
containerDefinitions:
  - {name: a, image: a, volumesFrom: [{sourceContainer: b, readOnly: true}, {sourceContainer: c}]}
  - {name: b, image: b, volumesFrom: [{sourceContainer: c}], mountPoints: [{sourceVolume: data, containerPath: /data/}]}
  - {name: c, image: c, mountPoints: [{sourceVolume: more, containerPath: /data, readOnly: true}, {sourceVolume: disk, containerPath: /d}]}
";
    let parsed = yaml(definition).unwrap().definition;
    let told: Vec<String> = parsed
        .containers
        .iter()
        .flat_map(|container| container.mounts.iter().map(move |mount| (container, mount)))
        .map(|(container, mount)| {
            let how = if mount.read_only { "ro" } else { "rw" };
            format!(
                "{}: {} {} {how}",
                container.name, mount.volume, mount.container_path
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "a: data /data ro",
            "a: disk /d ro",
            "b: data /data rw",
            "b: disk /d rw",
            "c: more /data ro",
            "c: disk /d rw",
        ]
    );
    let sources: Vec<String> = parsed
        .volumes
        .iter()
        .map(|volume| serde_json::to_string(&volume.source).unwrap())
        .collect();
    assert_eq!(
        sources,
        [
            r#"{"task":{"labels":{}}}"#,
            r#"{"cluster":{"autoprovision":true,"labels":{"team":"a"}}}"#,
            r#"{"host":{"path":"/srv/../data"}}"#,
        ]
    );
}

#[test]
fn a_file_system_of_aws_is_the_clusters_volume_of_that_name_and_that_is_said() {
    let document = "\
family: app
cpu: 256
memory: 512
proxyConfiguration: {type: APPMESH, containerName: app}
volumes:
  - {name: data, efsVolumeConfiguration: {fileSystemId: fs-1, transitEncryption: ENABLED}}
containerDefinitions:
  - name: app
    image: app
    mountPoints: [{sourceVolume: data, containerPath: /data}]
";
    let parsed = yaml(document).unwrap();
    let source = &parsed.definition.volumes[0].source;
    assert!(
        matches!(
            source,
            VolumeSource::Cluster {
                autoprovision: true,
                ..
            }
        ),
        "{source:?}"
    );
    assert_eq!(
        parsed.document["volumes"][0]["efsVolumeConfiguration"]["fileSystemId"],
        "fs-1"
    );
    let said = parsed.warnings.join("\n");
    for what in [
        "volumes[0].efsVolumeConfiguration: ",
        "proxyConfiguration: ",
    ] {
        assert!(said.contains(what), "{said}");
    }
}
