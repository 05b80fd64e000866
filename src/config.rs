//! What the operator can set, from a TOML file.
//!
//! A flag beats the environment, that beats the file, and that beats the default; `serve` puts them together.
//! A key that nobody knows is an error, since it is most likely a setting that somebody relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use crate::domain::{AccountId, ClusterName, Region, RuntimeName, Subnet};

/// A configuration file. Every key may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Address and port of the API.
    pub listen: Option<SocketAddr>,
    /// Where the database, the kept logs and the lock are.
    pub data_dir: Option<PathBuf>,
    /// What runs containers.
    pub engine: Option<EngineKind>,
    /// The Docker daemon, as `DOCKER_HOST` writes it.
    pub docker_host: Option<String>,
    /// A file that holds the token that clients must send.
    pub token_file: Option<PathBuf>,
    /// Names, beside loopback's, that clients may use for this host.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// The region in all ARNs.
    pub region: Option<Region>,
    /// The account in all ARNs.
    pub account: Option<AccountId>,
    /// How many sandboxes are kept ready; 0 turns that off.
    pub warm_sandboxes: Option<u32>,
    /// How many containers are started at once.
    pub starts_at_once: Option<u32>,
    /// How many times the host's CPU may be reserved. Memory never is more than once.
    pub cpu_overcommit: Option<u32>,
    /// Address of the host on which the ports of `bridge` tasks are published.
    pub publish_ip: Option<std::net::IpAddr>,
    /// Where the networks of clusters get their addresses from: a block of 1,024 for each.
    pub address_pool: Option<Subnet>,
    /// The port on which tasks can ask about themselves, on each cluster's network; 0 turns that off.
    pub metadata_port: Option<u16>,
    /// Whether tasks may use the host's own network.
    pub allow_host_network: Option<bool>,
    /// Folders of the engine's host that tasks may have, with everything below.
    #[serde(default)]
    pub allowed_host_paths: Vec<PathBuf>,
    /// Whether containers may be privileged: as good as root on the host.
    pub allow_privileged: Option<bool>,
    /// Capabilities that containers may add beside Fargate's; `ALL` allows each.
    #[serde(default)]
    pub allowed_capabilities: BTreeSet<String>,
    /// The runtimes of the tasks of clusters that name none themselves, by cluster: `secure = "runsc"`.
    #[serde(default)]
    pub cluster_runtimes: BTreeMap<ClusterName, RuntimeName>,
    /// Log bytes that are kept for each container.
    pub kept_log_bytes: Option<u64>,
    /// Days for which logs are kept after their task has ended; 0 means for ever.
    pub kept_logs_max_age_days: Option<u32>,
    /// Bytes on the disk that kept logs may take together, compressed; 0 means any number.
    pub kept_logs_max_bytes: Option<u64>,
    /// Seconds of a period of Application Auto Scaling: services are scaled by what their tasks used in the last ones.
    pub autoscaling_period_s: Option<u32>,
    /// Days for which the usage of each single task is kept after it has ended, from 32 on; for ever, if it is left out or
    /// 0. What all of them come to by hour and by day is always kept.
    pub usage_retention_days: Option<u32>,
    /// The price sheet that bills are made with, unless another is named.
    pub price_sheet: Option<String>,
    /// When an image is pulled that is there already.
    pub image_pull_behavior: Option<ImagePullBehavior>,
    /// Hours after which an image is removed that Neargate pulled and nobody needs any more; never, if it is left out.
    pub image_cleanup_unused_hours: Option<u32>,
    /// Seconds after which a pull that does not move has failed.
    pub image_pull_inactivity_timeout_s: Option<u64>,
    /// The secrets with the logins for registries, by registry: `"ghcr.io" = "ghcr-login"`. Each is a JSON object
    /// with `username` and `password`.
    #[serde(default)]
    pub registry_logins: BTreeMap<String, String>,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// A Docker daemon.
    #[default]
    Docker,
    /// A model of one, in this process: for tests, and for people who only want the API.
    Sim,
}

impl EngineKind {
    /// `docker` or `sim`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Sim => "sim",
        }
    }
}

/// When an image is pulled that is there already: `ECS_IMAGE_PULL_BEHAVIOR` of the ECS agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImagePullBehavior {
    /// For every task; the one that is there is used if the pull fails.
    Default,
    /// For every task.
    Always,
    /// By the first task that needs it since the server was started.
    Once,
    /// Never.
    PreferCached,
}

/// How the server's log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or has a key or a value that is not known.
    #[error("the configuration file {} is not valid", path.display())]
    Invalid {
        /// Which one.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}

impl ConfigFile {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Invalid {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_known_are_refused_by_name() {
        let error = toml::from_str::<ConfigFile>("warm_sandboxs = 3").unwrap_err();
        assert!(error.to_string().contains("warm_sandboxs"), "{error}");
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(
            toml::from_str::<ConfigFile>("").unwrap(),
            ConfigFile::default()
        );
    }
}
