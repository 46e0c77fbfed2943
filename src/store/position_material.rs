//! What reckoning, calls and commands need of a position, read from its row and from the rows of the act it follows.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::acts::Flows;
use super::codec::{act_at, at, optional, uuid_at, word};
use super::position_acts::{number_of, positions_of};
use super::positions::PositionRow;
use super::{Store, StoreError};
use crate::domain::act::{Act, FeePolicy, PositionData};
use crate::domain::amount_rule::{AmountFacts, AmountRule, RecipientFacts, Suspension, asks_for, rule_of};
use crate::domain::calendar::{Calendar, in_rome};
use crate::domain::ids::{ActId, PositionId};
use crate::domain::money::Cents;
use crate::domain::outcome::Perfection;
use crate::domain::position::{CostChannel, HeldState};
use crate::flow::definition::FlowDefinition;
use crate::flow::position::PositionState;

/// What reckoning and calls need. Holds personal data (`content`): never logged, never kept.
#[derive(Debug, Clone)]
pub struct PositionMaterial {
    pub id: PositionId,
    pub creditor: String,
    pub notice: String,
    pub pt: String,
    pub costs: CostChannel,
    pub state: PositionState,
    pub revision: i64,
    pub asked: Option<Cents>,
    pub wanted: Option<Cents>,
    /// The PT's own id of it, as it answered.
    pub pt_id: Option<String>,
    /// What the PT held before messo changed anything.
    pub base: Option<Cents>,
    /// What was paid, all of it.
    pub paid: Option<Cents>,
    /// Notices that the act names: with more than one its amount is of none of them.
    pub notices: usize,
    /// messo has changed it at its PT.
    pub touched: bool,
    /// Rome day on which the amount changes by time alone.
    pub next_day: Option<Date>,
    /// Of one that is paid, and of which the payment was told: its Rome day.
    pub paid_on: Option<Date>,
    pub created_at: Timestamp,
    /// The act it follows.
    pub act: ActId,
    pub sender: String,
    pub live: bool,
    /// Its act was cancelled by an order, and its flow wants it cancelled too.
    pub cancels: bool,
    pub iun: Option<String>,
    pub flow: FlowDefinition,
    pub content: Act,
    /// Everything but the calendar of the ente, which is in the configuration.
    pub facts: AmountFacts,
    /// When the recipient on whom the notice travels saw the act: Rome day.
    pub viewed: Option<Date>,
}

/// A position as commands show it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PositionView {
    pub id: PositionId,
    pub creditor: String,
    pub notice: String,
    pub sender: String,
    pub act: ActId,
    pub pt: String,
    pub costs: CostChannel,
    pub state: String,
    pub park_code: Option<String>,
    /// What the PT said last.
    pub held_state: Option<HeldState>,
    pub asked: Option<Cents>,
    pub fee: Option<Cents>,
    pub read_at: Option<Timestamp>,
    /// What it should ask for, and how much of it is cost.
    pub wanted: Option<Cents>,
    pub wanted_cost: Option<Cents>,
    /// Cost of notification, whoever asks for it.
    pub cost: Option<Cents>,
    pub reckoned_on: Option<Date>,
    pub next_day: Option<Date>,
    pub fault: Option<String>,
    pub pushed_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
    pub paid: Option<Cents>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a PT that asks for a price is answered from: one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub pt: String,
    pub costs: CostChannel,
    pub state: String,
    /// Why it is parked, if it is.
    pub park_code: Option<String>,
    /// Its act was cancelled, and by its flow the debt with it.
    pub cancelled: bool,
    /// As the service encoded it; `None`: not reckoned yet.
    pub json: Option<String>,
}

const VIEW: &str = "id, creditor, notice, sender, act_id, pt, costs, state, park_code, held_state, asked, fee, read_at, wanted, wanted_cost, cost, \
     reckoned_on, next_day, fault, pushed_at, paid_at, paid, created_at, updated_at";

