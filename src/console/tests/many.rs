//! Pages where much goes on: what they take grows with what they show, and hardly with what there is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::*;
use crate::domain::{
    ContainerStatus, LastStatus, Task, TaskId, TimestampMs, UsageChange, UsageInterval,
};

const FEW: u32 = 20;
const MANY: u32 = 100 * FEW;
/// Pages of a hundred times as many tasks may take so many times as long.
const MOST_TIMES: u32 = 8;

const PAGES: [&str; 7] = [
    "/",
    "/services/default/web",
    "/services/default/web/use",
    "/tasks",
    "/tasks?lastStatus=STOPPED",
    "/cost",
    "/cost/rightsizing",
];

/// A browser of a server on which the service `web` has so many tasks that run, and are metered.
async fn with_tasks(count: u32) -> Browser {
    let browser = Browser::new().await;
    let ids = browser.api.run_hello(1).await;
    let body = format!("serviceName: web\ntaskDefinition: hello\ndesiredCount: {count}");
    let answer = browser.api.post("/v1/services", "application/yaml", body);
    assert_eq!(answer.await.status, 201);
    let store = browser.api.store.clone();
    let one = store.task(&ids[0].parse().unwrap()).await.unwrap().unwrap();
    let now = crate::clock::Clock::now(&crate::clock::SystemClock);
    let began = TimestampMs::from_millis(now.as_millis() - 60_000);
    let tasks: Vec<Task> = (0..count)
        .map(|number| {
            let id: TaskId = format!("{:032x}", 0xabc0_0000_u128 + u128::from(number))
                .parse()
                .unwrap();
            let mut task = Task::new(id, one.cluster.clone(), one.spec.clone(), began);
            task.group = "service:web".to_owned();
            task.started_by = Some("ecs-svc/1".to_owned());
            task
        })
        .collect();
    store.create_tasks(&tasks, None).await.unwrap();
    let record = |mut task: Task| {
        let store = store.clone();
        async move {
            task.last_status = LastStatus::Running;
            (task.pull_started_at, task.pull_stopped_at) = (Some(began), Some(began));
            task.started_at = Some(began);
            for container in task.containers.values_mut() {
                container.last_status = ContainerStatus::Running;
            }
            let open = UsageChange::Open(UsageInterval {
                task_id: task.id.clone(),
                cluster: task.cluster.clone(),
                definition: task.spec.definition.clone(),
                cpu: task.spec.reserved_cpu(),
                memory: task.spec.reserved_memory(),
                opened_at: began,
                closed: None,
            });
            store.record_task(&task, &[], &[open]).await.unwrap();
        }
    };
    for some in tasks.chunks(500) {
        join_all(some.iter().cloned().map(record)).await;
    }
    browser
}

/// How long a page takes.
async fn takes(browser: &mut Browser, path: &str) -> Duration {
    let begun = Instant::now();
    browser.page(path).await;
    begun.elapsed()
}

#[tokio::test]
async fn pages_of_a_hundred_times_as_many_tasks_take_not_nearly_as_much_longer() {
    let (mut few, mut many) = (with_tasks(FEW).await, with_tasks(MANY).await);
    let html = many.page("/services/default/web").await;
    let counts = format!("{MANY} desired, {MANY} running, 0 pending, {MANY} healthy");
    assert!(html.contains(&counts), "{html}");
    assert!(html.contains(&format!("{} more", MANY - 50)), "{html}");
    let mut slow = Vec::new();
    for path in PAGES {
        // What takes long is made by the first look, and kept. The others take turns: what else goes on holds up both.
        takes(&mut many, path).await;
        let (mut before, mut after) = (Duration::MAX, Duration::MAX);
        for _ in 0..15 {
            before = before.min(takes(&mut few, path).await);
            after = after.min(takes(&mut many, path).await);
        }
        eprintln!("{path}: {before:?} with {FEW} tasks, {after:?} with {MANY}");
        if after > before * MOST_TIMES {
            slow.push(format!("{path}: {before:?}, then {after:?}"));
        }
    }
    assert_eq!(slow, Vec::<String>::new());
}
