//! `neargate rightsize`: the smallest size that would have done.

use clap::Args;

use super::Session;
use super::bill::{Scope, query};
use super::failure::Failure;
use super::table::Table;
use super::time::{self, Point};
use crate::shapes::{Advice, AdvisedSize};

/// Show the smallest sizes that would have done
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
For each family and service: the smallest size that Fargate has and that would have covered what its busiest task used \
of CPU, on average over its life, and the most memory that one had, with the margin. At least 3 measured tasks or 1 h \
of them are needed.

Example:
  neargate rightsize --from 7d --margin 30")]
pub(super) struct RightsizeArgs {
    /// Only tasks of this family
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// What is looked at: 10m, 7d, a date, or 2026-01-31T08:15:00Z; this month unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    from: Option<Point>,
    /// Until when; now unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    to: Option<Point>,
    /// How much more than what was used the size must have
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(0..=1000))]
    margin: u32,
    /// The price sheet that savings are worked out by
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
}

pub(super) async fn execute(session: &mut Session, args: RightsizeArgs) -> Result<u8, Failure> {
    let Session {
        client,
        console,
        named_cluster,
    } = session;
    let scope = Scope {
        family: args.family,
        from: args.from,
        to: args.to,
        group_by: None,
    };
    let mut query = query(scope, named_cluster.clone());
    query.price_sheet = args.sheet;
    let answer = client.rightsize(&query, args.margin).await?;
    if console.document(&answer.document)? {
        return Ok(0);
    }
    let advice = &answer.value;
    let table = table(&advice.items);
    console.table(&table, "nothing was reserved in that time")?;
    if !advice.items.is_empty() {
        console.talk(&format!(
            "{} to {}, with {} % to spare; in {}, by the price sheet {}",
            advice.from, advice.to, advice.margin_percent, advice.currency, advice.price_sheet
        ));
    }
    Ok(0)
}

fn table(items: &[Advice]) -> Table {
    let mut table = Table::new(&[
        "FAMILY",
        "SERVICE",
        "CLUSTER",
        "MEASURED",
        "VCPU USED",
        "PEAK MIB",
        "CPU/MEMORY NOW",
        "ADVISED",
        "COST",
        "SAVES",
        "NOTE",
    ]);
    for one in items {
        let size = |size: AdvisedSize| format!("{}/{}", size.cpu, size.memory);
        let is_seen = one.measured > 0;
        let seen = |text: String| if is_seen { text } else { String::new() };
        let milli = one.used_milli_vcpu;
        let note = match (&one.reason, one.saving_nano) {
            (Some(reason), _) => reason.as_str(),
            (None, saving) if saving < 0 => "needs more than it has",
            (None, _) if one.advised == Some(one.current) => "is right",
            (None, _) => "",
        };
        table.row([
            (&one.family).into(),
            one.service.as_deref().unwrap_or_default().into(),
            (&one.cluster).into(),
            format!("{} of {}", one.measured, one.tasks).into(),
            seen(format!("{}.{:03}", milli / 1_000, milli % 1_000)).into(),
            seen(one.peak_bytes.div_ceil(1 << 20).to_string()).into(),
            size(one.current).into(),
            one.advised.map(size).unwrap_or_default().into(),
            (&one.cost).into(),
            one.advised
                .map(|_| one.saving.clone())
                .unwrap_or_default()
                .into(),
            note.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::Look;

    #[test]
    fn advice_says_why_and_what_it_saves() {
        let now = AdvisedSize {
            cpu: 1_024,
            memory: 4_096,
        };
        let advice = Advice {
            family: "web".to_owned(),
            cluster: "default".to_owned(),
            service: None,
            current: now,
            advised: Some(AdvisedSize {
                cpu: 256,
                memory: 2_048,
            }),
            reason: None,
            tasks: 3,
            measured: 2,
            measured_ms: 7_200_000,
            used_milli_vcpu: 200,
            peak_bytes: 900 << 20,
            cost: "0.174780000".to_owned(),
            advised_cost: "0.057030000".to_owned(),
            saving_nano: 117_750_000,
            saving: "0.117750000".to_owned(),
        };
        let unseen = Advice {
            family: "new".to_owned(),
            advised: None,
            reason: Some("too little was measured".to_owned()),
            measured: 0,
            saving_nano: 0,
            ..advice.clone()
        };
        assert_eq!(
            table(&[advice, unseen]).render(Look::default()),
            "\
FAMILY  CLUSTER  MEASURED  VCPU USED  PEAK MIB  CPU/MEMORY NOW  ADVISED   COST         SAVES        NOTE
web     default  2 of 3    0.200      900       1024/4096       256/2048  0.174780000  0.117750000
new     default  0 of 3                         1024/4096                 0.174780000               too little was measured
"
        );
    }
}
