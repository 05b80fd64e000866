//! Pages where much goes on: what they take grows with what they show, and hardly with what there is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::*;
use std::sync::atomic::Ordering;

use crate::domain::{
    ContainerStatus, DesiredStatus, LastStatus, Task, TaskId, TimestampMs, UsageChange,
    UsageInterval,
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

/// Records so many tasks that have stopped, each with a long reason.
async fn stop_tasks(browser: &Browser, count: u32) {
    let store = browser.api.store.clone();
    let all = crate::store::TaskFilter::default();
    let first = crate::store::PageRequest::first(1);
    let one = store.tasks(&all, &first).await.unwrap().items.remove(0);
    let tasks: Vec<Task> = (0..count)
        .map(|number| {
            let id = format!("{:032x}", 0xdef0_0000_u128 + u128::from(number));
            let (cluster, spec) = (one.cluster.clone(), one.spec.clone());
            Task::new(id.parse().unwrap(), cluster, spec, one.created_at)
        })
        .collect();
    store.create_tasks(&tasks, None).await.unwrap();
    let stop = |mut task: Task| {
        let store = store.clone();
        async move {
            task.planned_status = DesiredStatus::Stopped;
            task.last_status = LastStatus::Stopped;
            task.stopped_at = Some(task.created_at);
            task.cleaned_at = Some(task.created_at);
            task.stopped_reason = Some("because ".repeat(100));
            for container in task.containers.values_mut() {
                container.last_status = ContainerStatus::Stopped;
            }
            store.record_task(&task, &[], &[]).await.unwrap();
        }
    };
    for some in tasks.chunks(500) {
        join_all(some.iter().cloned().map(stop)).await;
    }
}

/// What reading may cost for a page among `MANY` tasks that run and as many that have stopped, in hundreds of instructions of
/// SQLite's virtual machine. What counts the tasks that go on, of the service or of all, may be more.
const MOST_READING: u64 = 150;
const MOST_ADDING_UP: u64 = 3_000;

#[tokio::test]
async fn a_page_reads_no_more_than_it_shows_and_stays_small_however_much_there_is() {
    let mut browser = with_tasks(MANY).await;
    let before = browser.page("/tasks?lastStatus=RUNNING").await;
    let (_, task) = before.split_once("href=\"/tasks/").unwrap();
    let task = task.split('"').next().unwrap().to_owned();
    let service = "/services/default/web";
    let pages = [
        ("/".to_owned(), MOST_ADDING_UP),
        (service.to_owned(), MOST_ADDING_UP),
        (format!("{service}/use"), MOST_ADDING_UP),
        (format!("{service}/scale"), MOST_ADDING_UP),
        ("/tasks".to_owned(), MOST_READING),
        ("/tasks?lastStatus=RUNNING".to_owned(), MOST_READING),
        ("/tasks?lastStatus=STOPPED".to_owned(), MOST_READING),
        ("/tasks?serviceName=web".to_owned(), MOST_READING),
        ("/tasks?family=hello".to_owned(), MOST_READING),
        (format!("/tasks/{task}"), MOST_READING),
        (format!("/tasks/{task}/stop"), MOST_READING),
        ("/task-definitions".to_owned(), MOST_READING),
        ("/task-definitions/hello".to_owned(), MOST_READING),
        ("/task-definitions/hello/1/run".to_owned(), MOST_READING),
        ("/cost".to_owned(), MOST_READING),
        ("/cost?by=family".to_owned(), MOST_READING),
        ("/cost/rightsizing".to_owned(), MOST_READING),
        ("/events".to_owned(), MOST_READING),
        (format!("/events?subject={task}"), MOST_READING),
        ("/create-service".to_owned(), MOST_READING),
    ];
    let counted = browser.api.store.count_reading().await;
    let mut costs = Vec::new();
    for stopped in [0, MANY] {
        if stopped > 0 {
            stop_tasks(&browser, stopped).await;
        }
        for (path, most) in &pages {
            // What is kept is made by the first look. `page` checks that it has no more than 200,000 bytes.
            browser.page(path).await;
            let before = counted.load(Ordering::Relaxed);
            browser.page(path).await;
            let cost = counted.load(Ordering::Relaxed) - before;
            eprintln!("{path}: {cost} of {most}, {stopped} have stopped");
            costs.push((path, cost, *most));
        }
    }
    assert!(
        costs.iter().any(|(_, cost, _)| *cost > 0),
        "nothing is counted"
    );
    let too_much: Vec<_> = costs.iter().filter(|(_, cost, most)| cost > most).collect();
    assert!(too_much.is_empty(), "{too_much:#?}");
}
