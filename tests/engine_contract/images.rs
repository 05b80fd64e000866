//! Images: pulled, told of, pulled again when they have gone, and removed.

use futures_util::StreamExt;
use neargate::domain::{Condition, ContainerState, Dependency, PulledImage};
use neargate::engine::docker::{PullBehavior, Settings};
use neargate::engine::{EngineError, Order};

use super::{World, adapter_with, name, order, state};

pub async fn an_image_that_cannot_be_had_is_a_failure_in_the_words_of_ecs(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    "localhost:1/missing/image:none".clone_into(&mut order.spec.containers[0].image);
    let seen = world
        .drive(&mut order, "the pull to fail", |seen| {
            seen.failure.is_some()
        })
        .await;
    let failure = seen.failure.unwrap();
    assert_eq!(failure.container, Some(name("main")));
    assert!(
        failure.reason.starts_with("CannotPullContainerError: "),
        "{}",
        failure.reason
    );
}

/// A task whose last container runs `image`.
fn running(image: &str, containers: &[(&str, &[&str])]) -> Order {
    let mut order = order(containers);
    let last = order.spec.containers.last_mut().unwrap();
    image.clone_into(&mut last.image);
    order
}

pub async fn an_image_that_was_pulled_is_told_once_and_removed_when_nothing_uses_it(
    world: &mut World,
) {
    let Some(image) = world.remote_image() else {
        return;
    };
    let mut order = running(&image, &[("main", &["sleep"])]);
    world.run(&mut order).await;
    let told = world.engine.take_pulled_images();
    let [PulledImage { id, reference }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(*reference, image);
    assert_eq!(world.engine.take_pulled_images(), [], "once");
    assert!(world.engine.image_ids().await.unwrap().contains(id));
    let found = world.engine.image(id).await.unwrap().unwrap();
    assert!(found.tags.iter().eq([&image]), "{found:?}");
    assert!(found.is_only(&image) && found.is_meant_by(&image));
    assert!(
        found.size_bytes > 0 && found.digests.len() == 1,
        "{found:?}"
    );

    let in_use = async || {
        let kept = world.engine.remove_image(&found).await;
        assert!(matches!(kept, Err(EngineError::Refused(_))), "{kept:?}");
        assert_eq!(world.engine.image(id).await.unwrap().as_ref(), Some(&found));
    };
    in_use().await;
    world.stop(&mut order).await;
    in_use().await;
    world.engine.remove(&order.task_id).await.unwrap();
    let mut other = found.clone();
    other.tags.push("mine:1".to_owned());
    let changed = world.engine.remove_image(&other).await;
    assert!(
        matches!(changed, Err(EngineError::Refused(_))),
        "{changed:?}"
    );
    world.engine.remove_image(&found).await.unwrap();
    world.engine.remove_image(&found).await.unwrap();
    assert_eq!(world.engine.image(id).await.unwrap(), None);
    assert!(!world.engine.image_ids().await.unwrap().contains(id));
}

pub async fn an_image_that_goes_before_its_container_is_created_is_pulled_again(world: &mut World) {
    let Some(image) = world.remote_image() else {
        return;
    };
    let mut order = running(&image, &[("gate", &["exit"]), ("main", &["sleep"])]);
    order.spec.containers[0].essential = false;
    order.spec.containers[1].depends_on = vec![Dependency {
        container: name("gate"),
        condition: Condition::Complete,
    }];
    let seen = world
        .drive(
            &mut order,
            "the gate to be started",
            |seen| matches!(state(seen, "gate"), Some(one) if one != ContainerState::Created),
        )
        .await;
    let images = seen.images;
    let digest = images[&image].digest.clone();
    order.digests.insert(image.clone(), digest);
    let [told] = &world.engine.take_pulled_images()[..] else {
        panic!("one image was brought");
    };
    world.ended(&order, "gate").await;
    // Its container may have been created meanwhile.
    world.engine.remove(&order.task_id).await.unwrap();
    let found = world.engine.image(&told.id).await.unwrap().unwrap();
    world.engine.remove_image(&found).await.unwrap();

    // As it is between a look and what follows from it.
    order.spec.containers[1].depends_on.clear();
    let mut seen = world.engine.observe(&order).await.unwrap();
    seen.images = images;
    let error = world.engine.advance(&order, seen).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    world.run(&mut order).await;
    assert_eq!(world.engine.take_pulled_images().len(), 1);
}

pub async fn an_image_that_was_there_before_is_not_told(world: &mut World) {
    let Some(image) = world.remote_image() else {
        return;
    };
    let mut pull = world.daemon.pull_image(&image, None).await.unwrap();
    while let Some(step) = pull.next().await {
        step.unwrap();
    }
    let settings = Settings {
        warm_sandboxes: 0,
        pull_behavior: PullBehavior::Always,
        ..Settings::default()
    };
    world.engine = adapter_with(&world.daemon, &world.instance, settings);
    let mut order = running(&image, &[("main", &["sleep"])]);
    world.run(&mut order).await;
    assert_eq!(world.engine.take_pulled_images(), []);
}
