//! Roll-ups of generated histories come to what single tasks come to, in every step and by every sheet.

use super::*;
use crate::domain::{RolledPart, UsageStep};
use crate::meter::rollup::roll_up;

fn end_of(record: &UsageRecord) -> i64 {
    let (at, _) = record.usage.interval.closed.unwrap();
    at.as_millis()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Lengths and use to the millisecond, money to the billionth; a day is the sum of its hours.
    #[test]
    fn the_parts_of_a_task_come_to_the_task(record in a_record(), sheets in [a_sheet(), a_sheet()]) {
        let sheets = sheets.map(|sheet| read(&sheet));
        let terms = sheets.clone().map(|sheet| sheet.terms());
        let Some(parts) = roll_up(&record, &terms) else {
            prop_assert!(record.usage.interval.closed.is_none());
            return Ok(());
        };
        let opened = record.usage.interval.opened_at.as_millis();
        for step in UsageStep::ALL {
            let of_step: Vec<&RolledPart> = parts.iter().filter(|part| part.step == step).collect();
            let begins: Vec<u64> = of_step.iter().map(|part| part.usage.opened.tasks).collect();
            prop_assert_eq!(begins.iter().sum::<u64>(), 1);
            prop_assert_eq!(begins[0], 1, "it is opened in its first step");
            for part in &of_step {
                let (from, to) = (part.starts_at, part.starts_at.as_millis() + step.length_ms());
                let alone = bill_of(std::slice::from_ref(&record), &sheets[0], (from.as_millis(), to), GroupBy::Family);
                let rolled = Sums::rolled(&part.usage, &part.costs, true);
                prop_assert_eq!(Sums { compared: Accrued::default(), ..rolled }, alone.total);
            }
            for (place, sheet) in sheets.iter().enumerate() {
                let whole = bill_of(std::slice::from_ref(&record), sheet, (opened, end_of(&record) + 1), GroupBy::Family);
                let mut sum = Sums::default();
                for part in &of_step {
                    sum += Sums::rolled(&part.usage, &part.costs[place..], false);
                }
                prop_assert_eq!(Sums { compared: Accrued::default(), ..sum }, whole.total);
            }
        }
    }
}

#[test]
fn a_task_without_a_length_is_in_the_hour_in_which_it_began() {
    let terms = [PriceBook::default().sheet(None).unwrap().terms()];
    let at_the_hour = record(1, START + 3_600_000, Some(START + 3_600_000));
    let parts = roll_up(&at_the_hour, &terms).unwrap();
    let hours: Vec<i64> = parts
        .iter()
        .filter(|part| part.step == UsageStep::Hour)
        .map(|part| part.starts_at.as_millis())
        .collect();
    assert_eq!(hours, [START + 3_600_000]);
    // The minimum is due all the same.
    assert!(parts[0].costs[0].vcpu_nano > 0);
    assert_eq!(roll_up(&record(2, START, None), &terms), None);
    assert_eq!(roll_up(&at_the_hour, &["no terms".to_owned()]), None);
}
