//! `kill -9` of Neargate in every phase of a deployment, on the real engine: it goes on where it was, no task is doubled,
//! and the counts stay within the bounds throughout.

use serde_json::{Value, json};

use crate::harness::{Registry, Relay, Server, docker, eventually, workload};
use crate::service::{create, service, tasks, update};

/// With 2 tasks wanted: 3 at most, 1 healthy at least.
const MOST: u64 = 3;
const LEAST: u64 = 1;
const CONFIGURATION: &str = "healthCheckGracePeriodSeconds: 2\n\
     deploymentConfiguration:\n  minimumHealthyPercent: 50\n  maximumPercent: 150\n  \
     deploymentCircuitBreaker: {enable: true, rollback: true}\n";

/// Goes on for a while after SIGTERM, so that old tasks can be seen to drain.
const STUBBORN: &[&str] = &["ignore-sigterm"];

/// What is seen of the service, held to its bounds.
struct Sight {
    service: Value,
    tasks: Vec<Value>,
}

fn look(server: &Server, most: u64) -> Sight {
    let service = service(server);
    let count = |field: &str| service[field].as_u64().unwrap();
    let there = count("pendingCount") + count("runningCount");
    assert!(there <= most, "{there} tasks, {most} at most: {service:#}");
    let healthy = count("healthyCount");
    assert!(healthy >= LEAST, "{healthy} healthy tasks: {service:#}");
    Sight {
        tasks: tasks(server),
        service,
    }
}

impl Sight {
    fn of<'a>(&'a self, definition: &'a str) -> impl Iterator<Item = &'a Value> {
        let is_of = move |task: &&Value| task["taskDefinition"] == definition;
        self.tasks.iter().filter(is_of)
    }

    fn is_at_rest(&self, count: usize, definition: &str) -> bool {
        self.service["steady"] == true
            && self.service["taskDefinition"] == definition
            && self.tasks.len() == count
            && self.of(definition).count() == count
    }
}

/// Waits until the service is as `is_so` says.
fn until(server: &Server, what: &str, most: u64, is_so: impl Fn(&Sight) -> bool) {
    eventually(what, || {
        let sight = look(server, most);
        if is_so(&sight) {
            Ok(())
        } else {
            Err(format!("{:#}\n{}", sight.service, server.log()))
        }
    });
}

/// A story of one service, which is killed in between.
struct Story {
    server: Server,
    /// The newest revision of the family.
    revision: u32,
}

