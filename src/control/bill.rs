//! Use cases of the bill.

use std::ops::ControlFlow;

use super::{Control, ControlError};
use crate::domain::{TimestampMs, UsageRecord, UsageStep};
use crate::meter::advice::{Advice, Advisor};
use crate::meter::bill::{Bill, Biller, GroupBy, MOST_LINES, Period, TooManyLines};
use crate::meter::sheet::{PriceSheet, SheetFault};
use crate::store::{
    IssuedBill, NotRolled, Page, PageRequest, RolledQuery, Store, UsageFilter, UsagePart,
};

/// Which bill is wanted.
#[derive(Clone, Debug)]
pub struct BillQuery {
    /// Whose.
    pub filter: UsageFilter,
    /// Of when; since the beginning of the month, in UTC, when that is not said.
    pub from: Option<TimestampMs>,
    /// Until when; until now when that is not said.
    pub to: Option<TimestampMs>,
    /// What its lines stand for.
    pub group_by: GroupBy,
    /// The price sheet, if not the operator's choice.
    pub price_sheet: Option<String>,
    /// The price sheet that it is compared with.
    pub compare: Option<String>,
}

impl Control {
    /// What tasks reserved, used and cost. It is worked out anew each time: from roll-ups, as far as these have it, and else
    /// from the records of single tasks. It comes to the same.
    pub async fn bill(&self, query: BillQuery) -> Result<Bill, ControlError> {
        let of_all = query.filter == UsageFilter::default();
        let mut bill = self.bill_of_tasks(query).await?;
        if of_all {
            let Period { from, to } = bill.period;
            bill.warm_sandbox_ms = self.store.warm_sandbox_ms(from, to).await?;
        }
        Ok(bill)
    }

    async fn bill_of_tasks(&self, query: BillQuery) -> Result<Bill, ControlError> {
        let sheet = self.price_sheet("priceSheet", query.price_sheet.as_deref())?;
        let compared_with = match query.compare.as_deref() {
            Some(name) => Some(self.price_sheet("compare", Some(name))?),
            None => None,
        };
        if let Some(other) = compared_with
            .as_ref()
            .filter(|other| other.currency != sheet.currency)
        {
            return Err(ControlError::invalid(
                "compare",
                format!(
                    "the price sheet \"{}\" is in {}, \"{}\" in {}",
                    other.name, other.currency, sheet.name, sheet.currency
                ),
                "compare sheets of one currency: write one of your own in prices/ in the data folder",
            ));
        }
        let now = self.now();
        let period = period(query.from, query.to, now)?;
        let biller = || {
            let group_by = query.group_by.clone();
            Biller::new(period, now, group_by, sheet.clone(), compared_with.clone())
        };
        let mut why = None;
        if query.group_by != GroupBy::Task {
            let rolled = RolledQuery {
                filter: query.filter.clone(),
                from: period.from,
                to: period.to,
                by: query.group_by.step(),
                terms: (sheet.terms(), compared_with.as_ref().map(PriceSheet::terms)),
            };
            match rolled_bill(&self.store, &rolled, biller()).await? {
                Ok(bill) => return Ok(bill),
                Err(not_rolled) => why = Some(not_rolled),
            }
        }
        let mut biller = biller();
        self.each_record(&query.filter, period, why, |record| {
            biller.add(record).map_err(too_many_lines)
        })
        .await?;
        Ok(biller.finish())
    }

    /// Keeps `document`, which says what `bill` says, for ever, and gives its number.
    pub async fn issue_bill(
        &self,
        bill: &Bill,
        document: &serde_json::Value,
    ) -> Result<u64, ControlError> {
        let Period { from, to } = bill.period;
        if to > bill.as_of {
            return Err(ControlError::invalid(
                "to",
                "is not over yet: what is issued never changes",
                "end the bill with a time that is past: --to 2026-11-01",
            ));
        }
        let period = (from, to);
        Ok(self.store.issue_bill(bill.as_of, period, document).await?)
    }

    /// The bill that was issued with that number.
    pub async fn issued_bill(&self, number: u64) -> Result<IssuedBill, ControlError> {
        self.store.issued_bill(number).await?.ok_or_else(|| {
            ControlError::not_found(
                format!("bill {number}"),
                "list those that were issued: GET /v1/bills",
            )
        })
    }

    /// The bills that were issued, the newest first.
    pub async fn issued_bills(&self, page: PageRequest) -> Result<Page<IssuedBill>, ControlError> {
        Ok(self.store.issued_bills(&page).await?)
    }

    /// The smallest sizes that would have covered what tasks were measured to use, with `margin_percent` to spare, and what
    /// they would have saved. Of `query`, what it is grouped by and compared with does not matter.
    pub async fn rightsize(
        &self,
        query: &BillQuery,
        margin_percent: u32,
    ) -> Result<(Vec<Advice>, Period, PriceSheet), ControlError> {
        let sheet = self.price_sheet("priceSheet", query.price_sheet.as_deref())?;
        let now = self.now();
        let period = period(query.from, query.to, now)?;
        let mut advisor = Advisor::new(now);
        self.each_record(&query.filter, period, None, |record| {
            advisor.add(record);
            Ok(())
        })
        .await?;
        let mut quote = advisor.decide(margin_percent, period, sheet.clone());
        if !quote.is_complete() {
            self.each_record(&query.filter, period, None, |record| {
                quote.add(record);
                Ok(())
            })
            .await?;
        }
        Ok((quote.finish(), period, sheet))
    }

