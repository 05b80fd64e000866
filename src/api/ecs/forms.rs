//! The forms of parameters that are kept and given back as they were sent: whoever reads them must be able to.
//!
//! Those that have an effect are read by `shapes` or by the handler itself; this is for the others.

use serde_json::Value;

use super::error::EcsError;

/// What a value must look like. Null is the same as absent.
pub(super) enum Form {
    Text,
    /// A whole number of 32 bits.
    Number,
    Flag,
    /// Whatever it is: it is given back to nobody.
    Any,
    List(&'static Self),
    Structure(&'static [(&'static str, Self)]),
}

use Form::{Any, Flag, List, Number, Structure, Text};

const TEXTS: Form = List(&Text);

/// `networkConfiguration`.
pub(super) const NETWORK: Form = Structure(&[(
    "awsvpcConfiguration",
    Structure(&[
        ("subnets", TEXTS),
        ("securityGroups", TEXTS),
        ("assignPublicIp", Text),
    ]),
)]);
/// `placementConstraints`.
pub(super) const CONSTRAINTS: Form = List(&Structure(&[("type", Text), ("expression", Text)]));
/// `placementStrategy`.
pub(super) const PLACEMENT: Form = List(&Structure(&[("type", Text), ("field", Text)]));
/// `capacityProviderStrategy`.
pub(super) const STRATEGY: Form = List(&Structure(&[
    ("capacityProvider", Text),
    ("weight", Number),
    ("base", Number),
]));
/// `attributes` of container instances.
pub(super) const ATTRIBUTES: Form = List(&Structure(&[
    ("name", Text),
    ("value", Text),
    ("targetType", Text),
    ("targetId", Text),
]));
/// `autoScalingGroupProvider`.
pub(super) const AUTO_SCALING_GROUP: Form = Structure(&[
    ("autoScalingGroupArn", Text),
    (
        "managedScaling",
        Structure(&[
            ("status", Text),
            ("targetCapacity", Number),
            ("minimumScalingStepSize", Number),
            ("maximumScalingStepSize", Number),
            ("instanceWarmupPeriod", Number),
        ]),
    ),
    ("managedTerminationProtection", Text),
    ("managedDraining", Text),
]);
/// `serviceConnectConfiguration`.
pub(super) const SERVICE_CONNECT: Form = Structure(&[
    ("enabled", Flag),
    ("namespace", Text),
    (
        "services",
        List(&Structure(&[
            ("portName", Text),
            ("discoveryName", Text),
            (
                "clientAliases",
                List(&Structure(&[
                    ("port", Number),
                    ("dnsName", Text),
                    ("testTrafficRules", Any),
                ])),
            ),
            ("ingressPortOverride", Number),
            (
                "timeout",
                Structure(&[
                    ("idleTimeoutSeconds", Number),
                    ("perRequestTimeoutSeconds", Number),
                ]),
            ),
            (
                "tls",
                Structure(&[
                    (
                        "issuerCertificateAuthority",
                        Structure(&[("awsPcaAuthorityArn", Text)]),
                    ),
                    ("kmsKey", Text),
                    ("roleArn", Text),
                ]),
            ),
        ])),
    ),
    (
        "logConfiguration",
        Structure(&[
            ("logDriver", Text),
            ("options", Any),
            (
                "secretOptions",
                List(&Structure(&[("name", Text), ("valueFrom", Text)])),
            ),
        ]),
    ),
    (
        "accessLogConfiguration",
        Structure(&[("format", Text), ("includeQueryParameters", Text)]),
    ),
    (
        "containerConfigurations",
        List(&Structure(&[("logLevel", Text)])),
    ),
]);
/// What `UpdateService` and `CreateService` keep, by name.
pub(super) const OF_SERVICES: [(&str, Form); 7] = [
    ("availabilityZoneRebalancing", Text),
    ("capacityProviderStrategy", STRATEGY),
    ("networkConfiguration", NETWORK),
    ("placementConstraints", CONSTRAINTS),
    ("placementStrategy", PLACEMENT),
    ("platformVersion", Text),
    ("serviceConnectConfiguration", SERVICE_CONNECT),
];

impl Form {
    /// Refuses a value of another form, by the path to what is wrong.
    pub(super) fn check(&self, value: &Value, path: &str) -> Result<(), EcsError> {
        match self.fault(value, path) {
            None => Ok(()),
            Some(fault) => Err(EcsError::parameter(format!(
                "{fault} does not have the form that it must have."
            ))),
        }
    }

    /// Whether a value has this form.
    pub(super) fn fits(&self, value: &Value) -> bool {
        self.fault(value, "").is_none()
    }

    /// The path of the first thing that is wrong.
    fn fault(&self, value: &Value, path: &str) -> Option<String> {
        if value.is_null() {
            return None;
        }
        let fits = match (self, value) {
            (Any, _) => true,
            (Text, value) => value.is_string(),
            (Flag, value) => value.is_boolean(),
            (Number, value) => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            (List(item), Value::Array(items)) => {
                let mut faults = items.iter().enumerate();
                return faults.find_map(|(index, one)| match one {
                    Value::Null => Some(format!("{path}[{index}]")),
                    one => item.fault(one, &format!("{path}[{index}]")),
                });
            }
            (Structure(fields), Value::Object(sent)) => {
                return sent.iter().find_map(|(name, value)| {
                    let shown: String = name.chars().take(64).collect();
                    let inner = format!("{path}.{shown}");
                    let form = fields.iter().find(|(known, _)| known == name);
                    match form {
                        Some((_, form)) => form.fault(value, &inner),
                        None => Some(inner),
                    }
                });
            }
            (List(_) | Structure(_), _) => false,
        };
        (!fits).then(|| path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_could_not_read_is_refused_by_its_path() {
        let fault = |form: &Form, value: Value| form.fault(&value, "x");
        assert_eq!(
            fault(
                &STRATEGY,
                json!([{ "capacityProvider": "a", "base": null }])
            ),
            None
        );
        for (value, path) in [
            (json!({}), "x"),
            (json!([null]), "x[0]"),
            (json!([{}, { "weight": 1.5 }]), "x[1].weight"),
            (json!([{ "wait": 1 }]), "x[0].wait"),
            (json!([{ "base": 99_999_999_999_i64 }]), "x[0].base"),
        ] {
            assert_eq!(
                fault(&STRATEGY, value.clone()).as_deref(),
                Some(path),
                "{value}"
            );
        }
        let network = json!({ "awsvpcConfiguration": { "subnets": ["a", 1] } });
        let path = "x.awsvpcConfiguration.subnets[1]";
        assert_eq!(fault(&NETWORK, network).as_deref(), Some(path));
    }
}
