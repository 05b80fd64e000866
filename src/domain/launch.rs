//! What a task says of where it runs: a launch type, and the capacity provider that it was spread to.
//!
//! There is one host, and every task runs on it. Users read these words in what is told of tasks and of services, and
//! compare them with what they wrote, so they follow ECS's rules all the same.
//!
//! Source: Amazon ECS API reference, `CapacityProviderStrategyItem`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::ecs_names;

/// Which kind of host a task says that it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// Instances of one's own.
    Ec2,
    /// AWS's own; what this host passes for unless somebody says otherwise.
    #[default]
    Fargate,
    /// Anybody's.
    External,
    /// Instances that AWS looks after.
    ManagedInstances,
}

ecs_names!(LaunchType {
    Ec2 = "EC2",
    Fargate = "FARGATE",
    External = "EXTERNAL",
    ManagedInstances = "MANAGED_INSTANCES",
});

impl LaunchType {
    /// Whether its hosts are container instances, which show themselves.
    pub fn has_instances(self) -> bool {
        self != Self::Fargate
    }
}

/// The capacity providers that are there without having been made.
pub const FARGATE_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// What one task says of where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Launch {
    /// On which kind of host.
    pub launch_type: LaunchType,
    /// By which capacity provider, if its launch had a strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<String>,
    /// In which subnet, of those that were named; there is one network, and this is only given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
}

impl Launch {
    /// On a host of that kind.
    pub const fn on(launch_type: LaunchType) -> Self {
        Self {
            launch_type,
            capacity_provider: None,
            subnet: None,
        }
    }

    fn by(provider: &str) -> Self {
        let is_fargate = FARGATE_PROVIDERS.contains(&provider);
        Self {
            launch_type: if is_fargate {
                LaunchType::Fargate
            } else {
                LaunchType::Ec2
            },
            capacity_provider: Some(provider.to_owned()),
            subnet: None,
        }
    }
}

/// The subnet that tasks with this `networkConfiguration` are said to be in: the first one.
pub fn first_subnet(network: Option<&Value>) -> Option<String> {
    let subnets = network?.get("awsvpcConfiguration")?.get("subnets")?;
    subnets.as_array()?.first()?.as_str().map(str::to_owned)
}

/// One capacity provider among which tasks are spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrategyItem {
    /// Its name.
    pub capacity_provider: String,
    /// Its share of the tasks beyond `base`.
    #[serde(default)]
    pub weight: u32,
    /// So many tasks come to it first.
    #[serde(default)]
    pub base: u32,
}

/// Among which capacity providers tasks are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityStrategy(Vec<StrategyItem>);

impl CapacityStrategy {
    /// The most capacity providers of one strategy.
    pub const MOST: usize = 20;

    /// What was sent, or why it cannot be: a sentence for its sender.
    pub fn parse(sent: &Value) -> Result<Self, String> {
        let items: Vec<StrategyItem> = serde_json::from_value(sent.clone()).map_err(
            |_| "The capacity provider strategy does not have the form that it must have.",
        )?;
        if items.len() > Self::MOST {
            let most = Self::MOST;
            return Err(format!(
                "A capacity provider strategy can have at most {most} items."
            ));
        }
        let names: std::collections::BTreeSet<&str> = items
            .iter()
            .map(|item| item.capacity_provider.as_str())
            .collect();
        if names.len() < items.len() || names.contains("") {
            return Err(
                "A capacity provider strategy must name each capacity provider once.".to_owned(),
            );
        }
        if items
            .iter()
            .any(|item| item.weight > 1_000 || item.base > 100_000)
        {
            return Err("weight may be 1000 at most, and base 100000.".to_owned());
        }
        if items.iter().filter(|item| item.base > 0).count() > 1 {
            return Err(
                "Only one capacity provider in a strategy can have a base defined.".to_owned(),
            );
        }
        if items.len() > 1 && items.iter().all(|item| item.weight == 0) {
            return Err(
                "At least one capacity provider of a strategy must have a weight greater than 0."
                    .to_owned(),
            );
        }
        let is_fargate =
            |item: &StrategyItem| FARGATE_PROVIDERS.contains(&item.capacity_provider.as_str());
        if items.iter().any(is_fargate) && !items.iter().all(is_fargate) {
            return Err(
                "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate providers."
                    .to_owned(),
            );
        }
        Ok(Self(items))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of its capacity providers.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| item.capacity_provider.as_str())
    }

    /// Where the next task comes to, when so many are there: the base first, then whoever is furthest behind their share,
    /// the first of several.
    fn next(&self, placed: &BTreeMap<String, u32>) -> Option<&str> {
        let there = |item: &StrategyItem| placed.get(&item.capacity_provider).copied().unwrap_or(0);
        let is_short = |item: &&StrategyItem| there(item) < item.base;
        // What it would have beyond its base, for each unit of weight.
        let share = |item: &StrategyItem| u64::from(there(item).saturating_sub(item.base)) + 1;
        let mut best: Option<&StrategyItem> = self.0.iter().find(is_short);
        if best.is_none() {
            for item in self.0.iter().filter(|item| item.weight > 0) {
                let is_behind = |best: &StrategyItem| {
                    share(item) * u64::from(best.weight) < share(best) * u64::from(item.weight)
                };
                if best.is_none_or(is_behind) {
                    best = Some(item);
                }
            }
        }
        let chosen = best.or(self.0.first())?;
        Some(&chosen.capacity_provider)
    }
}