fn read_view(row: &rusqlite::Row<'_>) -> rusqlite::Result<(PositionView, String, Option<String>)> {
    let cents = |index| row.get::<_, Option<i64>>(index).map(|value| value.map(Cents));
    let when = |index| row.get::<_, Option<i64>>(index).map(|value| value.map(at));
    let day = |index| row.get::<_, Option<String>>(index).map(|value| value.and_then(|text| text.parse().ok()));
    Ok((
        PositionView {
            id: PositionId(uuid_at(row, 0)?),
            creditor: row.get(1)?,
            notice: row.get(2)?,
            sender: row.get(3)?,
            act: act_at(row, 4)?,
            pt: row.get(5)?,
            costs: CostChannel::None,
            state: row.get(7)?,
            park_code: row.get(8)?,
            held_state: None,
            asked: cents(10)?,
            fee: cents(11)?,
            read_at: when(12)?,
            wanted: cents(13)?,
            wanted_cost: cents(14)?,
            cost: cents(15)?,
            reckoned_on: day(16)?,
            next_day: day(17)?,
            fault: row.get(18)?,
            pushed_at: when(19)?,
            paid_at: when(20)?,
            paid: cents(21)?,
            created_at: at(row.get(22)?),
            updated_at: at(row.get(23)?),
        },
        row.get(6)?,
        row.get(9)?,
    ))
}

fn decode((view, costs, held): (PositionView, String, Option<String>)) -> Result<PositionView, StoreError> {
    let held_state = held.map(|text| word(&text, "held_state")).transpose()?;
    Ok(PositionView { costs: word(&costs, "costs")?, held_state, ..view })
}

