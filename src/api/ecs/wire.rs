//! The services of AWS that are answered on this port, each with its table of operations: ECS, and those that the same
//! people use with it. They share one wire: how a call is found, read, refused and written.

use std::fmt::Write as _;

use super::error::EcsError;
use super::table::{OPERATIONS, Operation};
use super::{autoscaling, logs};

/// A service.
pub(super) struct AwsService {
    /// What the name of an operation begins with in `X-Amz-Target`.
    pub(super) target: &'static str,
    /// What a signature for it names.
    pub(super) signed_for: &'static str,
    /// What it answers, by name.
    pub(super) operations: &'static [Operation],
    /// Its words for what ECS calls `ClientException` and `InvalidParameterException`, if they are others.
    invalid: Option<&'static str>,
    /// What stands above its table in the docs.
    about: &'static str,
}

/// All of them, ECS first.
pub(super) static SERVICES: [AwsService; 3] = [
    AwsService {
        target: "AmazonEC2ContainerServiceV20141113.",
        signed_for: "ecs",
        operations: &OPERATIONS,
        invalid: None,
        about: "",
    },
    AwsService {
        target: "Logs_20140328.",
        signed_for: "logs",
        operations: &logs::OPERATIONS,
        invalid: Some("InvalidParameterException"),
        about: logs::ABOUT,
    },
    AwsService {
        target: "AnyScaleFrontendService.",
        signed_for: "application-autoscaling",
        operations: &autoscaling::OPERATIONS,
        invalid: Some("ValidationException"),
        about: autoscaling::ABOUT,
    },
];

/// The operation that `target`, an `X-Amz-Target`, names, and whose it is.
pub(super) fn find(target: &str) -> Option<(&'static AwsService, &'static Operation)> {
    SERVICES.iter().find_map(|service| {
        let name = target.strip_prefix(service.target)?;
        let operations = service.operations;
        let index = operations.binary_search_by(|operation| operation.name.cmp(name));
        Some((service, &operations[index.ok()?]))
    })
}

impl AwsService {
    /// A refusal in the words of this service.
    pub(super) fn refusal(&self, error: EcsError) -> EcsError {
        match (error, self.invalid) {
            (
                EcsError::Refused {
                    code: "ClientException" | "InvalidParameterException",
                    message,
                },
                Some(code),
            ) => EcsError::Refused { code, message },
            (error, _) => error,
        }
    }
}

/// What `docs/ecs-api.md` says of the services beside ECS.
pub(super) fn others() -> String {
    let mut text = String::new();
    for service in SERVICES.iter().filter(|service| !service.about.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{}\n| Operation | Note |\n| --- | --- |\n",
            service.about
        );
        for operation in service.operations {
            let _ = writeln!(text, "| `{}` | {} |", operation.name, operation.note);
        }
    }
    text
}