/// Where tasks that are started together say that they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchPlan {
    /// All on this kind of host.
    On(LaunchType),
    /// Spread among capacity providers.
    Across(CapacityStrategy),
}

impl Default for LaunchPlan {
    fn default() -> Self {
        Self::On(LaunchType::default())
    }
}

impl LaunchPlan {
    /// What the kept fields of a service say.
    pub fn of_kept(kept: &BTreeMap<String, Value>) -> Self {
        let strategy = kept.get("capacityProviderStrategy");
        let strategy = strategy.and_then(|sent| CapacityStrategy::parse(sent).ok());
        if let Some(strategy) = strategy.filter(|strategy| !strategy.is_empty()) {
            return Self::Across(strategy);
        }
        let launch_type = kept.get("launchType").and_then(Value::as_str);
        Self::On(launch_type.and_then(LaunchType::parse).unwrap_or_default())
    }

    /// What `count` tasks say that name this subnet, when there are `placed` of each capacity provider.
    pub fn launches(
        &self,
        count: u32,
        placed: &BTreeMap<String, u32>,
        subnet: Option<&str>,
    ) -> Vec<Launch> {
        let mut placed = placed.clone();
        let within = |launch| Launch {
            subnet: subnet.map(str::to_owned),
            ..launch
        };
        let one = |_| match self {
            Self::On(launch_type) => Launch::on(*launch_type),
            Self::Across(strategy) => match strategy.next(&placed).map(str::to_owned) {
                Some(provider) => {
                    *placed.entry(provider.clone()).or_default() += 1;
                    Launch::by(&provider)
                }
                None => Launch::default(),
            },
        };
        (0..count).map(one).map(within).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spread(strategy: &Value, count: u32, placed: &[(&str, u32)]) -> Vec<String> {
        let plan = LaunchPlan::Across(CapacityStrategy::parse(strategy).unwrap());
        let placed = placed
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        let launches = plan.launches(count, &placed.collect(), None);
        let provider = |launch: Launch| launch.capacity_provider.unwrap_or_default();
        launches.into_iter().map(provider).collect()
    }

    #[test]
    fn the_base_comes_first_and_the_rest_by_weight() {
        let strategy = json!([
            { "capacityProvider": "FARGATE", "weight": 1, "base": 2 },
            { "capacityProvider": "FARGATE_SPOT", "weight": 4 },
        ]);
        let all = spread(&strategy, 12, &[]);
        assert_eq!(all[..2], ["FARGATE", "FARGATE"]);
        let spot = |from: &[String]| from.iter().filter(|name| *name == "FARGATE_SPOT").count();
        assert_eq!((spot(&all[2..7]), spot(&all[7..])), (4, 4), "{all:?}");
        // What is there already counts.
        assert_eq!(
            spread(&strategy, 1, &[("FARGATE", 1), ("FARGATE_SPOT", 9)]),
            ["FARGATE"]
        );
        assert_eq!(spread(&strategy, 1, &[("FARGATE", 3)]), ["FARGATE_SPOT"]);
        assert_eq!(
            spread(&json!([{ "capacityProvider": "own" }]), 2, &[]),
            ["own", "own"]
        );
    }

    #[test]
    fn a_task_says_which_kind_of_host_its_capacity_provider_stands_for() {
        assert_eq!(Launch::by("FARGATE_SPOT").launch_type, LaunchType::Fargate);
        assert_eq!(Launch::by("own").launch_type, LaunchType::Ec2);
        let kept = |value: Value| serde_json::from_value(value).unwrap();
        let plan = LaunchPlan::of_kept(&kept(json!({ "launchType": "EC2" })));
        assert_eq!(plan, LaunchPlan::On(LaunchType::Ec2));
        let plan = LaunchPlan::of_kept(&kept(json!({ "capacityProviderStrategy": [] })));
        assert_eq!(plan, LaunchPlan::default());
    }

    #[test]
    fn a_strategy_that_cannot_be_followed_is_refused() {
        for (sent, said) in [
            (json!("FARGATE"), "form"),
            (json!([{ "weight": 1 }]), "form"),
            (
                json!([{ "capacityProvider": "a" }, { "capacityProvider": "a" }]),
                "once",
            ),
            (
                json!([{ "capacityProvider": "a", "weight": 1_001 }]),
                "1000",
            ),
            (
                json!([{ "capacityProvider": "a" }, { "capacityProvider": "b" }]),
                "greater than 0",
            ),
            (
                json!([{ "capacityProvider": "a", "base": 1 }, { "capacityProvider": "b", "base": 1 }]),
                "Only one",
            ),
            (
                json!([{ "capacityProvider": "a", "weight": 1 }, { "capacityProvider": "FARGATE" }]),
                "mix",
            ),
        ] {
            let refused = CapacityStrategy::parse(&sent).unwrap_err();
            assert!(refused.contains(said), "{sent}: {refused}");
        }
    }
}