impl Story {
    fn register(&mut self, image: &str, command: &[&str], more: &str) -> String {
        let answer = self.server.register(&format!(
            "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
             - {{name: main, image: \"{image}\", command: {}, stopTimeout: 3}}\n{more}",
            json!(command)
        ));
        self.revision += 1;
        let name = format!("web:{}", self.revision);
        assert_eq!(answer["taskDefinition"], name, "{answer:#}");
        name
    }

    /// A revision like the one before.
    fn good(&mut self) -> String {
        self.register(workload(), STUBBORN, "")
    }

    fn deploy(&self, definition: &str) {
        update(&self.server, &json!({ "taskDefinition": definition }));
    }

    /// SIGKILL in the phase that `is_so` tells, and a start after it.
    fn kill_when(&mut self, phase: &str, is_so: impl Fn(&Sight) -> bool) {
        until(&self.server, phase, MOST, is_so);
        self.kill();
    }

    fn kill(&mut self) {
        self.server.kill();
        self.server.boot();
    }

    fn comes_to_rest(&self, count: usize, definition: &str) {
        let what = format!("{count} tasks of {definition}");
        until(&self.server, &what, MOST, |sight| {
            sight.is_at_rest(count, definition)
        });
    }

    /// Every task that the service ever had of that revision.
    fn all_of(&self, definition: &str) -> usize {
        let (_, page) = self.server.get("/v1/tasks?serviceName=web&limit=1000");
        let tasks = page["items"].as_array().unwrap();
        let is_of = |task: &&Value| task["taskDefinition"] == definition;
        tasks.iter().filter(is_of).count()
    }

    /// The deployment went on: there are as many tasks of it as were wanted, and there were never more.
    fn goes_on(&self, definition: &str) {
        self.comes_to_rest(2, definition);
        assert_eq!(self.all_of(definition), 2, "tasks of {definition}");
        let label = format!("label=neargate.instance={}", self.server.instance());
        eventually("one container of each task", || {
            let listed = docker(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"])?;
            let main = listed.lines().filter(|name| name.ends_with("-main"));
            let mut names: Vec<&str> = main.collect();
            names.sort_unstable();
            let mut wanted: Vec<String> = tasks(&self.server)
                .iter()
                .map(|task| format!("neargate-{}-main", task["taskId"].as_str().unwrap()))
                .collect();
            wanted.sort_unstable();
            if names == wanted {
                Ok(())
            } else {
                Err(format!("{names:?} instead of {wanted:?}"))
            }
        });
    }
}

fn is_in(task: &Value, status: &str) -> bool {
    task["lastStatus"] == status
}

#[test]
fn a_deployment_goes_on_from_whatever_phase_it_was_killed_in() {
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.boot();
    let mut story = Story {
        server,
        revision: 0,
    };
    story.good();
    let document =
        format!("serviceName: web\ntaskDefinition: web\ndesiredCount: 2\n{CONFIGURATION}");
    create(&story.server, &document);
    eventually("the first deployment", || {
        let service = service(&story.server);
        if service["steady"] == true {
            Ok(())
        } else {
            Err(format!("{service:#}"))
        }
    });

    // It is recorded, and perhaps nothing more.
    let new = story.good();
    story.deploy(&new);
    story.kill();
    story.goes_on(&new);

    // Tasks of it were accepted.
    let new = story.good();
    story.deploy(&new);
    story.kill_when("a new task", |sight| sight.of(&new).next().is_some());
    story.goes_on(&new);

    pulls(&mut story);

    // They start: the second container waits for the health of the first.
    let check =
        "healthCheck: {command: [CMD, /workload, health], interval: 5, timeout: 30, retries: 3}";
    let two = format!(
        "- name: first\n  image: {0}\n  command: [serve]\n  essential: false\n  stopTimeout: 2\n  {check}\n",
        workload()
    );
    let answer = story.server.register(&format!(
        "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n{two}\
         - {{name: main, image: \"{}\", command: [sleep], stopTimeout: 2, \
         dependsOn: [{{containerName: first, condition: HEALTHY}}]}}\n",
        workload()
    ));
    story.revision += 1;
    let starting = answer["taskDefinition"].as_str().unwrap().to_owned();
    story.deploy(&starting);
    story.kill_when("a new task that starts", |sight| {
        sight.of(&starting).any(|task| {
            let mut containers = task["containers"].as_array().unwrap().iter();
            is_in(task, "PENDING") && containers.any(|one| one["lastStatus"] == "RUNNING")
        })
    });
    story.goes_on(&starting);

    // They run, and are in their grace period.
    let new = story.good();
    story.deploy(&new);
    story.kill_when("a new task in its grace period", |sight| {
        let deployment = &sight.service["deployments"][0];
        let running = deployment["runningCount"].as_u64().unwrap();
        running > deployment["healthyCount"].as_u64().unwrap()
    });
    story.goes_on(&new);

    // Old ones drain.
    let draining = new;
    let new = story.good();
    story.deploy(&new);
    story.kill_when("an old task that drains", |sight| {
        sight.of(&draining).any(|task| is_in(task, "STOPPING"))
    });
    story.goes_on(&new);

    rolls_back(&mut story, &new);
    scales_in(&mut story, &new);
    story
        .server
        .send("DELETE", "/v1/services/web?force=true", None, "");
    story.server.wait_until_clean();
}

/// The image comes, as slowly as the test wants.
fn pulls(story: &mut Story) {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let relay = Relay::before(registry.port());
    registry.push("slow", 300_000);
    let image = format!("{}/slow", relay.host());
    let new = story.register(&image, STUBBORN, "");
    relay.stall_after(20_000);
    story.deploy(&new);
    story.kill_when("a pull", |sight| {
        let is_pulled =
            |task: &Value| !task["pullStartedAt"].is_null() && task["pullStoppedAt"].is_null();
        sight.of(&new).any(is_pulled)
    });
    relay.stall_after(u64::MAX);
    story.goes_on(&new);
    // The next revision runs on what was there before: nothing of this image is needed any more.
    let next = story.good();
    story.deploy(&next);
    story.goes_on(&next);
    let _ = docker(&["image", "rm", "--force", &image]);
}

/// A bad revision is rolled back, with a crash while that goes on and one after it.
fn rolls_back(story: &mut Story, good: &str) {
    let before = story.all_of(good);
    let bad = story.register(workload(), &["exit", "--code", "3"], "");
    story.deploy(&bad);
    let is_left = |sight: &Sight, state: &str| {
        let deployments = sight.service["deployments"].as_array().unwrap();
        let mut left = deployments
            .iter()
            .filter(|one| one["taskDefinition"] == bad);
        left.any(|one| one["serviceDeploymentStatus"] == state)
    };
    story.kill_when("a rollback", |sight| is_left(sight, "ROLLBACK_IN_PROGRESS"));
    story.comes_to_rest(2, good);
    let outcome = |story: &Story| {
        let (_, page) = story.server.get("/v1/services/web/deployments");
        let items = page["items"].as_array().unwrap();
        let failed = items
            .iter()
            .find(|one| one["taskDefinition"] == bad)
            .unwrap();
        (
            failed["serviceDeploymentStatus"].clone(),
            failed["failedTasks"].clone(),
            items.len(),
        )
    };
    let (status, failed, number) = outcome(story);
    assert_eq!(status, "ROLLBACK_SUCCESSFUL");
    let (failed, of_bad) = (failed.as_u64().unwrap(), story.all_of(&bad));
    assert!(
        (3..=4).contains(&failed) && of_bad <= 5,
        "{failed} of {of_bad} failed"
    );
    let of_good = story.all_of(good);
    assert!(
        of_good <= before + 1,
        "one was stopped for the bad ones, and came back"
    );

    // It is over, and stays so.
    story.kill();
    story.comes_to_rest(2, good);
    assert_eq!(
        outcome(story),
        (json!("ROLLBACK_SUCCESSFUL"), json!(failed), number)
    );
    assert_eq!((story.all_of(&bad), story.all_of(good)), (of_bad, of_good));
}

fn scales_in(story: &mut Story, definition: &str) {
    let all = story.all_of(definition);
    update(&story.server, &json!({ "desiredCount": 1 }));
    story.kill_when("a task that is scaled in", |sight| {
        sight.tasks.iter().any(|task| is_in(task, "STOPPING"))
    });
    story.comes_to_rest(1, definition);
    assert_eq!(story.all_of(definition), all, "nothing was started");
}
