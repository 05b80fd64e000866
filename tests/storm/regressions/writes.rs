//! Bugs that show when the database cannot be written.

use neargate::store::WriteFault;

use super::*;

/// The next groups of writes go wrong.
fn spoil(world: &World, fault: WriteFault, count: usize) {
    let faults = std::iter::repeat_n(fault, count);
    world.write_faults.lock().unwrap().extend(faults);
}

#[test]
fn an_image_that_could_not_be_noted_is_noted_later() {
    for fault in [WriteFault::Fails, WriteFault::DiskFull] {
        in_virtual_time(async {
            let world = world(0).await;
            let mut main = container("main", &["sleep"]);
            main["image"] = json!("slow/app");
            let id = run(&world, &[main]).await;
            secs(&world, 1).await;
            spoil(&world, fault, 3);
            secs(&world, 60).await;
            assert!(world.write_faults.lock().unwrap().is_empty());
            let running = task(&world, &id).await;
            assert_eq!(running.last_status, LastStatus::Running, "{running:#?}");
            let noted = world.store.pulled_images().await.unwrap();
            assert_eq!(noted.len(), 1, "{noted:#?}");
        });
    }
}

#[test]
fn a_stretch_of_the_clock_whose_answer_was_lost_is_not_taken_for_the_next_one() {
    in_virtual_time(async {
        let world = world(0).await;
        let id = run(&world, &[container("main", &["sleep"])]).await;
        secs(&world, 5).await;
        let mut ledger = Ledger::default();
        ledger.check(&world).await.unwrap();
        for _ in 0..3 {
            world.set_clock(600_000);
            spoil(&world, WriteFault::AnswerLost, 1);
            secs(&world, 1).await;
            world.set_clock(-1_800_000);
            secs(&world, 10).await;
            let stretches = world.store.clock_stretches().await.unwrap();
            let last = stretches.last().unwrap();
            let ahead_ms = world.ahead_ms();
            assert_eq!(last.offset_ms, ahead_ms, "{stretches:#?}");
        }
        stop(&world, &id).await;
        secs(&world, 10).await;
        ledger.check(&world).await.unwrap();
        assert!(task(&world, &id).await.is_finished());
    });
}

#[test]
fn a_task_whose_cleaning_up_was_answered_with_an_error_is_rolled_up_at_once() {
    in_virtual_time(async {
        let mut world = world(0).await;
        secs(&world, 10).await;
        let main = container("main", &["exit", "--code", "0", "--after-ms", "2000"]);
        let id = run(&world, &[main]).await;
        secs(&world, 1).await;
        spoil(&world, WriteFault::AnswerLost, 30);
        while !world.write_faults.lock().unwrap().is_empty() {
            secs(&world, 1).await;
        }
        secs(&world, 30).await;
        let ended = task(&world, &id).await;
        assert!(ended.cleaned_at.is_some(), "{ended:#?}");
        super::super::rolled_up_once(&world).await.unwrap();
        world.shut_down().await;
    });
}