    /// Looks at every record of which a part lies in `period`, page by page. Refuses where some of them were removed; `why`
    /// roll-ups do not do instead.
    async fn each_record(
        &self,
        filter: &UsageFilter,
        Period { from, to }: Period,
        why: Option<NotRolled>,
        mut look: impl FnMut(&UsageRecord) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        self.refuse_removed(from, why).await?;
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let records = self.store.usage_records(filter, from, to, &page).await?;
            for record in &records.items {
                look(record)?;
            }
            match records.next {
                Some(token) => page.token = Some(token),
                None => break,
            }
        }
        // Once more, so that whatever was removed in between is noticed.
        self.refuse_removed(from, why).await
    }

    /// Refuses to say something of single tasks from `from` on, if some of them were removed.
    pub(super) async fn refuse_removed(
        &self,
        from: TimestampMs,
        why: Option<NotRolled>,
    ) -> Result<(), ControlError> {
        let Some(gone) = self
            .store
            .usage_gone_until()
            .await?
            .filter(|gone| from < *gone)
        else {
            return Ok(());
        };
        let removed = format!(
            "the usage of single tasks that ended before {gone} was removed, as usage_retention_days says"
        );
        Err(match why {
            None => ControlError::invalid(
                "from",
                format!("is {from}, and {removed}"),
                format!(
                    "ask for the time from {gone} on, or for a bill by family, service, cluster, tag, day or hour"
                ),
            ),
            Some(NotRolled::Uneven) => ControlError::invalid(
                "from",
                format!("is {from}, and {removed}: of that time only whole hours are known"),
                format!(
                    "begin and end at full hours, as with --from {}, or ask for the time from {gone} on",
                    UsageStep::Hour.start_of(from)
                ),
            ),
            Some(NotRolled::Unpriced) => ControlError::invalid(
                "priceSheet",
                format!("says something new of times of which {removed}"),
                format!(
                    "use the price sheet of before, ask for the time from {gone} on, or show a bill that was issued: \
                     neargate bill --issued 1"
                ),
            ),
        })
    }

    pub(super) fn price_sheet(
        &self,
        path: &str,
        name: Option<&str>,
    ) -> Result<PriceSheet, ControlError> {
        self.prices
            .sheet(name)
            .cloned()
            .map_err(|SheetFault { message, hint }| ControlError::invalid(path, message, hint))
    }
}

/// The bill that `biller` makes of roll-ups, if they have what is needed.
async fn rolled_bill(
    store: &Store,
    query: &RolledQuery,
    mut biller: Biller,
) -> Result<Result<Bill, NotRolled>, ControlError> {
    let mut added = Ok(());
    let mut look = |part: UsagePart<'_>| {
        added = match part {
            UsagePart::Rolled {
                group,
                starts_at,
                usage,
                costs,
            } => biller.add_piece(group, starts_at, usage, costs),
            UsagePart::Unrolled(record) => biller.add(record),
            UsagePart::Edge(record, from, to) => biller.add_edge(record, Period { from, to }),
        };
        match added {
            Ok(()) => ControlFlow::Continue(()),
            Err(TooManyLines) => ControlFlow::Break(()),
        }
    };
    let answer = store.rolled_usage(query, &mut look).await?;
    added.map_err(too_many_lines)?;
    Ok(answer.map(|()| biller.finish()))
}

fn too_many_lines(_: TooManyLines) -> ControlError {
    ControlError::invalid(
        "groupBy",
        format!("the bill would have more than {MOST_LINES} lines"),
        "group by family, or ask for less time at once",
    )
}

/// From `from`, or the beginning of the month, up to `to`, or now.
fn period(
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
    now: TimestampMs,
) -> Result<Period, ControlError> {
    // What began in this very millisecond belongs to it as well.
    let until_now = TimestampMs::from_millis(now.as_millis().saturating_add(1));
    let period = Period {
        from: from.unwrap_or_else(|| start_of_month(now)),
        to: to.unwrap_or(until_now),
    };
    if period.from < period.to {
        return Ok(period);
    }
    Err(ControlError::invalid(
        "to",
        "does not lie after from",
        "leave it out for a bill until now",
    ))
}

/// When the month of `now` began, in UTC.
fn start_of_month(now: TimestampMs) -> TimestampMs {
    let start = jiff::Timestamp::from_millisecond(now.as_millis())
        .ok()
        .map(|now| now.to_zoned(jiff::tz::TimeZone::UTC))
        .and_then(|now| now.first_of_month().ok()?.start_of_day().ok());
    start.map_or(TimestampMs::from_millis(0), |start| {
        TimestampMs::from_millis(start.timestamp().as_millisecond())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_utc() {
        let at = |text: &str| {
            let at: jiff::Timestamp = text.parse().unwrap();
            TimestampMs::from_millis(at.as_millisecond())
        };
        for (now, start) in [
            ("2026-11-22T07:46:00Z", "2026-11-01T00:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            ("2024-02-29T23:59:59.999Z", "2024-02-01T00:00:00Z"),
        ] {
            assert_eq!(start_of_month(at(now)), at(start), "{now}");
        }
    }
}

#[cfg(test)]
mod rolled;
