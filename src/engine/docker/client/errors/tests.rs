use super::*;

fn read(verb: Verb, status_code: u16, message: &str) -> EngineError {
    let call = Call::new(verb, "container web");
    engine_error(
        &call,
        Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        },
    )
}

#[test]
fn absence_is_only_what_the_daemon_itself_says() {
    let not_found = |what: &str| EngineError::NotFound(what.to_owned());
    assert_eq!(
        read(Verb::Create, 404, "No such image: a:b"),
        not_found("image a:b")
    );
    assert_eq!(
        read(Verb::Inspect, 404, "No such container: x"),
        not_found("container x")
    );
    assert_eq!(
        read(Verb::Start, 404, "network x not found"),
        not_found("network x")
    );
    let odd = "pull: No such image: a";
    assert_eq!(read(Verb::Inspect, 404, odd), not_found("container web"));
    for message in ["page not found", "404 page not found", "<html>", ""] {
        let error = read(Verb::Inspect, 404, message);
        assert!(
            matches!(error, EngineError::Failed(_)),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn a_start_that_goes_wrong_every_time_is_refused_in_few_words() {
    let missing = "failed to create shim: OCI runtime create failed: runc create failed: \
                   unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown";
    for status in [400, 404, 500] {
        assert_eq!(
            read(Verb::Start, status, missing),
            EngineError::Refused("exec: \"nope\": executable file not found in $PATH".to_owned())
        );
    }
    for message in [
        "OCI runtime create failed: container_linux.go:380: starting container process caused: \
         process_linux.go:545: container init caused: chdir to cwd (\"/x\") failed: unknown",
        "unable to find user nobody: no matching entries in passwd file",
        "cannot join network of a non running container: 12ab",
        "error mounting \"/x\" to rootfs at \"/y\"",
        "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
    ] {
        let error = read(Verb::Start, 500, message);
        assert!(
            matches!(error, EngineError::Refused(_)),
            "{message}: {error:?}"
        );
    }
    let error = read(
        Verb::Start,
        500,
        "OCI runtime create failed: container_linux.go:380: starting container process caused: \
         process_linux.go:545: container init caused: chdir to cwd: unknown",
    );
    assert_eq!(error, EngineError::Refused("chdir to cwd".to_owned()));
}

#[test]
fn a_shortage_may_pass() {
    for message in [
        "OCI runtime create failed: mkdir x: no space left on device: unknown",
        "write /x: no space left on device",
        "fork/exec: resource temporarily unavailable",
        "adding interface veth1 to bridge br-1 failed: exchange full",
        "anything else",
    ] {
        let error = read(Verb::Start, 500, message);
        assert!(
            matches!(error, EngineError::Failed(_)),
            "{message}: {error:?}"
        );
        assert!(error.retryable());
    }
}

#[test]
fn a_name_in_use_is_taken() {
    let message = "Conflict. The container name \"/web\" is already in use by container \"12\".";
    for verb in [Verb::Create, Verb::Rename] {
        assert!(matches!(
            read(verb, 409, message),
            EngineError::NameTaken(_)
        ));
    }
}

#[test]
fn no_subnet_left_comes_with_a_hint() {
    for (status, message) in [
        (
            404,
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
        ),
        (
            400,
            "all predefined address pools have been fully subscribed",
        ),
    ] {
        let EngineError::Refused(text) = read(Verb::CreateNetwork, status, message) else {
            panic!("{message}");
        };
        assert!(text.contains("hint: docker network prune"), "{text}");
    }
}

#[test]
fn a_pull_is_refused_by_the_registry_and_fails_on_the_way_to_it() {
    for (status, message) in [
        (
            404,
            "pull access denied for nope, repository does not exist",
        ),
        (404, "manifest for nope:1 not found: manifest unknown"),
        (500, "Get \"https://r/v2/x\": unauthorized"),
        (400, "invalid reference format"),
    ] {
        assert!(
            matches!(read(Verb::Pull, status, message), EngineError::Refused(_)),
            "{message}"
        );
    }
    for (status, message) in [
        (
            500,
            "Get \"https://r/v2/\": dial tcp: lookup r: no such host",
        ),
        (
            404,
            "Get \"https://r/v2/\": net/http: TLS handshake timeout",
        ),
        (
            500,
            "received unexpected HTTP status: 503 Service Unavailable",
        ),
        (500, "write /var/lib/docker/tmp/x: no space left on device"),
    ] {
        assert!(
            matches!(read(Verb::Pull, status, message), EngineError::Failed(_)),
            "{message}"
        );
    }
}

#[test]
fn what_is_already_so_is_settled() {
    let settled = |verb, status_code, message: &str| {
        let error = Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        };
        is_settled(&Call::new(verb, "x"), &error)
    };
    assert!(settled(
        Verb::Signal,
        409,
        "Cannot kill container: x: Container x is not running"
    ));
    assert!(settled(Verb::Signal, 404, "No such container: x"));
    assert!(settled(
        Verb::Remove,
        409,
        "removal of container x is already in progress"
    ));
    assert!(settled(Verb::Remove, 404, "No such container: x"));
    assert!(settled(Verb::RemoveNetwork, 404, "network x not found"));
    assert!(settled(Verb::RemoveImage, 404, "No such image: x"));
    assert!(settled(
        Verb::CreateNetwork,
        409,
        "network with name x already exists"
    ));
    assert!(!settled(Verb::Remove, 404, "page not found"));
    assert!(!settled(Verb::Start, 404, "No such container: x"));
    assert!(!settled(
        Verb::RemoveNetwork,
        403,
        "network x has active endpoints"
    ));
}

#[test]
fn what_others_wrote_cannot_speak_to_a_terminal_and_has_an_end() {
    let long = format!("a\x1b[31m\r\nb {}", "é".repeat(2_000));
    let EngineError::Failed(text) = read(Verb::Start, 500, &long) else {
        panic!()
    };
    assert!(text.starts_with("a [31m  b "), "{text}");
    assert!(text.len() <= TEXT_LIMIT_BYTES);
}
