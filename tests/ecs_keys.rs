//! Access keys: made, listed and revoked at the command line, and what botocore signs with them.

use crate::ecs::run_with;
use crate::harness::Server;

/// The ID and the secret that `neargate keys create` shows.
fn key(server: &Server, user: &str, role: &str) -> (String, String) {
    let made = server.cli(&["keys", "create", user, "--role", role]);
    let shown = made.ok();
    let value = |name: &str| {
        let mut lines = shown.lines();
        let value = lines.find_map(|line| line.strip_prefix(&format!("{name}=")));
        value.unwrap_or_else(|| panic!("{made:#?}")).to_owned()
    };
    (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"))
}

#[test]
fn what_botocore_signs_is_verified() {
    let mut server = Server::start_sim();
    let none = server.cli(&["keys", "list"]);
    assert!(none.stderr.contains("neargate keys create"), "{none:#?}");
    let admin = key(&server, "boss", "admin");
    let read = key(&server, "reader", "read-only");
    let revoked = key(&server, "reader", "admin");
    server.cli(&["keys", "revoke", &revoked.0]).ok();

    let listed = server.cli(&["keys", "list"]);
    let listed = listed.ok();
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().take(4).collect())
        .collect();
    for row in [
        [admin.0.as_str(), "boss", "admin", "ACTIVE"],
        [read.0.as_str(), "reader", "read-only", "ACTIVE"],
        [revoked.0.as_str(), "reader", "admin", "INACTIVE"],
    ] {
        assert!(rows.contains(&row.to_vec()), "{listed}");
    }
    let (_, keys) = server.get("/v1/keys");
    let said = format!("{listed}{keys}{}", server.log());
    for (_, secret) in [&admin, &read, &revoked] {
        assert!(!said.contains(secret), "{said}");
    }

    let text = |(id, secret): &(String, String)| format!("{id} {secret}");
    let env = [
        ("ADMIN_KEY", text(&admin)),
        ("READ_KEY", text(&read)),
        ("REVOKED_KEY", text(&revoked)),
    ];
    let said = run_with(&server, "python", "keys.py", &env);
    assert!(said.contains("signatures are verified"), "{said}");

    // Keys outlive the server, and so does what one of them was.
    server.shut_down();
    server.boot();
    let said = run_with(&server, "python", "keys.py", &env);
    assert!(said.contains("signatures are verified"), "{said}");
    for (id, _) in [&admin, &read, &revoked] {
        server.cli(&["keys", "revoke", id, "--forget"]).ok();
    }
    let nobody = server.cli(&["keys", "revoke", &admin.0]);
    assert!(nobody.stderr.contains("does not exist"), "{nobody:#?}");
}

#[test]
fn signatures_are_for_the_region_that_the_operator_chose() {
    let env = [
        ("NEARGATE_REGION", "eu-central-2"),
        ("NEARGATE_ACCOUNT", "123456789012"),
    ];
    let server = Server::start_sim_with(&[], &env);
    let (id, secret) = key(&server, "boss", "admin");
    let env = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
    let said = run_with(&server, "python", "elsewhere.py", &env);
    assert!(said.contains("names are of eu-central-2"), "{said}");
}
