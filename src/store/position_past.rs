//! The life of a position before this one. A PT that asks the price keeps what it was answered, cost of notification and all, and still
//! holds it when another act names the position: taken for the PT's own amount it would be asked with the cost a second time.

use jiff::civil::Date;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::codec::optional;
use super::positions::PositionRow;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;

/// Sums that are remembered, the newest first.
const MOST: usize = 32;

/// What the PT held before messo changed anything, and what messo made of it: asked, or answered.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    base: Cents,
    sums: Vec<Cents>,
}

/// A life ends and another begins: what it came to is kept. One that was never verified leaves what was kept before it.
pub(super) fn keep(db: &Connection, row: &PositionRow) -> Result<(), StoreError> {
    let id = row.id.0.as_bytes();
    let sql = "SELECT base, past FROM position WHERE id = ?1";
    let (base, older): (Option<i64>, Option<String>) =
        db.prepare_cached(sql)?.query_row([id], |found| Ok((found.get(0)?, found.get(1)?)))?;
    let (Some(base), Some(wanted)) = (base, row.wanted) else { return Ok(()) };
    // Where it was pushed it is in what was wanted.
    let cost = row.cost.map_or(0, Cents::get) - row.wanted_cost.map_or(0, Cents::get);
    let mut sums = vec![wanted, Cents(wanted.get().saturating_add(cost))];
    sums.extend(row.before.map(|(whole, _)| whole));
    write(db, row.id, Cents(base), sums, older.as_deref())
}

/// What was asked, or answered, is another sum by now: a PT that asks may hold it for years, for it asks only when somebody pays.
pub(super) fn add(db: &Connection, id: PositionId, sums: [Cents; 2]) -> Result<(), StoreError> {
    let sql = "SELECT base, past FROM position WHERE id = ?1";
    let (base, older): (Option<i64>, Option<String>) =
        db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |found| Ok((found.get(0)?, found.get(1)?)))?;
    base.map_or(Ok(()), |base| write(db, id, Cents(base), sums.to_vec(), older.as_deref()))
}

fn write(db: &Connection, id: PositionId, base: Cents, mut sums: Vec<Cents>, older: Option<&str>) -> Result<(), StoreError> {
    // A life in which nothing moved leaves the PT with what one before it had made.
    sums.extend(read(older).filter(|older| older.base == base).into_iter().flat_map(|older| older.sums));
    let mut seen = std::collections::BTreeSet::new();
    sums.retain(|sum| seen.insert(sum.get()));
    sums.truncate(MOST);
    let past = serde_json::to_string(&Past { base, sums })?;
    db.prepare_cached("UPDATE position SET past = ?2 WHERE id = ?1")?.execute(params![id.0.as_bytes(), past])?;
    Ok(())
}

/// The cost of notification that the citizen is asked for is another one from a Rome day on: the one of before is kept.
pub(super) fn cost_changed(db: &Connection, id: PositionId, cost: Cents, since: Date) -> Result<(), StoreError> {
    let mut costs = costs_before(db, id)?;
    costs.push((cost, since));
    let skip = costs.len().saturating_sub(MOST);
    let kept: Vec<_> = costs.into_iter().skip(skip).collect();
    let sql = "UPDATE position SET costs_before = ?2 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id.0.as_bytes(), serde_json::to_string(&kept)?])?;
    Ok(())
}

/// What the citizen was to pay for the notification on a Rome day: as it was known then, for nobody can pay a cost that is told later.
pub(super) fn cost_on(db: &Connection, row: &PositionRow, day: Date) -> Result<Cents, StoreError> {
    let then = costs_before(db, row.id)?.into_iter().find(|(_, since)| day < *since);
    Ok(then.map_or_else(|| row.borne(), |(cost, _)| cost))
}

/// In the order of time.
fn costs_before(db: &Connection, id: PositionId) -> Result<Vec<(Cents, Date)>, StoreError> {
    let sql = "SELECT costs_before FROM position WHERE id = ?1";
    let text: Option<String> = db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |found| found.get(0))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Whether a PT that asks was answered in this life, or would have been: SEND had the notification.
pub(super) fn has_price(db: &Connection, id: PositionId) -> Result<bool, StoreError> {
    let sql = "SELECT sheet IS NOT NULL FROM position WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |found| found.get(0))?)
}

/// The PT tells an amount for the first time in a life: its own, unless it is what messo made of that in the life before.
pub(super) fn begin(db: &Connection, id: PositionId, held: Cents) -> Result<(), StoreError> {
    let sql = "SELECT past FROM position WHERE id = ?1 AND base IS NULL";
    let Some(past) = optional(db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |found| found.get::<_, Option<String>>(0)))? else {
        return Ok(());
    };
    let base = read(past.as_deref()).filter(|past| past.sums.contains(&held)).map_or(held, |past| past.base);
    db.prepare_cached("UPDATE position SET base = ?2 WHERE id = ?1")?.execute(params![id.0.as_bytes(), base.get()])?;
    Ok(())
}

/// What the PT holds (`held`), as its act is judged by: its own amount, where it holds what messo made of that in the life before.
pub(super) fn at_first(held: Cents, base: Option<Cents>, past: Option<&str>) -> Cents {
    let past = read(past).filter(|past| base == Some(past.base) && past.sums.contains(&held));
    past.map_or(held, |past| past.base)
}

fn read(past: Option<&str>) -> Option<Past> {
    serde_json::from_str(past?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_messo_made_of_it_is_not_the_pts_own_amount() {
        let past = r#"{"base":10000,"sums":[10000,10950,7950]}"#;
        let table = [
            // held, base of this life, as it is judged
            (10_950, Some(10_000), Some(past), 10_000),
            (7_950, Some(10_000), Some(past), 10_000),
            (12_000, Some(10_000), Some(past), 12_000),
            (10_950, Some(12_000), Some(past), 10_950),
            (10_950, None, Some(past), 10_950),
            (10_950, Some(10_000), None, 10_950),
            (10_950, Some(10_000), Some("{"), 10_950),
        ];
        for (held, base, past, want) in table {
            assert_eq!(at_first(Cents(held), base.map(Cents), past), Cents(want), "{held} {base:?} {past:?}");
        }
    }
}
