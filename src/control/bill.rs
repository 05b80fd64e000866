//! Use cases of the bill.

use super::{Control, ControlError};
use crate::domain::{TimestampMs, UsageRecord};
use crate::meter::advice::{Advice, Advisor};
use crate::meter::bill::{Bill, Biller, GroupBy, MOST_LINES, Period};
use crate::meter::sheet::{PriceSheet, SheetFault};
use crate::store::{IssuedBill, Page, PageRequest, UsageFilter};

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
    /// What tasks reserved, used and cost. It is worked out from the records anew each time.
    pub async fn bill(&self, query: BillQuery) -> Result<Bill, ControlError> {
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
        let mut biller = Biller::new(period, now, query.group_by, sheet, compared_with);
        self.each_record(&query.filter, period, |record| {
            biller.add(record).map_err(|_| {
                ControlError::invalid(
                    "groupBy",
                    format!("the bill would have more than {MOST_LINES} lines"),
                    "group by family, or ask for less time at once",
                )
            })
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
        self.each_record(&query.filter, period, |record| {
            advisor.add(record);
            Ok(())
        })
        .await?;
        let mut quote = advisor.decide(margin_percent, period, sheet.clone());
        self.each_record(&query.filter, period, |record| {
            quote.add(record);
            Ok(())
        })
        .await?;
        Ok((quote.finish(), period, sheet))
    }

    /// Looks at every record of which a part lies in `period`, page by page.
    async fn each_record(
        &self,
        filter: &UsageFilter,
        Period { from, to }: Period,
        mut look: impl FnMut(&UsageRecord) -> Result<(), ControlError>,
    ) -> Result<(), ControlError> {
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let records = self.store.usage_records(filter, from, to, &page).await?;
            for record in &records.items {
                look(record)?;
            }
            match records.next {
                Some(token) => page.token = Some(token),
                None => return Ok(()),
            }
        }
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
