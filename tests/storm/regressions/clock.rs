//! Bugs of what goes by the host's clock, when somebody sets that.

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// Looks at `world` ten times in each of so many seconds.
async fn watch(world: &World, ledger: &mut Ledger, seconds: u64) {
    for _ in 0..seconds * 10 {
        world.pass(Duration::from_millis(100)).await;
        ledger.check(world).await.unwrap();
    }
}

#[test]
fn a_clock_that_is_set_while_a_round_goes_on_takes_nobodys_stop_timeout_away() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        for after_ms in [0, 300, 500, 700, 900, 1_100, 1_500, 5_000] {
            in_virtual_time(async {
                let world = slow_world(0, 200).await;
                let mut main = container("main", &["ignore-sigterm"]);
                main["stopTimeout"] = json!(20);
                let id = run(&world, &[main, container("side", &["sleep"])]).await;
                secs(&world, 10).await;
                let mut ledger = Ledger::default();
                ledger.check(&world).await.unwrap();
                stop(&world, &id).await;
                world.pass(Duration::from_millis(after_ms)).await;
                world.set_clock(by_ms);
                watch(&world, &mut ledger, 40).await;
                let ended = task(&world, &id).await;
                assert_eq!(ended.last_status, LastStatus::Stopped, "{ended:#?}");
            });
        }
    }
}

#[test]
fn a_clock_that_was_set_while_an_image_was_pulled_uses_no_start_timeout_up() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        in_virtual_time(async {
            let world = world(0).await;
            let mut web = container("web", &["serve", "--delay-ms", "1000"]);
            web["image"] = json!("slow/app");
            web["startTimeout"] = json!(60);
            web["healthCheck"] = json!({
                "command": ["CMD", "/workload", "health"], "interval": 5, "timeout": 2, "retries": 3,
            });
            let mut after = container("after", &["sleep"]);
            after["dependsOn"] = json!([{ "containerName": "web", "condition": "HEALTHY" }]);
            let id = run(&world, &[web, after]).await;
            secs(&world, 1).await;
            assert_eq!(task(&world, &id).await.last_status, LastStatus::Pending);
            world.set_clock(by_ms);
            let mut ledger = Ledger::default();
            watch(&world, &mut ledger, 60).await;
            let running = task(&world, &id).await;
            assert_eq!(running.last_status, LastStatus::Running, "{running:#?}");
            stop(&world, &id).await;
            watch(&world, &mut ledger, 10).await;
            assert!(task(&world, &id).await.is_finished());
        });
    }
}

#[test]
fn no_memory_is_used_in_an_hour_that_never_was() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        in_virtual_time(async {
            let mut world = world_with_cgroups().await;
            let id = run_with_size(&world, &[container("main", &["sleep"])]).await;
            let mut ledger = Ledger::default();
            watch(&world, &mut ledger, 20).await;
            world.kill();
            world.set_clock(by_ms);
            world.start();
            watch(&world, &mut ledger, 20).await;
            stop(&world, &id).await;
            watch(&world, &mut ledger, 10).await;
            let usage = world.store.usage(&id).await.unwrap().unwrap();
            let used = usage.used.unwrap();
            let length = usage.interval.length(world.now()).as_millis();
            assert!((40_000..50_000).contains(&length), "{usage:#?}");
            let kib = used.memory_peak_bytes / 1_024;
            let most = kib * length.unsigned_abs() + kib * 1_000;
            assert!(
                (most / 2..=most).contains(&used.memory_kib_ms),
                "{usage:#?}"
            );
        });
    }
}

#[test]
fn no_interval_is_opened_by_a_clock_that_was_set_while_the_engine_is_away() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        in_virtual_time(async {
            let world = world(0).await;
            secs(&world, 5).await;
            world.daemon.inject(Fault::Unreachable { for_ms: 10_000 });
            world.set_clock(by_ms);
            secs(&world, 2).await;
            let main = container("main", &["exit", "--after-ms", "5000"]);
            let id = run(&world, &[main]).await;
            let mut ledger = Ledger::default();
            watch(&world, &mut ledger, 40).await;
            let ended = task(&world, &id).await;
            assert_eq!(ended.last_status, LastStatus::Stopped, "{ended:#?}");
            let usage = world.store.usage(&id).await.unwrap().unwrap();
            let length = usage.interval.length(world.now()).as_millis();
            assert!((5_000..15_000).contains(&length), "{usage:#?}");
        });
    }
}
