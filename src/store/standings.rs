//! Where acts stand for accounting, line by line of the ledger: written with the line, never changed, read by exports.

use rusqlite::{Connection, Row, params};

use super::codec::{at, ms, word};
use super::engine::ActRow;
use super::{StoreError, ledger};
use crate::domain::ids::ActId;
use crate::domain::outcome::{OutcomeLine, OutcomeState, Perfection};
use crate::domain::standing::{LIST_SEPARATOR, NoticeStanding, Standing, Terms, follow, owed};

/// Takes a line that has just been written into account.
pub(super) fn take(db: &Connection, act: &ActRow, line: &OutcomeLine) -> Result<(), StoreError> {
    let mut all = match ledger::standings(act.id) {
        Some(at_hand) => at_hand,
        None => last(db, act.id)?,
    };
    let mut changed = false;
    if all.is_empty() {
        // The first line; or an act that is older than its standings.
        all = begin(db, act)?;
        let mut select = db.prepare_cached("SELECT data FROM line WHERE act_id = ?1 AND line < ?2 ORDER BY line")?;
        let earlier = select.query_map(params![act.id.0.as_bytes(), line.line as i64], |row| row.get::<_, String>(0))?;
        for earlier in earlier {
            follow(&mut all, &serde_json::from_str(&earlier?)?);
        }
        changed = true;
    } else if line.state == OutcomeState::Modified {
        let renewed = renewed(begin(db, act)?, &all);
        changed = renewed != all;
        all = renewed;
    }
    changed |= follow(&mut all, line);
    for name in &line.legal_facts {
        let told = "UPDATE legal_fact SET line = ?3 WHERE act_id = ?1 AND name = ?2 AND line IS NULL";
        db.prepare_cached(told)?.execute(params![act.id.0.as_bytes(), name, line.line as i64])?;
    }
    if changed {
        write(db, act, line, &all)?;
    }
    ledger::keep_standings(act.id, all);
    Ok(())
}

/// New content, given before anything reached SEND: what it asks for is new, how far the act is stays, and what was paid.
fn renewed(fresh: Vec<Standing>, before: &[Standing]) -> Vec<Standing> {
    let Some(first) = before.first() else { return fresh };
    let keep = |new: Standing| {
        let mut new = Standing { state: first.state, suspended: first.suspended.clone(), ..new };
        new.keep_payments(before);
        new
    };
    fresh.into_iter().map(keep).collect()
}

fn write(db: &Connection, act: &ActRow, line: &OutcomeLine, all: &[Standing]) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached(
        "INSERT INTO standing (source, line, recipient, recipients, act_id, at, closed, state, suspended, code, protocol, iun, notices, amount, \
         vat, pa_fee, base_fee, paper, citizen_cost, accepted_at, completed_at, perfection, attestations, due, paid, paid_at, payments, \
         submission, alternatives) \
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29)",
    )?;
    for (one, owed) in all.iter().zip(owed(all)) {
        insert.execute(params![
            act.source,
            line.line as i64,
            one.recipient,
            all.len() as i64,
            act.id.0.as_bytes(),
            ms(line.written_at),
            one.closed,
            one.state.as_str(),
            one.suspended,
            one.code,
            one.protocol,
            one.iun,
            one.notices,
            one.amount,
            one.vat,
            one.pa_fee,
            one.base_fee,
            one.paper,
            one.citizen_cost,
            one.accepted_at.map(ms),
            one.completed_at.map(ms),
            one.perfection.map(Perfection::as_str),
            one.attestations,
            owed,
            one.paid(),
            one.paid_at.map(ms),
            encode_payments(&one.payments),
            act.submission,
            one.alternatives,
        ])?;
    }
    Ok(())
}

