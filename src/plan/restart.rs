//! Whether a container that has ended is started again without its task. PURE.
//!
//! Source: Amazon ECS API reference, `ContainerRestartPolicy`: a container that ended with an exit code that is not
//! ignored is started again if it ran for `restartAttemptPeriod` before, so never more often than once in that
//! time. amazon-ecs-agent (`restart_tracker.go`) adds that one is never started again whose exit code is not known.
//! It measures until it looks; here it is until the process ended, so that the answer is the same whenever
//! somebody looks, also after Neargate was away.

use crate::domain::{RestartPolicy, TimestampMs};

/// How one attempt to run a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `None` for one that never ran.
    pub started_at: Option<TimestampMs>,
    /// By the same clock.
    pub finished_at: TimestampMs,
    /// `None` when nobody knows.
    pub exit_code: Option<i64>,
}

/// Whether it is started again; why not, in half a sentence.
pub fn decide(policy: &RestartPolicy, ended: Ended) -> Result<(), String> {
    let Some(started_at) = ended.started_at else {
        return Err("it could not be started".to_owned());
    };
    let Some(exit_code) = ended.exit_code else {
        return Err("its exit code is not known".to_owned());
    };
    if policy.ignored_exit_codes.contains(&exit_code) {
        return Err(format!(
            "{exit_code} is among the ignoredExitCodes of its restartPolicy"
        ));
    }
    let ran = ended.finished_at.since(started_at);
    if ran < policy.attempt_period {
        return Err(format!(
            "it ran {} s, less than the restartAttemptPeriod of {} s",
            ran.as_millis() / 1_000,
            policy.attempt_period.as_millis() / 1_000
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DurationMs;
    use crate::plan::fixtures::at;

    #[test]
    fn it_must_have_run_long_enough_and_ended_with_a_code_that_counts() {
        let policy = RestartPolicy {
            ignored_exit_codes: vec![0, 3],
            attempt_period: DurationMs::from_secs(60),
        };
        let ended = |exit_code, finished_at| Ended {
            started_at: Some(at(1_000)),
            finished_at: at(finished_at),
            exit_code,
        };
        for (ended, expected) in [
            (ended(Some(1), 61_000), Ok(())),
            (ended(Some(137), 600_000), Ok(())),
            (
                ended(Some(1), 60_999),
                Err("it ran 59 s, less than the restartAttemptPeriod of 60 s"),
            ),
            // The clock was set back.
            (
                ended(Some(1), 0),
                Err("it ran 0 s, less than the restartAttemptPeriod of 60 s"),
            ),
            (
                ended(Some(3), 600_000),
                Err("3 is among the ignoredExitCodes of its restartPolicy"),
            ),
            (ended(None, 600_000), Err("its exit code is not known")),
            (
                Ended {
                    started_at: None,
                    ..ended(Some(127), 600_000)
                },
                Err("it could not be started"),
            ),
        ] {
            let decided = decide(&policy, ended);
            assert_eq!(decided, expected.map_err(str::to_owned), "{ended:?}");
        }
    }
}
