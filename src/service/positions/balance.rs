//! The lines that go with a price, by the same reading as those of a change: a PT refuses a payment whose lines do not add up.

use super::{Price, verify};
use crate::connectors::pt::{balance, piemontepay};
use crate::service::Hub;
use crate::store::StoreError;

pub use crate::connectors::pt::balance::Line;

/// Lines of chapters (MyPay, PU), which add up to the price; `None`: the batch gives none that do, the PT keeps its own.
#[must_use]
pub fn chapters(price: &Price) -> Option<Vec<Line>> {
    let given = balance::of_chapters(price.balance.as_deref()?).ok()?;
    let (amount, cost) = (price.day.total.get(), price.day.cost.get());
    summing_up(price, balance::fit(&given, amount, cost, price.cost_place.as_deref()).ok()?)
}

/// Components (PiemontePAY), which add up to the price; `None`: as above. `remittance`: what the payment is for, by the act.
#[must_use]
pub fn components(price: &Price, remittance: Option<&str>) -> Option<Vec<Line>> {
    let place = price.cost_place.as_deref();
    summing_up(price, piemontepay::components(price.balance.as_deref(), remittance, price.day.total, price.day.cost, place)?)
}

/// What the payment is for, by the act of a position. `None`: it does not say, or nothing is left of it.
pub async fn remittance(hub: &Hub, creditor: &str, notice: &str) -> Result<Option<String>, StoreError> {
    let Some(position) = hub.store.position_of_notice(creditor, notice).await? else { return Ok(None) };
    Ok(verify::subject(hub, position.id).await.ok().and_then(|subject| subject.asked.data.remittance_information))
}

