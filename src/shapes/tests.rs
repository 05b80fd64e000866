//! What the shapes promise: every fault at once and at its place, nothing that a sender can do to the
//! reader, and documents that come back as they went in.

#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "documents are put together here, and nobody waits for them"
)]

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::Schema;
use super::*;
use crate::domain::{Faults, TaskDefinitionReference};

mod schedules;
mod volumes;

fn parse(text: &str, format: Format) -> Result<ParsedTaskDefinition, Faults> {
    ParsedTaskDefinition::parse(&Document::read(text.as_bytes(), format)?)
}

fn yaml(text: &str) -> Result<ParsedTaskDefinition, Faults> {
    parse(text, Format::Yaml)
}

/// One fault a line, as the command line shows them.
fn told(faults: &Faults) -> String {
    let line = |fault: &crate::domain::Fault| match &fault.hint {
        Some(hint) => format!("{fault} ({hint})\n"),
        None => format!("{fault}\n"),
    };
    faults.iter().map(line).collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let faults = yaml(text).expect_err("the document is faulty");
    assert_eq!(told(&faults), expected, "\n{}", told(&faults));
}

/// A task definition of one container with `lines` in it.
fn container(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "family: app\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: app\n    image: app\n{lines}"
    )
}

#[test]
fn all_faults_are_told_at_once_and_at_their_places() {
    check(
        "\
family: my app
requiresCompatibilities: [FARGATE]
networkMode: awsvcp
cpu: 256
memory: 4096
containerDefintions: []
containerDefinitions:
  - name: web
    image: Nginx Latest
    essential: yes
    portMappings:
      - containerPort: 80
        hostPort: 8080
      - containerPort: 70000
    environment:
      - name: A=B
        value: 1
    healthCheck:
      command: [curl, localhost]
      interval: 1
    dependsOn:
      - containerName: db
        condition: HEALTHY
  - name: db
    image: postgres:16
    memory: 1024
    command: psql
    privileged: true
    dependsOn:
      - containerName: web
        condition: STARTED
  - image: busybox
",
        "\
1:1: family: is `my app`, which is not a family (use up to 255 letters, digits, hyphens and underscores)
3:1: networkMode: is `awsvcp`; it must be `awsvpc`, `bridge`, `none` or `host` (did you mean `awsvpc`?)
4:1: cpu: cpu 256 with memory 4096 is not a valid size: with cpu 256, memory may be 512, 1024 or 2048 (4096 needs cpu 512 or more)
6:1: containerDefintions: is not a known field (did you mean `containerDefinitions`?)
9:5: containerDefinitions[0].image: is `Nginx Latest`, which contains white space
10:5: containerDefinitions[0].essential: is a string; it must be true or false (write true, without quotes)
13:9: containerDefinitions[0].portMappings[0].hostPort: is 8080; with networkMode `awsvpc` it must be 80, as containerPort is, or absent (the task has an address of its own; to publish ports on the host, use networkMode bridge)
14:9: containerDefinitions[0].portMappings[1].containerPort: is 70000; it must be from 1 to 65535
16:9: containerDefinitions[0].environment[0].name: is `A=B`; it may not contain `=` (put what follows on it into `value`)
19:7: containerDefinitions[0].healthCheck.command: begins with `curl`; it must begin with `CMD`, `CMD-SHELL` or `NONE` (write [CMD, program, argument, …], or [CMD-SHELL, one line for the shell])
20:7: containerDefinitions[0].healthCheck.interval: is 1; it must be from 5 to 300
21:5: containerDefinitions[0].dependsOn: goes round in a circle: web → db → web
23:9: containerDefinitions[0].dependsOn[0].condition: is `HEALTHY`, and container `db` has no healthCheck (give `db` a healthCheck, or wait for START)
27:5: containerDefinitions[1].command: is a string; it must be a list (write it as an item of a list)
31:9: containerDefinitions[1].dependsOn[0].condition: is `STARTED`; it must be `START`, `COMPLETE`, `SUCCESS` or `HEALTHY` (did you mean `START`?)
32:5: containerDefinitions[2].name: is missing
",
    );
}

