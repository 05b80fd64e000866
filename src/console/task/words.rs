//! What codes of a task mean, in words; and what is not shown of its environment. PURE.

use crate::domain::{ContainerRecord, ContainerStatus, StopCode, Task};

/// What a stop code means.
pub(super) const fn stop_code(code: StopCode) -> &'static str {
    match code {
        StopCode::TaskFailedToStart => "something failed before all of its containers had started",
        StopCode::EssentialContainerExited => "a container that it cannot go on without has ended",
        StopCode::UserInitiated => "somebody asked for it",
        StopCode::ServiceSchedulerInitiated => "its service or schedule asked for it",
        StopCode::TerminationNotice => "the host went away",
    }
}

/// What an exit code tells, as shells and Docker use them; signals are 128 and their number.
pub(super) fn exit_code(code: i64) -> String {
    let words = match code {
        0 => "ended well",
        1 => "failed, as programs say it of any failure",
        2 => "was called wrongly, as shells and many programs say it",
        125 => "the engine could not start it",
        126 => "its command cannot be executed",
        127 => "its command was not found",
        130 => "was interrupted (SIGINT)",
        134 => "aborted itself (SIGABRT)",
        137 => {
            "was killed (SIGKILL): it did not end in time, used more memory than it has, or somebody killed it"
        }
        139 => "used memory that is not its own (SIGSEGV)",
        143 => "was asked to end and did (SIGTERM)",
        129..=192 => return format!("was ended by signal {}", code - 128),
        _ => "failed, by a code of its own",
    };
    words.to_owned()
}

/// How a container that has ended did so, if it did.
pub(super) fn ended(record: &ContainerRecord) -> Option<String> {
    match (record.last_status, record.exit_code) {
        (_, Some(code)) => Some(format!("exit code {code}: {}", exit_code(code))),
        (ContainerStatus::Stopped, None) if record.started_at.is_some() => {
            Some("nobody knows its exit code".to_owned())
        }
        _ => None,
    }
}

/// What is, and what should be where that differs.
pub(super) fn status(task: &Task) -> String {
    let (last, desired) = (task.last_status.as_str(), task.desired_status().as_str());
    if last == desired {
        last.to_owned()
    } else {
        format!("{last}, should be {desired}")
    }
}

/// Whether the name of a variable says that its value is a secret, wherever it was written. It is not shown then.
pub(super) fn is_secret_name(name: &str) -> bool {
    const SAY_SO: [&str; 13] = [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "CREDENTIAL",
        "PRIVATE",
        "APIKEY",
        "API_KEY",
        "ACCESS_KEY",
        "AUTH",
        "COOKIE",
        "SIGNING",
    ];
    let name = name.to_ascii_uppercase().replace('-', "_");
    SAY_SO.iter().any(|word| name.contains(word)) || name.ends_with("_KEY") || name.ends_with("_PW")
}

/// Whether a value carries a password within an address: `postgres://user:password@host/`.
pub(super) fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_told_in_words() {
        for (code, words) in [
            (0, "ended well"),
            (137, "was killed (SIGKILL)"),
            (143, "was asked to end"),
            (127, "not found"),
            (135, "signal 7"),
            (3, "by a code of its own"),
            (-1, "by a code of its own"),
        ] {
            assert!(
                exit_code(code).contains(words),
                "{code}: {}",
                exit_code(code)
            );
        }
    }

    #[test]
    fn values_that_look_like_secrets_are_known_by_their_name_or_form() {
        for name in [
            "DB_PASSWORD",
            "db-password",
            "GITHUB_TOKEN",
            "SSH_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "ApiKey",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["PORT", "LOG_LEVEL", "KEYBOARD", "PATH"] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(has_password("postgres://me:geheim@db/app"));
        for value in ["postgres://db/app", "http://me@host/a:b@c", "a:b@c", ""] {
            assert!(!has_password(value), "{value}");
        }
    }
}