fn summing_up(price: &Price, lines: Vec<Line>) -> Option<Vec<Line>> {
    (lines.iter().map(|line| line.amount).sum::<i64>() == price.day.total.get()).then_some(lines)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;
    use crate::connectors::pt::mypay::bilancio;
    use crate::domain::money::Cents;
    use crate::service::positions::PriceDay;

    fn price(balance: Option<&str>, place: Option<&str>, due: i64, cost: i64) -> Price {
        let from = Date::constant(2026, 11, 23);
        let day = PriceDay { from, total: Cents(due + cost), due: Cents(due), cost: Cents(cost), step: 0, until: None };
        Price {
            iun: String::new(),
            day,
            viewed: None,
            completed: None,
            balance: balance.map(str::to_owned),
            cost_place: place.map(str::to_owned),
        }
    }

    /// What a change says to MyPay, as the lines that a price would have.
    fn told(balance: &str, place: Option<&str>, due: i64, cost: i64) -> Option<Vec<Line>> {
        balance::of_chapters(&bilancio(balance, Cents(due + cost), Cents(cost), place)?).ok()
    }

    #[test]
    fn a_price_has_the_lines_of_a_change() {
        let two = r#"[{"capitolo":"1","accertamento":"a","ufficio":"u","importo":"20.00"},{"capitolo":2,"importo":10}]"#;
        let xml = "<bilancio><capitolo><codCapitolo>1</codCapitolo><accertamento><codAccertamento>a</codAccertamento><importo>20.00\
                   </importo></accertamento></capitolo><capitolo><codCapitolo>2</codCapitolo><accertamento><importo>10.00</importo>\
                   </accertamento></capitolo></bilancio>";
        type Row<'r> = (&'r str, Option<&'r str>, i64, i64, Option<Vec<(&'r str, Option<&'r str>, i64)>>);
        let (one, other) = (("1", Some("a")), ("2", None));
        let line = |(chapter, assessment): (&'static str, Option<&'static str>), amount| (chapter, assessment, amount);
        let table: Vec<Row<'_>> = vec![
            (two, None, 3_000, 0, Some(vec![line(one, 2_000), line(other, 1_000)])),
            (xml, None, 3_000, 0, Some(vec![line(one, 2_000), line(other, 1_000)])),
            (two, None, 2_100, 500, Some(vec![line(one, 1_733), line(other, 867)])),
            (two, Some("2"), 3_000, 500, Some(vec![line(one, 3_000), line(other, 500)])),
            (two, Some("9001"), 3_000, 500, Some(vec![line(one, 2_000), line(other, 1_000), ("9001", None, 500)])),
            (two, Some("9001/77"), 3_000, 500, Some(vec![line(one, 2_000), line(other, 1_000), ("9001", Some("77"), 500)])),
            (two, Some("1/a"), 3_000, 500, Some(vec![line(other, 3_000), line(one, 500)])),
            (xml, Some("9001/77"), 3_000, 500, Some(vec![line(one, 2_000), line(other, 1_000), ("9001", Some("77"), 500)])),
            (two, Some("9001"), 3_000, 0, Some(vec![line(one, 2_000), line(other, 1_000)])),
            (two, None, 1_000, 0, Some(vec![line(one, 667), line(other, 333)])),
            ("[]", None, 3_000, 0, None),
            ("{}", None, 3_000, 0, None),
            (r#"[{"capitolo":"1","importo":0}]"#, None, 3_000, 0, None),
            (r#"[{"capitolo":"1","importo":10.005}]"#, None, 3_000, 0, None),
            (r#"[{"importo":10}]"#, None, 3_000, 0, None),
            (r#"[{"causaleDescrittiva":"Sanzione","importo":10}]"#, None, 3_000, 0, None),
            ("<bilancio/>", None, 3_000, 0, None),
        ];
        for (balance, place, due, cost, want) in table {
            let plain = |lines: Vec<Line>| lines.into_iter().map(|line| (line.chapter, line.assessment, line.amount)).collect::<Vec<_>>();
            let mut want = want.map(|lines| {
                lines
                    .into_iter()
                    .map(|(chapter, assessment, sum)| (chapter.to_owned(), assessment.map(str::to_owned), sum))
                    .collect::<Vec<_>>()
            });
            let asked = chapters(&price(Some(balance), place, due, cost)).map(plain);
            assert_eq!(asked, want, "asked: {balance} {place:?} {due} {cost}");
            // Written, lines of one chapter stand together.
            let mut said = told(balance, place, due, cost).map(plain);
            said.iter_mut().chain(want.iter_mut()).for_each(|lines| lines.sort());
            assert_eq!(said, want, "told: {balance} {place:?} {due} {cost}");
        }
        assert_eq!(chapters(&price(None, None, 3_000, 0)), None);
    }

    #[test]
    fn the_components_of_a_price_are_those_of_a_change() {
        let own = r#"[{"importo":60,"causaleDescrittiva":"Sanzione","annoAccertamento":2026,"numeroAccertamento":"77"},
                      {"importo":40,"causaleDescrittiva":"Spese"}]"#;
        let chapter = r#"[{"capitolo":"MULTE","accertamento":"77","importo":"100.00"}]"#;
        type Told<'t> = (&'t str, Option<u16>, Option<&'t str>, i64);
        type Row<'r> = (Option<&'r str>, Option<&'r str>, i64, i64, Option<Vec<Told<'r>>>);
        let sanction = |amount| ("Sanzione", Some(2026), Some("77"), amount);
        let table: Vec<Row<'_>> = vec![
            (Some(own), None, 7_000, 0, Some(vec![sanction(4_200), ("Spese", None, None, 2_800)])),
            (
                Some(own),
                Some("Notifica"),
                7_000,
                950,
                Some(vec![sanction(4_200), ("Spese", None, None, 2_800), ("Notifica", None, None, 950)]),
            ),
            (Some(own), Some("Spese"), 7_000, 950, Some(vec![sanction(7_000), ("Spese", None, None, 950)])),
            (Some(chapter), Some("SPESE"), 7_000, 950, Some(vec![("MULTE", None, Some("77"), 7_000), ("SPESE", None, None, 950)])),
            (None, Some("Notifica"), 7_000, 950, Some(vec![("Verbale 12", None, None, 7_000), ("Notifica", None, None, 950)])),
            (None, Some("Notifica"), 7_000, 0, Some(vec![("Verbale 12", None, None, 7_000)])),
            (None, None, 7_000, 950, None),
            (Some("900"), None, 7_000, 0, None),
        ];
        for (balance, place, due, cost, want) in table {
            let asked = components(&price(balance, place, due, cost), Some("Verbale 12"));
            let plain = |line: &Line| (line.causale().to_owned(), line.year, line.assessment.clone(), line.amount);
            let asked = asked.map(|lines| lines.iter().map(plain).collect::<Vec<_>>());
            let want = want.map(|lines| {
                lines
                    .into_iter()
                    .map(|(name, year, number, sum)| (name.to_owned(), year, number.map(str::to_owned), sum))
                    .collect::<Vec<_>>()
            });
            assert_eq!(asked, want, "{balance:?} {place:?} {due} {cost}");
        }
    }
}