#[test]
fn a_circle_of_dependencies_is_named() {
    check(
        "\
family: app
cpu: 256
memory: 512
containerDefinitions:
  - {name: a, image: a, dependsOn: [{containerName: b, condition: START}]}
  - {name: b, image: b, dependsOn: [{containerName: c, condition: START}]}
  - {name: c, image: c, dependsOn: [{containerName: a, condition: START}]}
  - {name: d, image: d, dependsOn: [{containerName: d, condition: START}, {containerName: e, condition: START}]}
",
        "\
5:25: containerDefinitions[0].dependsOn: goes round in a circle: a → b → c → a
8:38: containerDefinitions[3].dependsOn[0].containerName: is `d`: a container cannot wait for itself
8:76: containerDefinitions[3].dependsOn[1].containerName: is `e`, and the task has no such container (its containers are: a, b, c, d)
",
    );
}

#[test]
fn containers_share_the_task_s_ports_and_memory() {
    check(
        "\
family: app
networkMode: bridge
cpu: 256
memory: 512
containerDefinitions:
  - {name: a, image: a, cpu: 200, memory: 1024, memoryReservation: 300, portMappings: [{containerPort: 80, hostPort: 8080}]}
  - {name: a, image: b, cpu: 100, memory: 200, memoryReservation: 300, portMappings: [{containerPort: 80}, {containerPort: 81, hostPort: 8080}]}
",
        "\
5:1: containerDefinitions: reserve 600 MiB together, more than the task's memory of 512
5:1: containerDefinitions: take 300 CPU units together, more than the task's cpu of 256
6:35: containerDefinitions[0].memory: is 1024, more than the task's memory of 512
7:6: containerDefinitions[1].name: is `a`, as containerDefinitions[0] is called already
7:48: containerDefinitions[1].memoryReservation: is 300, more than the memory of 200
7:88: containerDefinitions[1].portMappings[0].containerPort: is 80/tcp, on which containerDefinitions[0] listens already; containers of a task share their ports
7:128: containerDefinitions[1].portMappings[1].hostPort: is 8080/tcp, which containerDefinitions[0].portMappings[0] asks for already
",
    );
}