impl Store {
    /// What reckoning and calls need of these positions; those whose act lost its content are left out.
    pub async fn position_materials(&self, ids: Vec<PositionId>) -> Result<Vec<PositionMaterial>, StoreError> {
        self.read(move |db| {
            let mut flows = Flows::default();
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                match material(db, id, &mut flows) {
                    Ok(material) => found.extend(material),
                    Err(StoreError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
    }

    /// One position.
    pub async fn position(&self, id: PositionId) -> Result<Option<PositionView>, StoreError> {
        self.read(move |db| {
            let sql = format!("SELECT {VIEW} FROM position WHERE id = ?1");
            optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_view))?.map(decode).transpose()
        })
        .await
    }

    /// The position of a notice.
    pub async fn position_of_notice(&self, creditor: &str, notice: &str) -> Result<Option<PositionView>, StoreError> {
        let (creditor, notice) = (creditor.to_owned(), notice.to_owned());
        self.read(move |db| {
            let sql = format!("SELECT {VIEW} FROM position WHERE notice = ?1 AND creditor = ?2");
            optional(db.prepare_cached(&sql)?.query_row([notice, creditor], read_view))?.map(decode).transpose()
        })
        .await
    }

    /// The positions that an act names.
    pub async fn positions_of_act(&self, act: ActId) -> Result<Vec<PositionView>, StoreError> {
        self.read(move |db| {
            let sql = format!("SELECT {VIEW} FROM position WHERE id = ?1");
            let mut found = Vec::new();
            for id in positions_of(db, act)? {
                let view = optional(db.prepare_cached(&sql)?.query_row([id.0.as_bytes()], read_view))?;
                found.extend(view.map(decode).transpose()?);
            }
            Ok(found)
        })
        .await
    }

    /// Positions that wait for a person, of one ente or of all, with one code or any; up to `limit`.
    pub async fn parked_positions(&self, sender: Option<&str>, code: Option<&str>, limit: usize) -> Result<Vec<PositionView>, StoreError> {
        let (sender, code) = (sender.map(str::to_owned), code.map(str::to_owned));
        self.read(move |db| {
            let sql = format!(
                "SELECT {VIEW} FROM position WHERE park_code IS NOT NULL AND (?1 IS NULL OR park_code = ?1) AND (?2 IS NULL OR sender = ?2) LIMIT ?3"
            );
            let mut select = db.prepare_cached(&sql)?;
            let rows = select.query_map(params![code, sender, limit as i64], read_view)?;
            rows.map(|row| decode(row?)).collect()
        })
        .await
    }

    /// What a PT that asks the price of a notice is answered from. At once: a citizen waits at a counter.
    pub fn price_sheet(&self, creditor: &str, notice: &str) -> Result<Option<Sheet>, StoreError> {
        self.look(|db| {
            // By its number, or by the index where another creditor has a notice of that number.
            const BY_NUMBER: &str =
                "SELECT pt, costs, state, park_code, sheet, act_id FROM position WHERE n = ?1 AND +notice = ?2 AND +creditor = ?3";
            const BY_NOTICE: &str = "SELECT pt, costs, state, park_code, sheet, act_id FROM position WHERE notice = ?1 AND creditor = ?2";
            let read = |row: &rusqlite::Row<'_>| {
                let sheet = Sheet {
                    pt: row.get(0)?,
                    costs: CostChannel::None,
                    state: row.get(2)?,
                    park_code: row.get(3)?,
                    cancelled: false,
                    json: row.get(4)?,
                };
                Ok((sheet, row.get::<_, String>(1)?, act_at(row, 5)?))
            };
            let mut found = None;
            if let Some(number) = number_of(notice) {
                found = optional(db.prepare_cached(BY_NUMBER)?.query_row(params![number, notice, creditor], read))?;
            }
            if found.is_none() {
                found = optional(db.prepare_cached(BY_NOTICE)?.query_row([notice, creditor], read))?;
            }
            let Some((sheet, costs, act)) = found else { return Ok(None) };
            // The price that was known goes when the act is over: with one there is no need to ask.
            let over = sheet.state == PositionState::Closed.name() || sheet.json.is_none();
            let cancelled = over && super::positions::is_cancelled_with(db, act)?;
            Ok(Some(Sheet { costs: word(&costs, "costs")?, cancelled, ..sheet }))
        })
    }

    /// A position in its PT's own words, when the PT wants the whole of it back. Names people.
    pub async fn position_whole(&self, id: PositionId) -> Result<Option<String>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT json FROM position_whole WHERE position_id = ?1";
            optional(db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |row| row.get(0)))
        })
        .await
    }

    /// The positions of a PT that have that id of its own: of several enti, where the PT numbers those of each apart. Creditor, notice,
    /// and the whole of it in the PT's words where that is kept (it names people).
    pub async fn notices_of_pt_id(&self, pt: &str, id: &str) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
        let (pt, id) = (pt.to_owned(), id.to_owned());
        self.read(move |db| {
            let sql = "SELECT p.creditor, p.notice, w.json FROM position p LEFT JOIN position_whole w ON w.position_id = p.id \
                       WHERE p.pt = ?1 AND p.pt_id = ?2";
            let mut select = db.prepare_cached(sql)?;
            Ok(select.query_map([pt, id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How many positions do not hold that amount at their PT (for the bench).
    pub async fn positions_asking_other_than(&self, amount: Cents) -> Result<i64, StoreError> {
        self.read(move |db| {
            let sql = "SELECT count(*) FROM position WHERE asked IS NOT ?1";
            Ok(db.prepare_cached(sql)?.query_row([amount.get()], |row| row.get(0))?)
        })
        .await
    }

    /// The last Rome day on which an amount changes by time alone.
    pub async fn last_position_day(&self) -> Result<Option<Date>, StoreError> {
        self.read(|db| {
            let sql = "SELECT max(next_day) FROM position WHERE next_day IS NOT NULL";
            let day: Option<String> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(day.and_then(|day| day.parse().ok()))
        })
        .await
    }

    /// How many positions are in each state at each PT: (state, PT, count).
    pub async fn position_counts(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT state, pt, count(*) FROM position GROUP BY state, pt")?;
            Ok(select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn rome_date(millis: i64) -> Date {
    in_rome(at(millis)).date()
}

pub(super) fn material(db: &Connection, id: PositionId, flows: &mut Flows) -> Result<Option<PositionMaterial>, StoreError> {
    let row = PositionRow::load(db, id)?;
    type Found = (Option<String>, Option<String>, i64, Option<i64>, Option<i64>, Option<i64>);
    let (pt_id, next_day, created_at, base, paid_at, paid): Found = db
        .prepare_cached("SELECT pt_id, next_day, created_at, base, paid_at, paid FROM position WHERE id = ?1")?
        .query_row([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))?;
    let found = optional(
        db.prepare_cached(
            "SELECT a.flow_digest, a.live, a.iun, a.accepted_at, c.json, a.sender FROM act a JOIN act_content c ON c.act_id = a.id WHERE a.id = ?1",
        )?
        .query_row([row.act.0.as_bytes()], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, Option<i64>>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
            ))
        }),
    )?;
    let Some((flow, live, iun, accepted, json, sender)) = found else { return Ok(None) };
    let flow = flows.of(db, flow)?;
    let content: Act = serde_json::from_str(&json)?;
    let mut select = db.prepare_cached(
        "SELECT completed_at, perfection, analog_cost, citizen_cost, citizen_paper FROM recipient WHERE act_id = ?1 ORDER BY idx",
    )?;
    let rows = select.query_map([row.act.0.as_bytes()], |row| {
        Ok((
            row.get::<_, Option<i64>>(0)?,
            row.get::<_, Option<String>>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, Option<i64>>(3)?,
            row.get::<_, Option<i64>>(4)?,
        ))
    })?;
    let mut recipients = Vec::new();
    let mut views = Vec::new();
    for found in rows {
        let (completed, perfection, analog_cost, citizen_cost, citizen_paper) = found?;
        let completed = completed.map(rome_date);
        views.push(completed.filter(|_| perfection.as_deref() == Some(Perfection::Viewed.as_str())));
        recipients.push(RecipientFacts {
            completed,
            price: citizen_cost.map(Cents),
            priced_paper: Cents(citizen_paper.unwrap_or(analog_cost)),
            analog_cost: Cents(analog_cost),
        });
    }
    let (holder, apply_cost): (u32, bool) = optional(
        db.prepare_cached(
            "SELECT recipient, apply_cost FROM notice WHERE act_id = ?1 AND notice_code = ?2 AND creditor = ?3 ORDER BY recipient LIMIT 1",
        )?
        .query_row(params![row.act.0.as_bytes(), row.notice, row.creditor], |row| Ok((row.get(0)?, row.get(1)?))),
    )?
    .unwrap_or((0, false));
    let mut codes: Vec<(&str, &str)> = content.notices().map(|(_, creditor, notice)| (creditor, notice)).collect();
    codes.sort_unstable();
    codes.dedup();
    let notices = codes.len();
    let data = content.position.clone().unwrap_or_default();
    let delivery = content.fee_policy.unwrap_or(flow.fee_policy) == FeePolicy::DeliveryMode;
    let facts = AmountFacts {
        amount: content.amount,
        minimum: data.minimum,
        maximum: data.maximum,
        act_date: data.assessment_date,
        violation: data.violation_date,
        contestation: data.contestation_date,
        holder: holder as usize,
        recipients,
        suspensions: suspensions(db, id)?,
        applies_cost: apply_cost && delivery,
        notified: live && (accepted.is_some() || iun.is_some()),
        // SEND's own defaults.
        pa_fee: content.pa_fee.or(flow.pa_fee).unwrap_or(100),
        vat: content.vat.or(flow.vat).unwrap_or(22),
        calendar: Calendar::default(),
    };
    Ok(Some(PositionMaterial {
        id,
        creditor: row.creditor,
        notice: row.notice,
        pt: row.pt,
        costs: row.costs,
        state: row.state,
        revision: row.revision,
        asked: row.asked,
        wanted: row.wanted,
        pt_id,
        base: base.map(Cents),
        paid: paid.map(Cents),
        notices,
        touched: row.touched,
        next_day: next_day.and_then(|day| day.parse().ok()),
        paid_on: paid_at.map(rome_date),
        created_at: at(created_at),
        act: row.act,
        sender,
        live,
        cancels: !live && super::positions::is_cancelled_with(db, row.act)?,
        iun,
        flow,
        viewed: views.get(holder as usize).copied().flatten(),
        content,
        facts,
    }))
}

/// Whether the act of a position has other notices of configured PTs.
fn has_others(db: &Connection, row: &PositionRow) -> Result<bool, StoreError> {
    let several =
        "SELECT EXISTS (SELECT 1 FROM act a JOIN notice n ON n.act_id = a.id WHERE a.id = ?1 AND a.positions > 1 AND n.notice_code <> ?2)";
    Ok(db.prepare_cached(several)?.query_row(params![row.act.0.as_bytes(), row.notice], |found| found.get(0))?)
}

/// Whether a person said that it is due all the same, though another notice of its debt was paid.
fn is_due_apart(db: &Connection, id: PositionId) -> Result<bool, StoreError> {
    let sql = "SELECT due_apart FROM position WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([id.0.as_bytes()], |found| found.get(0))?)
}

/// Whether the debt of a position was paid with another notice of its act, by what is known now: often a payment is learnt before the
/// PT has said of both what they ask for.
pub(super) fn is_paid_with_another(db: &Connection, row: &PositionRow) -> Result<bool, StoreError> {
    if !has_others(db, row)? || is_due_apart(db, row.id)? {
        return Ok(false);
    }
    let mut flows = Flows::default();
    let mut own = None;
    for id in positions_of(db, row.act)?.into_iter().filter(|id| *id != row.id) {
        let sql = "SELECT state FROM position WHERE id = ?1 AND act_id = ?2";
        let state =
            optional(db.prepare_cached(sql)?.query_row([&id.0.as_bytes()[..], row.act.0.as_bytes()], |found| found.get::<_, String>(0)))?;
        if state.as_deref() != Some(PositionState::Paid.name()) {
            continue;
        }
        let own = match &own {
            Some(own) => own,
            None => match material(db, row.id, &mut flows)? {
                Some(material) => own.insert(material),
                None => return Ok(false),
            },
        };
        if material(db, id, &mut flows)?.is_some_and(|paid| paid.pays(own)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Positions whose debt was paid with another notice of their act: `paid` is one that is.
pub(super) fn paid_with(db: &Connection, paid: &PositionRow) -> Result<Vec<PositionId>, StoreError> {
    if !has_others(db, paid)? {
        return Ok(Vec::new());
    }
    let mut flows = Flows::default();
    let Some(own) = material(db, paid.id, &mut flows)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for id in positions_of(db, paid.act)? {
        let Some(other) = material(db, id, &mut flows)?.filter(|other| other.id != own.id && other.act == own.act) else { continue };
        if own.pays(&other) && !is_due_apart(db, id)? {
            found.push(id);
        }
    }
    Ok(found)
}

fn suspensions(db: &Connection, id: PositionId) -> Result<Vec<Suspension>, StoreError> {
    let mut select = db.prepare_cached("SELECT from_day, until_day FROM suspension WHERE position_id = ?1 ORDER BY seq")?;
    let rows = select.query_map([id.0.as_bytes()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (from, until) = row?;
        let Ok(from) = from.parse() else { continue };
        found.push(Suspension { from, until: until.and_then(|day| day.parse().ok()) });
    }
    Ok(found)
}

impl PositionMaterial {
    /// What the batch says of the position, with the PT's own id where the batch has none. The one id of an act with several notices
    /// is given only to a PT that `ties` an id and its notices: another would change, or cancel, the debt of somebody else.
    #[must_use]
    pub fn data(&self, ties: bool) -> PositionData {
        let mut data = self.content.position_of(&self.creditor, &self.notice);
        let of_act = || self.content.position.as_ref().filter(|_| ties)?.position_id.clone();
        data.position_id = data.position_id.or_else(|| self.pt_id.clone()).or_else(of_act);
        data
    }

    /// Whether its notice is of the whole amount of its act: it is the only one, or everybody who owes has one of their own and its PT held,
    /// at first, what the rule asks for (several who owe jointly, each with a notice of the whole: art. 196 D.Lgs. 285/1992, art. 6 L.
    /// 689/1981).
    #[must_use]
    pub fn is_of_the_whole(&self, rule: &AmountRule) -> bool {
        if self.notices <= 1 {
            return true;
        }
        let mut holders: Vec<usize> = self.content.notices().map(|(recipient, ..)| recipient).collect();
        let all = holders.len();
        holders.dedup();
        holders.len() == all && self.asked_for_the_whole(rule)
    }

    /// Whether its PT held, at first, what the rule asks for. Nobody says it of a PT that does not tell amounts, unless it was paid: then
    /// what was paid says it.
    fn asked_for_the_whole(&self, rule: &AmountRule) -> bool {
        match (self.facts.amount, self.base.or(self.paid)) {
            (Some(amount), Some(base)) => amount == base || asks_for(rule, &self.facts, base),
            _ => false,
        }
    }

    /// Whether the debt of `other`, a notice of the same act, is paid with this one: both are of the whole, or the act says that its
    /// notices are alternatives and this one is of the whole (a first instalment pays nothing but itself).
    fn pays(&self, other: &PositionMaterial) -> bool {
        let rule = rule_of(&self.content, self.flow.amount_rule.as_ref());
        let grouped = self.content.position.as_ref().is_some_and(|data| data.notice_group.is_some());
        (grouped && self.asked_for_the_whole(&rule)) || (self.is_of_the_whole(&rule) && other.is_of_the_whole(&rule))
    }

    /// The id that was asked by is that of the act, which has several notices, and nobody said yet of which it is.
    #[must_use]
    pub fn asks_by_shared_id(&self, asked: &PositionData) -> bool {
        self.pt_id.is_none()
            && asked.position_id.is_some()
            && self.content.position_of(&self.creditor, &self.notice).position_id != asked.position_id
    }
}