/// What the act asks for, as it lies in the store now.
fn begin(db: &Connection, act: &ActRow) -> Result<Vec<Standing>, StoreError> {
    let id = act.id.0.as_bytes();
    let asked = "SELECT a.amount, json_extract(c.json, '$.vat'), json_extract(c.json, '$.pa_fee'), \
                 json_extract(c.json, '$.position.notice_group') IS NOT NULL FROM act a \
                 LEFT JOIN act_content c ON c.act_id = a.id AND json_valid(c.json) WHERE a.id = ?1";
    let terms = db.prepare_cached(asked)?.query_row([id], |row| {
        Ok(Terms { notices: String::new(), amount: row.get(0)?, vat: row.get(1)?, pa_fee: row.get(2)?, alternatives: row.get(3)? })
    })?;
    let mut all: Vec<Standing> = (0..act.recipients).map(|recipient| Standing::new(recipient, terms.clone())).collect();
    let mut select = db.prepare_cached("SELECT recipient, notice_code FROM notice WHERE act_id = ?1 ORDER BY recipient, item")?;
    let notices = select.query_map([id], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))?;
    for notice in notices {
        let (recipient, code) = notice?;
        if let Some(standing) = all.get_mut(recipient as usize) {
            if !standing.notices.is_empty() {
                standing.notices.push_str(LIST_SEPARATOR);
            }
            standing.notices.push_str(&code);
        }
    }
    Ok(all)
}

/// How the act stands after its last line.
fn last(db: &Connection, act: ActId) -> Result<Vec<Standing>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT recipient, closed, state, suspended, code, protocol, iun, notices, amount, vat, pa_fee, base_fee, paper, citizen_cost, \
         accepted_at, completed_at, perfection, attestations, recipients, paid_at, payments, alternatives FROM standing WHERE act_id = ?1 ORDER BY line DESC",
    )?;
    let mut rows = select.query([act.0.as_bytes()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
        // Of earlier lines nothing is read.
        if all.len() as i64 >= row.get::<_, i64>(18)? {
            break;
        }
    }
    all.sort_unstable_by_key(|standing| standing.recipient);
    Ok(all)
}

fn read(row: &Row<'_>) -> Result<Standing, StoreError> {
    let when = |index: usize| row.get::<_, Option<i64>>(index).map(|value| value.map(at));
    let state: String = row.get(2)?;
    let perfection: Option<String> = row.get(16)?;
    Ok(Standing {
        recipient: row.get(0)?,
        closed: row.get(1)?,
        state: word(&state, "state")?,
        suspended: row.get(3)?,
        code: row.get(4)?,
        protocol: row.get(5)?,
        iun: row.get(6)?,
        notices: row.get(7)?,
        amount: row.get(8)?,
        vat: row.get(9)?,
        pa_fee: row.get(10)?,
        base_fee: row.get(11)?,
        paper: row.get(12)?,
        citizen_cost: row.get(13)?,
        accepted_at: when(14)?,
        completed_at: when(15)?,
        perfection: perfection.map(|how| word(&how, "perfection")).transpose()?,
        attestations: row.get(17)?,
        alternatives: row.get(21)?,
        paid_at: when(19)?,
        payments: row.get::<_, Option<String>>(20)?.map(|text| decode_payments(&text)).unwrap_or_default(),
    })
}

/// `due/paid` of each notice (`due/~paid`: nobody told how much), between [`LIST_SEPARATOR`]; nothing where none is followed.
fn encode_payments(payments: &[NoticeStanding]) -> Option<String> {
    let cents = |cents: Option<i64>| cents.map(|cents| cents.to_string()).unwrap_or_default();
    let all: Vec<String> =
        payments.iter().map(|one| format!("{}/{}{}", cents(one.due), if one.presumed { "~" } else { "" }, cents(one.paid))).collect();
    (!all.is_empty()).then(|| all.join(LIST_SEPARATOR))
}

fn decode_payments(text: &str) -> Vec<NoticeStanding> {
    let one = |text: &str| {
        let (due, paid) = text.split_once('/').unwrap_or_default();
        let told = paid.strip_prefix('~');
        NoticeStanding { due: due.parse().ok(), paid: told.unwrap_or(paid).parse().ok(), presumed: told.is_some() }
    };
    text.split(LIST_SEPARATOR).map(one).collect()
}