#[test]
fn what_containers_reserve_can_be_added_up() {
    for lines in [
        "cpu: 2000000000",
        "memory: 2000000000",
        "memoryReservation: 2000000000",
    ] {
        let told = told(&yaml(&container(lines)).unwrap_err());
        assert!(told.contains("is 2000000000; it must be from"), "{told}");
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_with_the_reason() {
    check(
        "\
family: app
inferenceAccelerators: [{deviceName: a, deviceType: b}]
pidMode: host
containerDefinitions:
  - name: app
    image: app
    secrets: [{name: KEY, valueFrom: hunter2!}]
    restartPolicy: {enabled: true, restartAttemptPeriod: 59}
    linuxParameters: {capabilities: {add: [SYS_PTRACE, CAP_SYS_ADMIN]}, tmpfs: [{containerPath: /a/../b, size: 1, mountOptions: [bind]}]}
    systemControls: [{namespace: net.core.somaxconn, value: 1}, {namespace: kernel.panic, value: 1}]
    dockerLabels: {com.example.team: a, neargate.task: b}
    workingDirectory: srv
    user: root:root:x
    dnsServers: []
",
        "\
2:1: inferenceAccelerators: is not supported: there are no accelerators of Elastic Inference here
3:1: pidMode: is not supported yet: each container sees its own processes only
5:5: containerDefinitions[0].memory: is missing; neither the task nor the container says how much memory it needs (give the task a size, as cpu: \"256\" and memory: \"512\", or the container a memory or memoryReservation)
7:27: containerDefinitions[0].secrets[0].valueFrom: does not name a secret (write the name of a secret of Neargate (neargate secret list), NAME:JSON_KEY::, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)
8:36: containerDefinitions[0].restartPolicy.restartAttemptPeriod: is 59; it must be from 60 to 1800
9:56: containerDefinitions[0].linuxParameters.capabilities.add[1]: is `CAP_SYS_ADMIN`, which is not a capability (write it in capitals and without CAP_, as NET_RAW or ALL)
9:82: containerDefinitions[0].linuxParameters.tmpfs[0].containerPath: is `/a/../b`; it may not contain `..`, commas or colons
9:130: containerDefinitions[0].linuxParameters.tmpfs[0].mountOptions[0]: is `bind`, which is not an option of tmpfs that can be used here
10:66: containerDefinitions[0].systemControls[1].namespace: is `kernel.panic`, which is a parameter of the whole host (a task can set net.*, fs.mqueue.* and the kernel.msg*, kernel.sem and kernel.shm* parameters)
11:41: containerDefinitions[0].dockerLabels[\"neargate.task\"]: begins with `neargate.`, as only Neargate's own labels may
12:5: containerDefinitions[0].workingDirectory: is `srv`; it must be an absolute path
13:5: containerDefinitions[0].user: is `root:root:x`, which is not a user (it has the form user, user:group, uid, uid:gid, user:gid or uid:group)
",
    );
}

#[test]
fn what_comes_from_the_secret_store_is_checked() {
    let faulty = "\
environment: [{name: A, value: b}]
secrets:
  - {name: A, valueFrom: a}
  - {name: B, valueFrom: a}
  - {name: B, valueFrom: \"db:password:AWSPREVIOUS:\"}
environmentFiles: [{type: s3, value: \"arn:aws:ssm:x:1:parameter/a\"}]
secretFiles:
  - {containerPath: /etc/passwd, valueFrom: a}
  - {containerPath: run/secrets/a, valueFrom: a}
  - {containerPath: /run/secrets/, valueFrom: a}
  - {containerPath: /run/secrets/a, valueFrom: a, mode: rw}
  - {containerPath: /run/secrets/a, valueFrom: a}
  - {containerPath: /run/secrets/deep/b, valueFrom: a}
  - {containerPath: /dev/shm/c, valueFrom: a}
repositoryCredentials: {credentialsParameter: \"\"}";
    let told = told(&yaml(&container(faulty)).unwrap_err());
    for expected in [
        "secrets[0].name: is `A`, which is in `environment` already",
        "secrets[2].name: is `B`, which is there already",
        "secrets[2].valueFrom: does not name a secret",
        "environmentFiles[0].value: does not name a secret",
        "secretFiles[0].containerPath: is `/etc/passwd`, and its folder would be hidden",
        "secretFiles[1].containerPath: is `run/secrets/a`; it must be an absolute path",
        "secretFiles[2].containerPath: is `/run/secrets/`, which is not the path of a file",
        "secretFiles[3].mode: is `rw`, which is not a mode",
        "secretFiles[4].containerPath: is `/run/secrets/a`, which is there already",
        "has files in `/run/secrets/deep` and in `/run/secrets`",
        "secretFiles[6].containerPath: is `/dev/shm/c`, and its folder would be hidden",
        "repositoryCredentials.credentialsParameter: does not name a secret",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
    let parsed = yaml(&container(
        "secretFiles: [{containerPath: /run/secrets/a, valueFrom: a, mode: 0400}]",
    ));
    let file = &parsed.unwrap().definition.containers[0].secrets.files[0];
    assert_eq!(
        (file.folder.as_str(), file.name.as_str(), file.mode),
        ("/run/secrets", "a", 0o400)
    );
}

#[test]
fn a_restart_policy_has_the_defaults_of_ecs_and_its_limits() {
    let parse = |policy: &str| yaml(&container(&format!("restartPolicy: {policy}")));
    let policy = |text: &str| {
        let parsed = parse(text).unwrap();
        let policy = &parsed.definition.containers[0].restart_policy;
        assert_eq!(parsed.warnings, [""; 0]);
        policy
            .as_ref()
            .map(|policy| (policy.ignored_exit_codes.clone(), policy.attempt_period))
    };
    let secs = crate::domain::DurationMs::from_secs;
    assert_eq!(policy("{enabled: true}"), Some((vec![], secs(300))));
    assert_eq!(
        policy("{enabled: true, ignoredExitCodes: [0, 3], restartAttemptPeriod: 60}"),
        Some((vec![0, 3], secs(60)))
    );
    assert_eq!(policy("{enabled: false, ignoredExitCodes: [0]}"), None);
    let codes = vec!["1"; 51].join(", ");
    let faulty = format!("{{ignoredExitCodes: [{codes}], restartAttemptPeriod: 1801}}");
    let told = told(&parse(&faulty).unwrap_err());
    for expected in [
        "restartPolicy.enabled: is missing",
        "restartPolicy.ignoredExitCodes: ",
        "restartPolicy.restartAttemptPeriod: ",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn what_is_only_kept_is_warned_about() {
    let parsed = yaml(&container(
        "logConfiguration: {logDriver: awslogs, options: {mode: non-blocking}}",
    ));
    assert_eq!(
        parsed.unwrap().warnings,
        [
            "containerDefinitions[0].logConfiguration: kept and given back; has no effect: Neargate keeps the log itself; with `awslogs` and an `awslogs-group`, clients of CloudWatch Logs find it there: see docs/ecs-api.md"
        ]
    );
    let storage = format!("{}ephemeralStorage: {{sizeInGiB: 50}}\n", container(""));
    let warnings = yaml(&storage).unwrap().warnings;
    assert!(
        warnings.len() == 1
            && warnings[0].starts_with(
                "ephemeralStorage: kept and given back; has no effect: it is not enforced"
            ),
        "{warnings:?}"
    );
    let harmless = "privileged: false\nsecrets: []\nrestartPolicy: {enabled: false}\nlinks: null";
    assert_eq!(yaml(&container(harmless)).unwrap().warnings, [""; 0]);
}

#[test]
fn scalars_of_yaml_are_texts_where_texts_are_asked_for() {
    let parsed = yaml(&container(
        "environment:\n  - {name: A, value: 010}\n  - {name: B, value: 1e3}\n  - {name: C, value: yes}\n  \
         - {name: D, value: True}\n  - {name: E, value: 0x1F}\n  - {name: F, value: .inf}\n  - {name: G, value: -1_000}\n  \
         - {name: H, value: 1.50}\n  - {name: I, value: ~}\n  - {name: J, value: \"07\"}\n  - {name: K}\n  \
         - {name: 1, value: 12345678901234567890123}\ncommand: [sleep, 10]\ndockerLabels: {a: 1, 2: b}",
    ))
    .unwrap();
    let container = &parsed.definition.containers[0];
    let values: Vec<&str> = container
        .environment
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        values,
        [
            "010",
            "1e3",
            "yes",
            "True",
            "0x1F",
            ".inf",
            "-1_000",
            "1.50",
            "",
            "07",
            "",
            "12345678901234567890123"
        ]
    );
    assert_eq!(
        container.command.as_deref(),
        Some(&["sleep".to_owned(), "10".to_owned()][..])
    );
    assert_eq!(parsed.document["cpu"], json!("256"));
    assert_eq!(
        parsed.document["containerDefinitions"][0]["dockerLabels"],
        json!({"a": "1", "2": "b"})
    );

    let faults = parse(
        r#"{"family": "a", "cpu": 256, "memory": "512", "containerDefinitions": [{"name": "a", "image": "a"}]}"#,
        Format::Json,
    );
    assert_eq!(
        told(&faults.unwrap_err()),
        "1:17: cpu: is a number; it must be a string (write it in quotes: \"256\")\n"
    );
}

#[test]
fn a_document_comes_back_field_for_field_and_in_order() {
    let text = container("zeta_is_not_there: 1").replace("    zeta_is_not_there: 1\n", "    ulimits: [{name: nofile, softLimit: 1, hardLimit: -1}]\n    command: [b, a]\n    cpu: 7\n    essential: true\n    interactive: null\n");
    let parsed = yaml(&text).unwrap();
    assert_eq!(
        serde_json::to_string(&parsed.document).unwrap(),
        r#"{"family":"app","cpu":"256","memory":"512","containerDefinitions":[{"name":"app","image":"app","ulimits":[{"name":"nofile","softLimit":1,"hardLimit":-1}],"command":["b","a"],"cpu":7,"essential":true,"interactive":null}]}"#
    );
    let again = parse(&parsed.document.to_string(), Format::Json).unwrap();
    assert_eq!(again, parsed);
    let stored = ParsedTaskDefinition::parse(&Document::from_value(&parsed.document)).unwrap();
    assert_eq!(stored, parsed);
}

#[test]
fn aliases_and_merges_are_understood_and_placed_where_they_are_used() {
    let text = "\
family: app
cpu: 256
memory: 512
containerDefinitions:
  - &base
    name: a
    image: app
    environment: &env [{name: A, value: 1}]
  - <<: *base
    name: b
    environment: *env
";
    let parsed = yaml(text).unwrap();
    assert_eq!(
        parsed.definition.containers[1].environment,
        [("A".to_owned(), "1".to_owned())]
    );
    assert_eq!(parsed.definition.containers[1].image, "app");
}

#[test]
fn syntax_errors_are_one_fault_at_their_place() {
    let mut all = String::new();
    for (text, format) in [
        ("family: [a\n", Format::Yaml),
        ("a: b: c\n", Format::Yaml),
        ("a:\n\t- b\n", Format::Yaml),
        ("a: 1\nb: 2\na: 3\n", Format::Yaml),
        ("a: 1\n---\nb: 1\n", Format::Yaml),
        ("a: *nope\n", Format::Yaml),
        ("a: &a [*a]\n", Format::Yaml),
        ("a: !include /etc/passwd\n", Format::Yaml),
        ("? [1]\n: 2\n", Format::Yaml),
        ("{\"a\": 1,\n \"b\" 2}", Format::Json),
        ("{\"a\": 1,\n \"a\": 2}", Format::Json),
        ("family: web\n", Format::Json),
        ("", Format::Json),
    ] {
        let faults = Document::read(text.as_bytes(), format).unwrap_err();
        all += &format!("{text:?}\n  {}", told(&faults));
    }
    let expected = r#""family: [a\n"
  1:9: is not valid YAML: unclosed bracket '['
"a: b: c\n"
  1:5: is not valid YAML: mapping values are not allowed in this context (put a value with `: ` in it in quotes)
"a:\n\t- b\n"
  2:2: is not valid YAML: tabs disallowed within this context (block indentation)
"a: 1\nb: 2\na: 3\n"
  3:1: `a` is there twice (a name may occur once in a map; remove one of the two)
"a: 1\n---\nb: 1\n"
  3:1: a second YAML document begins here; one is read (send each document by itself)
"a: *nope\n"
  1:4: is not valid YAML: reference to unknown value
"a: &a [*a]\n"
  1:8: is not valid YAML: Recursive reference not allowed here
"a: !include /etc/passwd\n"
  1:13: is not valid YAML: unsupported tag `!include`
"? [1]\n: 2\n"
  1:3: is not valid YAML: expected string scalar
"{\"a\": 1,\n \"b\" 2}"
  2:6: is not valid JSON: expected `:`
"{\"a\": 1,\n \"a\": 2}"
  2:8: `a` is there twice (a name may occur once in a map; remove one of the two)
"family: web\n"
  1:3: is not JSON (it was sent as JSON; YAML has the content type application/yaml)
""
  1:1: the document is empty
"#;
    assert_eq!(all, expected, "\n{all}");
    let faults = Document::read(b"a: b\nc: \xff", Format::Yaml).unwrap_err();
    assert_eq!(
        told(&faults),
        "2:4: the document is not UTF-8 from here on\n"
    );
    assert_eq!(
        told(&yaml("").unwrap_err()),
        "1:1: has no value; it must be a map\n"
    );
}

/// The processor's time that this thread has had. Unlike a clock's it does not depend on who else is busy.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

/// What reading `text` comes to, which must not be much work: milliseconds when built for release; the test is only
/// to see that it does not grow beyond all bounds.
#[track_caller]
fn refused_quickly(text: &str, format: Format) -> String {
    let before = worked();
    let faults = parse(text, format).expect_err("the document is too much");
    let took = worked().saturating_sub(before);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert!(faults.iter().count() <= 100);
    told(&faults)
}

#[test]
fn what_is_too_much_is_refused_quickly() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let of = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{of}]\n");
    }
    let scalars = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        vec!["*a"; 10_000].join(", ")
    );
    let merges = format!("a: &a {{x: 1}}\nb:\n{}", "  <<: *a\n".repeat(20_000));
    for text in [
        laughs,
        scalars,
        merges,
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(50_000),
    ] {
        let told = refused_quickly(&text, Format::Yaml);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let told = refused_quickly(&"x".repeat(10_000_000), Format::Yaml);
    assert_eq!(
        told,
        "the document has 10000000 bytes; at most 1048576 are read\n"
    );

    refused_quickly(&"[".repeat(100_000), Format::Json);
    refused_quickly(&format!("[{}0]", "0,".repeat(200_000)), Format::Json);
    refused_quickly(
        &format!("{}{}", "[".repeat(100), "]".repeat(100)),
        Format::Json,
    );
}

#[test]
fn many_faults_are_cut_off_quickly() {
    let unknown: String = (0..5_000)
        .map(|n| format!("unknownField{n}: 1\n"))
        .collect();
    let told = refused_quickly(&unknown, Format::Yaml);
    assert!(
        told.contains("; there are more faults than are told here"),
        "{told}"
    );

    let containers: String = (0..5_000)
        .map(|n| format!("  - {{name: c{n}, image: c}}\n"))
        .collect();
    let told = refused_quickly(
        &format!("family: a\ncontainerDefinitions:\n{containers}"),
        Format::Yaml,
    );
    assert!(
        told.contains("has 5000 items; it may have at most 10"),
        "{told}"
    );

    let labels: String = (0..5_000).map(|n| format!("  neargate.{n}: x\n")).collect();
    let told = refused_quickly(
        &container(&format!("dockerLabels:\n{labels}")),
        Format::Yaml,
    );
    assert!(
        told.ends_with("there are more faults than are told here\n"),
        "{told}"
    );
}

#[test]
fn unknown_fields_name_the_nearest_known_one() {
    for (unknown, near) in [
        ("container_definitions", "containerDefinitions"),
        ("Family", "family"),
        ("netwrokMode", "networkMode"),
        ("requireCompatibilities", "requiresCompatibilities"),
        ("Memory", "memory"),
    ] {
        let told = told(&yaml(&format!("{unknown}: 1\n")).unwrap_err());
        assert!(
            told.contains(&format!(
                "{unknown}: is not a known field (did you mean `{near}`?)"
            )),
            "{told}"
        );
    }
    let told = told(&yaml(&container("secrets: [{name: a, valueFrom: b, xyz: c}]")).unwrap_err());
    assert!(
        told.contains("secrets[0].xyz: is not a known field (known here: name, valueFrom)"),
        "{told}"
    );
    // A name that is meant to harm a terminal does not reach it.
    let hostile = format!("\"{}\": 1\n", "\\e[31m");
    assert!(!yaml(&hostile).unwrap_err().to_string().contains('\u{1b}'));
}

#[test]
fn a_nul_is_a_fault_wherever_it_is() {
    let told = told(
        &yaml(&container(
            "environment: [{name: A, value: \"a\\0b\"}]\ndockerLabels: {\"a\\0\": b}",
        ))
        .unwrap_err(),
    );
    assert_eq!(
        told,
        "7:29: containerDefinitions[0].environment[0].value: contains a NUL character\n\
         8:20: containerDefinitions[0].dockerLabels[\"a\\u{0}\"]: has a NUL character in its name\n"
    );
}

#[test]
fn yaml_and_json_say_the_same() {
    let from_yaml = yaml(&container(
        "command: [a, b]\nportMappings: [{containerPort: 80}]",
    ))
    .unwrap();
    let text = r#"{"family": "app", "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "app", "image": "app", "command": ["a", "b"],
                                  "portMappings": [{"containerPort": 80}]}]}"#;
    assert_eq!(parse(text, Format::Json).unwrap(), from_yaml);
    // JSON is YAML as well, and is placed by it.
    assert_eq!(yaml(text).unwrap(), from_yaml);
    let faults = parse(&text.replace("80", "\"80\""), Format::Json).unwrap_err();
    assert_eq!(
        told(&faults),
        "3:53: containerDefinitions[0].portMappings[0].containerPort: is a string; it must be a whole number (write it without quotes: 80)\n"
    );
}

#[test]
fn requests_to_run_are_parsed_with_their_defaults() {
    let read = |text: &str| ParsedRunTask::parse(&Document::read(text.as_bytes(), Format::Json)?);
    let run = read(r#"{"taskDefinition": "web"}"#).unwrap();
    assert_eq!(
        (run.cluster.as_str(), run.count, run.group.as_str()),
        ("default", 1, "family:web")
    );
    assert_eq!(run.overrides_document, json!({}));

    let run = read(
        r#"{"taskDefinition": "web:3", "count": 100, "clientToken": "t", "tags": [{"key": "a", "value": "b"}],
            "overrides": {"cpu": "1 vCPU", "containerOverrides": [{"name": "app", "command": []}]}}"#,
    )
    .unwrap();
    assert_eq!(run.task_definition.to_string(), "web:3");
    assert_eq!(run.overrides.cpu.map(|cpu| cpu.0), Some(1_024));
    assert_eq!(run.overrides.containers[0].command, Some(Vec::new()));

    let faults = read(
        r#"{"taskDefinition": "web:0", "cluster": "a b", "count": 101, "launchtype": "FARGATE",
            "tags": [{"key": "a"}, {"key": "a"}], "overrides": {"containerOverrides": [{"environment": [{"name": ""}]}]}}"#,
    )
    .unwrap_err();
    assert_eq!(faults.iter().count(), 7, "{}", told(&faults));

    for text in [
        "web:",
        "web:x",
        "web:+1",
        "web:1:2",
        ":1",
        "",
        "web:99999999999",
    ] {
        assert!(text.parse::<TaskDefinitionReference>().is_err(), "{text}");
    }
    let sent = RunTaskRequest {
        task_definition: "web".to_owned(),
        count: Some(2),
        ..RunTaskRequest::default()
    };
    assert_eq!(
        serde_json::to_string(&sent).unwrap(),
        r#"{"taskDefinition":"web","count":2}"#
    );
}

#[test]
fn a_run_does_not_describe_volumes() {
    let text = r#"{"taskDefinition": "web", "volumeConfigurations": [{"name": "data", "managedEBSVolume": {"sizeInGiB": 1}}]}"#;
    let document = Document::read(text.as_bytes(), Format::Json).unwrap();
    let told = told(&ParsedRunTask::parse(&document).unwrap_err());
    assert!(
        told.starts_with("1:27: volumeConfigurations: is not supported: there is no EBS here"),
        "{told}"
    );
}

#[test]
fn every_shape_has_a_schema_that_is_understood_and_every_field_a_verdict() {
    let mut leaves = Vec::new();
    for schema in [
        Schema::of::<RunTaskRequest>(),
        Schema::of::<StopTaskRequest>(),
        Schema::of::<UpdateTaskProtectionRequest>(),
        Schema::of::<CreateClusterRequest>(),
        Schema::of::<CreateScheduleRequest>(),
        Schema::of::<CreateAccessKeyRequest>(),
    ] {
        schema.leaves("", &mut leaves);
    }
    leaves.clear();
    Schema::of::<RegisterTaskDefinitionRequest>().leaves("", &mut leaves);
    let judged: Vec<&str> = support::paths().collect();
    for leaf in &leaves {
        let rows = judged
            .iter()
            .filter(|row| path::is_within(leaf, row))
            .count();
        assert_eq!(rows, 1, "verdicts on {leaf}");
    }
    for row in judged {
        assert!(
            leaves.iter().any(|leaf| path::is_within(leaf, row)),
            "{row} is not a field"
        );
    }
}

#[test]
fn every_field_of_a_service_has_a_verdict() {
    let judged: Vec<&str> = support::service_paths().collect();
    let named = |schema: &Schema, name: &str| schema.names().iter().any(|known| known == name);
    let (create, update) = (
        Schema::of::<CreateServiceRequest>(),
        Schema::of::<UpdateServiceRequest>(),
    );
    for name in create.names().iter().chain(&update.names()) {
        assert!(
            judged.iter().any(|row| path::is_within(row, name)),
            "no verdict on {name}"
        );
    }
    for row in judged {
        let name = row.split('.').next().unwrap();
        assert!(
            named(&create, name) || named(&update, name),
            "{row} is not a field"
        );
    }
}

/// `NEARGATE_BLESS=1 cargo test` writes the files anew.
#[test]
fn the_docs_are_written_from_the_tables() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    for (name, text) in [
        ("task-definition-fields.md", task_definition_fields()),
        ("service-fields.md", service_fields()),
    ] {
        let file = format!("{folder}/{name}");
        if std::env::var_os("NEARGATE_BLESS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&file).unwrap_or_default(),
            text,
            "run it with NEARGATE_BLESS=1"
        );
    }
}

#[test]
fn the_samples_are_valid_and_lose_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/task-definitions");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let parsed = yaml(&std::fs::read_to_string(&path).unwrap());
            let parsed =
                parsed.unwrap_or_else(|faults| panic!("{}:\n{}", path.display(), told(&faults)));
            assert_eq!(parsed.warnings, [""; 0], "{}", path.display());
        }
    }
}

