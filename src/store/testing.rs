//! What the tests of the store share: a store in a folder of its own, and things to put into it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

use super::readers::Readers;
use super::{Store, StoreError, Tuning};
use crate::domain::{
    ClusterName, ContainerDefinition, ContainerSecrets, CpuUnits, DEFAULT_STOP_TIMEOUT,
    DesiredStatus, IdSource, LastStatus, LinuxParameters, MemoryMib, NetworkMode, Task,
    TaskDefinition, TaskId, TaskSize, TaskSpec, TimestampMs,
};

/// Identifiers that count up.
#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl IdSource for Counting {
    fn next_id(&self) -> u128 {
        let low = u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1;
        // The instance's identity is made of the upper digits.
        (0xfeed_f00d << 96) | low
    }
}

/// So many instructions of SQLite's virtual machine are counted at once.
const INSTRUCTIONS_AT_ONCE: u16 = 100;

impl Store {
    /// What is read from now on costs: instructions of SQLite's virtual machine, in hundreds. Unlike time it depends on nothing
    /// but the queries and what there is.
    pub(crate) async fn count_reading(&self) -> Arc<AtomicU64> {
        let Readers::Pool(pool) = self.readers() else {
            panic!("only a pool's reading is counted");
        };
        let counted = Arc::new(AtomicU64::new(0));
        let mut all = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            let mut reader = pool.acquire().await.unwrap();
            let added = Arc::clone(&counted);
            let mut handle = reader.lock_handle().await.unwrap();
            handle.set_progress_handler(INSTRUCTIONS_AT_ONCE.into(), move || {
                added.fetch_add(1, Ordering::Relaxed);
                true
            });
            drop(handle);
            all.push(reader);
        }
        counted
    }
}

/// A store that goes away with its folder.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) folder: TempDir,
    pub(super) ids: Counting,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with(Tuning::default()).await
    }

    pub(super) async fn with(tuning: Tuning) -> Self {
        let folder = TempDir::new().unwrap();
        let ids = Counting::default();
        let store = Store::open_with(&folder.path().join("data"), &ids, at(0), tuning)
            .await
            .unwrap();
        Self { store, folder, ids }
    }

    /// A task of family `web` in cluster `default` that is as new as it can be.
    pub(super) fn task(&self) -> Task {
        task(TaskId::generate(&self.ids))
    }

    /// A new task that is recorded.
    pub(super) async fn created(&self) -> Task {
        let task = self.task();
        self.store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        task
    }

    /// A connection past the store, for what the store itself does not do.
    pub(super) async fn raw(&self) -> SqliteConnection {
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.folder.path().join("data/neargate.db"))
            .connect()
            .await
            .unwrap()
    }

    /// What the database answers to a statement that goes past the store.
    pub(super) async fn execute(&self, sql: &'static str) -> Result<u64, StoreError> {
        let done = sqlx::query(sql).execute(&mut self.raw().await).await?;
        Ok(done.rows_affected())
    }
}

pub(super) fn at(millis: i64) -> TimestampMs {
    TimestampMs::from_millis(millis)
}

pub(super) fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

pub(super) fn definition(family: &str) -> TaskDefinition {
    TaskDefinition {
        family: family.parse().unwrap(),
        size: Some(TaskSize::new(CpuUnits(256), MemoryMib(512)).unwrap()),
        network_mode: NetworkMode::Awsvpc,
        runtime: None,
        containers: vec![container("app")],
        volumes: Vec::new(),
    }
}

fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: name.parse().unwrap(),
        image: "busybox".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        command: Some(vec!["sleep".to_owned(), "60".to_owned()]),
        entry_point: None,
        environment: vec![("A".to_owned(), "b".to_owned())],
        working_directory: None,
        user: None,
        port_mappings: Vec::new(),
        depends_on: Vec::new(),
        health_check: None,
        start_timeout: None,
        stop_timeout: DEFAULT_STOP_TIMEOUT,
        restart_policy: None,
        docker_labels: BTreeMap::new(),
        extra_hosts: Vec::new(),
        hostname: None,
        privileged: false,
        readonly_root_filesystem: false,
        interactive: false,
        pseudo_terminal: false,
        ulimits: Vec::new(),
        linux_parameters: LinuxParameters::default(),
        system_controls: Vec::new(),
        secrets: ContainerSecrets::default(),
        mounts: Vec::new(),
        awslogs: None,
    }
}

pub(super) fn task(id: TaskId) -> Task {
    let spec = TaskSpec::new(definition("web"), 1);
    Task {
        version: 0,
        ..Task::new(id, cluster("default"), spec, at(1_000))
    }
}

/// `task` as it is when it has stopped.
pub(super) fn stopped(mut task: Task) -> Task {
    task.planned_status = DesiredStatus::Stopped;
    task.last_status = LastStatus::Stopped;
    task.stopped_at = Some(at(9_000));
    task
}
