//! `neargate keys`: makes, lists and revokes access keys. The secret of one is shown when it is made, and never again.

use clap::{Args, Subcommand, ValueEnum};

use super::failure::Failure;
use super::table::{Field, Table};
use super::{Session, time};
use crate::domain::TimestampMs;
use crate::shapes::{AccessKey, AccessKeyRole, AccessKeyStatus, CreateAccessKeyRequest};

/// Make, list and revoke access keys for the clients of AWS
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
From the first key on, every call of ECS's API must be signed with one (Signature Version 4); see docs/access-keys.md.

Example:
  neargate keys create ci --role read-only")]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Make a key, and show its secret this once
    #[command(after_help = "\
The two lines on stdout are the environment of the AWS CLI and the SDKs: they can be appended to a file or evaluated.

Example:
  neargate keys create ci --role read-only >ci.env")]
    Create {
        /// Whose key it is; one user may have several
        user: String,
        /// What it allows: everything, or only what changes nothing
        #[arg(
            long,
            value_enum,
            value_name = "admin|read-only",
            hide_possible_values = true
        )]
        role: Role,
    },
    /// List keys, revoked ones among them
    #[command(after_help = "Example:\n  neargate keys list")]
    List,
    /// Revoke a key: it is not taken any more, and its secret is gone
    #[command(after_help = "Example:\n  neargate keys revoke AKIAIOSFODNN7EXAMPLE")]
    Revoke {
        /// Its ID
        key: String,
        /// Also take it from the list; when none is left there, nobody needs to sign any more
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Admin,
    ReadOnly,
}

pub(super) async fn execute(session: &mut Session, args: KeysArgs) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    match args.action {
        Action::Create { user, role } => {
            let request = CreateAccessKeyRequest {
                user_name: user,
                role: match role {
                    Role::Admin => AccessKeyRole::Admin,
                    Role::ReadOnly => AccessKeyRole::ReadOnly,
                },
            };
            let answer = client.create_access_key(&request).await?;
            if !console.document(&answer.document)? {
                let made = answer.value;
                console.line(&format!("AWS_ACCESS_KEY_ID={}", made.key.access_key_id))?;
                console.line(&format!("AWS_SECRET_ACCESS_KEY={}", made.secret_access_key))?;
            }
            console.talk("keep the secret: it is not shown again");
        }
        Action::List => {
            let answer = client.access_keys().await?;
            if !console.document(&answer.document)? {
                console.table(
                    &table(&answer.value, time::now()),
                    "no access keys; make one: neargate keys create NAME --role admin",
                )?;
            }
        }
        Action::Revoke { key, forget } => {
            let document = client.revoke_access_key(&key, forget).await?;
            if document.is_null() || !console.document(&document)? {
                console.talk(&format!("access key {key} is revoked"));
            }
        }
    }
    Ok(0)
}

fn table(keys: &[AccessKey], now: TimestampMs) -> Table {
    let mut table = Table::new(&["KEY", "USER", "ROLE", "STATUS", "CREATED"]);
    for key in keys {
        table.row([
            (&key.access_key_id).into(),
            (&key.user_name).into(),
            match key.role {
                AccessKeyRole::Admin => "admin",
                AccessKeyRole::ReadOnly => "read-only",
            }
            .to_owned()
            .into(),
            Field::status(match key.status {
                AccessKeyStatus::Active => "ACTIVE",
                AccessKeyStatus::Inactive => "INACTIVE",
            }),
            time::ago(&key.created_at, now).into(),
        ]);
    }
    table
}