/// Any JSON, with the names of real fields among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let mut known = Vec::new();
    Schema::of::<RegisterTaskDefinitionRequest>().leaves("", &mut known);
    let names: Vec<String> = known
        .iter()
        .flat_map(|leaf| leaf.split(['.', '[']))
        .map(|name| name.trim_end_matches(']').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let key = prop_oneof![4 => proptest::sample::select(names), 1 => any::<String>()];
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("app")),
        Just(json!("256")),
    ];
    scalar.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A valid document, mostly of fields that have an effect.
fn valid() -> impl Strategy<Value = Value> {
    let text = "[a-zA-Z0-9 =:_./'\"#-]{0,12}";
    (
        prop::collection::vec((text, any::<Option<bool>>(), 0u32..5), 1..4),
        prop::collection::vec(("[A-Z]{1,5}", text), 0..4),
        prop::sample::select(vec!["awsvpc", "bridge"]),
    )
        .prop_map(|(containers, environment, mode)| {
            let environment: Vec<Value> = environment
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            let containers: Vec<Value> = containers
                .iter()
                .enumerate()
                .map(|(index, (word, interactive, stop))| {
                    json!({
                        "name": format!("c{index}"), "image": "app", "command": [word, ""],
                        "environment": environment, "interactive": interactive, "stopTimeout": stop,
                        "portMappings": [{"containerPort": 80 + index}], "dockerLabels": {"a.b": word},
                    })
                })
                .collect();
            json!({"memory": "2 GB", "cpu": "512", "networkMode": mode, "containerDefinitions": containers, "family": "app"})
        })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        for format in [Format::Yaml, Format::Json] {
            if let Ok(document) = Document::read(&bytes, format) {
                let _ = ParsedTaskDefinition::parse(&document);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-a-c:\\[\\]{},&*! '\"#|>?%@\\n\\t0-9.]{0,80}") {
        if let Ok(document) = Document::read(text.as_bytes(), Format::Yaml) {
            let _ = ParsedTaskDefinition::parse(&document);
        }
    }

    #[test]
    fn no_json_makes_the_parser_panic_and_its_faults_can_be_printed(value in any_json()) {
        let text = value.to_string();
        let document = Document::read(text.as_bytes(), Format::Json).unwrap();
        if let Err(faults) = ParsedTaskDefinition::parse(&document) {
            for fault in faults.iter() {
                prop_assert!(!fault.message.contains(char::is_control) && !fault.path.contains(char::is_control));
            }
        }
        let _ = ParsedRunTask::parse(&document);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_valid_document_means_the_same_when_it_comes_back(value in valid()) {
        let parsed = parse(&value.to_string(), Format::Json).unwrap();
        prop_assert_eq!(&parsed.document, &value);
        let text = serde_saphyr::to_string(&value).unwrap();
        prop_assert_eq!(&yaml(&text).unwrap(), &parsed);
        let again = parse(&parsed.document.to_string(), Format::Json).unwrap();
        prop_assert_eq!(again, parsed);
    }
}
