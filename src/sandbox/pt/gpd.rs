//! GPD as a creditor sees it: debt positions v3 and v1 (`gpd_v3.json`, `gpd.json`), by IUPD only, with a subscription key.
//!
//! As pagoPA's own source has it: what GET shows as `amount` has the cost of notification in it, and so has the first transfer of
//! the creditor; a PUT is without it and GPD adds it again; a PUT without `toPublish` makes the position a draft; a PUT replaces
//! the whole position. A debt keeps in `more` what was written with it: `{position, option, installment}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Debt, DebtChange, DebtState, PtOptions};

type Shared = State<Arc<PtOptions>>;

pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let base = "/debt-positions-service/{version}/organizations/{creditor}/debtpositions";
    Router::new()
        .route(base, post(create))
        .route(&format!("{base}/{{iupd}}"), get(read).put(update).delete(delete))
        .route(&format!("{base}/{{iupd}}/publish"), post(publish))
        .route(&format!("{base}/{{iupd}}/invalidate"), post(invalidate))
        .with_state(shared)
}

/// Which edition of the interface was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edition {
    V1,
    V3,
}

/// The edition, or why the gateway lets nobody through.
#[expect(clippy::result_large_err, reason = "the refusal is the answer itself, made once a call")]
fn enter(shared: &PtOptions, headers: &HeaderMap, version: &str) -> Result<Edition, Response> {
    let key = headers.get("ocp-apim-subscription-key").and_then(|value| value.to_str().ok());
    if key != Some(shared.password.as_str()) {
        return Err(StatusCode::UNAUTHORIZED.into_response());
    }
    match version {
        "v1" => Ok(Edition::V1),
        "v3" => Ok(Edition::V3),
        _ => Err(StatusCode::NOT_FOUND.into_response()),
    }
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(json!({ "title": title, "status": status, "detail": detail }))).into_response()
}

fn not_found(iupd: &str) -> Response {
    problem(404, "Not found the debt position", &format!("Not found a debt position for IUPD {iupd}"))
}

fn not_updatable(iupd: &str) -> Response {
    problem(409, "Existing related payment found", &format!("IUPD {iupd} is not in an updatable state"))
}

/// A publish flag in the query: `toPublish=true`.
fn to_publish(query: &BTreeMap<String, String>) -> bool {
    query.get("toPublish").is_some_and(|value| value == "true")
}

async fn read(State(shared): Shared, Path((version, creditor, iupd)): Path<(String, String, String)>, headers: HeaderMap) -> Response {
    let edition = match enter(&shared, &headers, &version) {
        Ok(edition) => edition,
        Err(response) => return response,
    };
    let debts = of_position(&shared, &creditor, &iupd);
    if debts.is_empty() {
        return not_found(&iupd);
    }
    Json(render(&debts, edition, shared.clock.now(), true)).into_response()
}

async fn create(
    State(shared): Shared,
    Path((version, creditor)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let edition = match enter(&shared, &headers, &version) {
        Ok(edition) => edition,
        Err(response) => return response,
    };
    let now = shared.clock.now();
    let mut debts = match parse(&body, edition, &creditor, now, true) {
        Ok(debts) => debts,
        Err(fault) => return problem(400, "Bad Request", &fault),
    };
    let used = debts.first().is_some_and(|debt| !of_position(&shared, &creditor, &debt.position_id).is_empty());
    let mut all = shared.debts.lock();
    if used || debts.iter().any(|debt| all.contains_key(&(debt.creditor.clone(), debt.notice.clone()))) {
        return problem(409, "The organization code already exist", "IUPD, IUV or NAV already used");
    }
    for debt in &mut debts {
        debt.state = if to_publish(&query) { DebtState::Unpaid } else { DebtState::Draft };
        all.insert((debt.creditor.clone(), debt.notice.clone()), debt.clone());
    }
    drop(all);
    (StatusCode::CREATED, Json(render(&debts, edition, now, false))).into_response()
}

async fn update(
    State(shared): Shared,
    Path((version, creditor, iupd)): Path<(String, String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let edition = match enter(&shared, &headers, &version) {
        Ok(edition) => edition,
        Err(response) => return response,
    };
    let now = shared.clock.now();
    let mut written = match parse(&body, edition, &creditor, now, false) {
        Ok(debts) if debts.iter().all(|debt| debt.position_id == iupd) => debts,
        Ok(_) => return problem(400, "Bad Request", "the IUPD of the body is another"),
        Err(fault) => return problem(400, "Bad Request", &fault),
    };
    let known = of_position(&shared, &creditor, &iupd);
    let mut all = shared.debts.lock();
    let old: Vec<Debt> = known.iter().filter_map(|debt| all.get(&(debt.creditor.clone(), debt.notice.clone()))).cloned().collect();
    if old.is_empty() {
        return not_found(&iupd);
    }
    if old.iter().any(|debt| matches!(debt.state, DebtState::Paid | DebtState::BeingPaid | DebtState::Cancelled)) {
        return not_updatable(&iupd);
    }
    for debt in &mut written {
        if let Some(before) = old.iter().find(|before| before.notice == debt.notice) {
            // The cost that SEND wrote stays, whoever writes the rest.
            debt.fee = before.fee;
            debt.changes = before.changes.clone();
            debt.due_type = before.due_type.clone();
        }
        debt.state = if to_publish(&query) { DebtState::Unpaid } else { DebtState::Draft };
        debt.changes.push(DebtChange { at: now.as_millisecond(), amount: debt.amount, fee: debt.fee });
    }
    for debt in &old {
        all.remove(&(debt.creditor.clone(), debt.notice.clone()));
    }
    for debt in &written {
        all.insert((debt.creditor.clone(), debt.notice.clone()), debt.clone());
    }
    drop(all);
    Json(render(&written, edition, now, false)).into_response()
}

async fn delete(State(shared): Shared, Path((version, creditor, iupd)): Path<(String, String, String)>, headers: HeaderMap) -> Response {
    if let Err(response) = enter(&shared, &headers, &version) {
        return response;
    }
    let old = of_position(&shared, &creditor, &iupd);
    if old.is_empty() {
        return not_found(&iupd);
    }
    if old.iter().any(|debt| matches!(debt.state, DebtState::Paid | DebtState::BeingPaid)) {
        return not_updatable(&iupd);
    }
    let mut all = shared.debts.lock();
    for debt in old {
        all.remove(&(debt.creditor, debt.notice));
    }
    Json("Operation completed successfully").into_response()
}

async fn publish(State(shared): Shared, Path((version, creditor, iupd)): Path<(String, String, String)>, headers: HeaderMap) -> Response {
    move_state(&shared, &headers, (&version, &creditor, &iupd), &[DebtState::Draft], DebtState::Unpaid)
}

async fn invalidate(
    State(shared): Shared,
    Path((version, creditor, iupd)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if version != "v1" {
        return StatusCode::NOT_FOUND.into_response();
    }
    move_state(&shared, &headers, (&version, &creditor, &iupd), &[DebtState::Unpaid], DebtState::Cancelled)
}

fn move_state(
    shared: &PtOptions,
    headers: &HeaderMap,
    (version, creditor, iupd): (&str, &str, &str),
    from: &[DebtState],
    to: DebtState,
) -> Response {
    let edition = match enter(shared, headers, version) {
        Ok(edition) => edition,
        Err(response) => return response,
    };
    let mut old = of_position(shared, creditor, iupd);
    if old.is_empty() {
        return not_found(iupd);
    }
    if !old.iter().all(|debt| from.contains(&debt.state)) {
        return not_updatable(iupd);
    }
    for debt in &mut old {
        debt.state = to;
        shared.debts.put(debt.clone());
    }
    Json(render(&old, edition, shared.clock.now(), false)).into_response()
}

fn of_position(shared: &PtOptions, creditor: &str, iupd: &str) -> Vec<Debt> {
    let mut found = shared.debts.of_position(iupd);
    found.retain(|debt| debt.creditor == creditor);
    found
}

// ---------------------------------------------------------------------------------------------------------------- what is read

/// The debts of a written position, one for each notice.
fn parse(body: &[u8], edition: Edition, creditor: &str, now: Timestamp, creating: bool) -> Result<Vec<Debt>, String> {
    let whole: Value = serde_json::from_slice(body).map_err(|_| "not JSON".to_owned())?;
    let position = whole.as_object().ok_or("not an object")?;
    let options = position.get("paymentOption").and_then(Value::as_array).ok_or("paymentOption is missing")?;
    let mut kept = position.clone();
    kept.remove("paymentOption");
    let mut debts = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let mut option = option.as_object().cloned().ok_or("paymentOption is not an object")?;
        let installments = match edition {
            Edition::V3 => option.remove("installments").and_then(|list| list.as_array().cloned()).ok_or("installments is missing")?,
            // An option of v1 is an installment of its own.
            Edition::V1 => vec![Value::Object(std::mem::take(&mut option))],
        };
        if edition == Edition::V1 {
            for name in ["validityDate", "switchToExpired"] {
                option.extend(position.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            option.insert("debtor".to_owned(), debtor_of(position));
        }
        option.insert("index".to_owned(), json!(index));
        for installment in installments {
            debts.push(debt(&kept, &option, installment, creditor, now, creating)?);
        }
    }
    if debts.is_empty() { Err("no installment".to_owned()) } else { Ok(debts) }
}

/// The debtor of v1 lies flat in the position.
fn debtor_of(position: &Map<String, Value>) -> Value {
    const NAMES: &[&str] = &[
        "type",
        "fiscalCode",
        "fullName",
        "streetName",
        "civicNumber",
        "postalCode",
        "city",
        "province",
        "region",
        "country",
        "email",
        "phone",
    ];
    Value::Object(NAMES.iter().filter_map(|name| Some(((*name).to_owned(), position.get(*name)?.clone()))).collect())
}

fn debt(
    position: &Map<String, Value>,
    option: &Map<String, Value>,
    installment: Value,
    creditor: &str,
    now: Timestamp,
    creating: bool,
) -> Result<Debt, String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let iuv = text(&installment, "iuv");
    let notice = Some(text(&installment, "nav")).filter(|nav| !nav.is_empty()).unwrap_or_else(|| format!("3{iuv}"));
    let amount = installment.get("amount").and_then(Value::as_i64).filter(|amount| *amount > 0).ok_or("amount must be at least 1")?;
    let transfers = installment.get("transfer").and_then(Value::as_array).ok_or("transfer is missing")?;
    if transfers.is_empty() || transfers.len() > 5 {
        return Err("from 1 to 5 transfers".to_owned());
    }
    let mut total = 0i64;
    for transfer in transfers {
        let part = transfer.get("amount").and_then(Value::as_i64).filter(|amount| *amount > 0).ok_or("amount of a transfer")?;
        total = total.checked_add(part).ok_or("amount of a transfer")?;
        let filled = |name: &str| transfer.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
        if filled("iban") == filled("stamp") {
            return Err("iban and stamp are mutually exclusive, one of them is required".to_owned());
        }
    }
    if total != amount {
        return Err(format!("payment option amount must coincide with the total of the transfers amount [{amount}; {total}]"));
    }
    let instant = |value: &Value, name: &str| -> Result<Option<Timestamp>, String> {
        match value.get(name).and_then(Value::as_str) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| format!("{name} is not a date and time")),
        }
    };
    let option_value = Value::Object(option.clone());
    let due = instant(&installment, "dueDate")?.ok_or("dueDate is missing")?;
    let validity = instant(&option_value, "validityDate")?;
    let switches = option.get("switchToExpired").and_then(Value::as_bool).unwrap_or(false);
    if creating && validity.is_some_and(|validity| validity <= now) {
        return Err("validity_date must be >= current_date".to_owned());
    }
    if due < validity.unwrap_or(now) || ((creating || switches) && due < now) {
        return Err("due_date must be >= validity_date (if provided) or due_date must be >= current_date".to_owned());
    }
    let retention = instant(&installment, "retentionDate")?.or(instant(&option_value, "retentionDate")?);
    if retention.is_some_and(|retention| retention < due) {
        return Err("retention_date must be >= due_date".to_owned());
    }
    let debtor = option.get("debtor").cloned().unwrap_or_default();
    if text(&debtor, "fiscalCode").is_empty()
        || text(&debtor, "fullName").is_empty()
        || !matches!(text(&debtor, "type").as_str(), "F" | "G")
    {
        return Err("type, fiscalCode and fullName of the debtor are required".to_owned());
    }
    Ok(Debt {
        creditor: creditor.to_owned(),
        notice,
        position_id: position.get("iupd").and_then(Value::as_str).ok_or("iupd is missing")?.to_owned(),
        amount,
        fee: 0,
        state: DebtState::Unpaid,
        due_date: Some(due.to_zoned(rome()).date().to_string()),
        payer_tax_id: text(&debtor, "fiscalCode"),
        payer_name: text(&debtor, "fullName"),
        remittance: text(&installment, "description"),
        due_type: String::new(),
        more: json!({ "position": position, "option": option, "installment": installment }),
        changes: Vec::new(),
        paid_amount: None,
        paid_at: None,
    })
}

fn rome() -> TimeZone {
    TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)
}

// --------------------------------------------------------------------------------------------------------------- what is shown

/// What GPD shows of a position. `reading`: as GET does, else as the answer of a write.
fn render(debts: &[Debt], edition: Edition, now: Timestamp, reading: bool) -> Value {
    let Some(first) = debts.first() else { return Value::Null };
    let position = first
        .more
        .get("position")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_else(|| json!({ "companyName": "Comune di Esempio", "payStandIn": true }).as_object().cloned().unwrap_or_default());
    let mut options: BTreeMap<u64, Vec<&Debt>> = BTreeMap::new();
    for debt in debts {
        let index = debt.more.pointer("/option/index").and_then(Value::as_u64).unwrap_or(0);
        options.entry(index).or_default().push(debt);
    }
    let status = status(debts, &options, edition, now);
    let mut out = Map::new();
    let copied: &[&str] = match (edition, reading) {
        (_, true) => &["companyName", "officeName"],
        (Edition::V3, false) => &["companyName", "officeName", "payStandIn"],
        (Edition::V1, false) => &["companyName", "officeName", "payStandIn", "switchToExpired", "validityDate"],
    };
    copy(&position, copied, &mut out);
    out.insert("iupd".to_owned(), json!(first.position_id));
    out.insert("status".to_owned(), json!(status));
    if let Some(paid) = debts.iter().filter_map(|debt| debt.paid_at).max() {
        out.insert("paymentDate".to_owned(), json!(instant(paid)));
    }
    if reading {
        out.insert("organizationFiscalCode".to_owned(), json!(first.creditor));
        out.insert("insertedDate".to_owned(), json!("2026-01-07T08:00:00Z"));
        out.insert("lastUpdatedDate".to_owned(), json!(instant(now.as_millisecond())));
    }
    if edition == Edition::V1 {
        let debtor = debtor(first);
        // GET tells the type of the debtor, and nothing else of them.
        let names: &[&str] = if reading { &["type"] } else { &["type", "fiscalCode", "fullName", "streetName", "city", "country"] };
        copy(debtor.as_object().unwrap_or(&Map::new()), names, &mut out);
        if reading && let Some(validity) = first.more.pointer("/option/validityDate") {
            out.insert("validityDate".to_owned(), validity.clone());
        }
        out.entry("switchToExpired").or_insert(json!(false));
        if reading {
            out.remove("switchToExpired");
        }
        let list: Vec<Value> = options.values().flatten().map(|debt| installment(debt, edition, reading)).collect();
        out.insert("paymentOption".to_owned(), Value::Array(list));
        return Value::Object(out);
    }
    let list = options.values().map(|debts| {
        let empty = Map::new();
        let held = debts.first().and_then(|debt| debt.more.get("option")).and_then(Value::as_object).unwrap_or(&empty);
        let mut option = Map::new();
        copy(held, &["validityDate", "retentionDate"], &mut option);
        option.insert("switchToExpired".to_owned(), held.get("switchToExpired").cloned().unwrap_or(json!(false)));
        option.insert("debtor".to_owned(), debts.first().map(|debt| debtor(debt)).unwrap_or_default());
        if reading {
            option.insert("insertedDate".to_owned(), json!("2026-01-07T08:00:00Z"));
        }
        option.insert("installments".to_owned(), debts.iter().map(|debt| installment(debt, edition, reading)).collect());
        Value::Object(option)
    });
    out.insert("paymentOption".to_owned(), list.collect());
    Value::Object(out)
}

fn status(debts: &[Debt], options: &BTreeMap<u64, Vec<&Debt>>, edition: Edition, now: Timestamp) -> &'static str {
    let all = |state: DebtState| debts.iter().all(|debt| debt.state == state);
    let paid = |debt: &Debt| debt.state == DebtState::Paid;
    if options.values().any(|option| option.iter().all(|debt| paid(debt))) {
        return "PAID";
    }
    if debts.iter().any(paid) {
        return "PARTIALLY_PAID";
    }
    if all(DebtState::Draft) {
        return "DRAFT";
    }
    match (edition, all(DebtState::Cancelled), all(DebtState::Expired)) {
        (Edition::V3, true, _) | (Edition::V3, _, true) => return "UNPAYABLE",
        (Edition::V1, true, _) => return "INVALID",
        (Edition::V1, _, true) => return "EXPIRED",
        _ => {}
    }
    let validity = debts.first().and_then(|debt| debt.more.pointer("/option/validityDate")).and_then(Value::as_str);
    let later = validity.and_then(|text| text.parse::<Timestamp>().ok()).is_some_and(|validity| validity > now);
    if later { "PUBLISHED" } else { "VALID" }
}

fn debtor(debt: &Debt) -> Value {
    match debt.more.pointer("/option/debtor") {
        Some(debtor) if debtor.is_object() => debtor.clone(),
        _ => {
            let kind = if debt.payer_tax_id.len() == 11 { "G" } else { "F" };
            json!({ "type": kind, "fiscalCode": debt.payer_tax_id, "fullName": debt.payer_name })
        }
    }
}

fn installment(debt: &Debt, edition: Edition, reading: bool) -> Value {
    let held = debt.more.get("installment").and_then(Value::as_object).cloned().unwrap_or_else(|| plain(debt));
    let mut out = Map::new();
    copy(&held, &["iuv", "description", "dueDate", "installmentMetadata"], &mut out);
    if edition == Edition::V1 {
        copy(&held, &["retentionDate", "paymentOptionMetadata"], &mut out);
        out.remove("installmentMetadata");
        out.insert("isPartialPayment".to_owned(), held.get("isPartialPayment").cloned().unwrap_or(json!(false)));
    }
    out.insert("nav".to_owned(), json!(debt.notice));
    out.insert("amount".to_owned(), json!(debt.amount + debt.fee));
    out.insert("fee".to_owned(), json!(0));
    out.insert("notificationFee".to_owned(), json!(debt.fee));
    // The answer of a v1 write has no status in its options.
    if edition == Edition::V3 || reading {
        let paid = debt.state == DebtState::Paid;
        let status = match (edition, debt.state) {
            (Edition::V1, _) => {
                if paid {
                    "PO_PAID"
                } else {
                    "PO_UNPAID"
                }
            }
            (Edition::V3, DebtState::Paid) => "PAID",
            (Edition::V3, DebtState::Cancelled) => "UNPAYABLE",
            (Edition::V3, DebtState::Expired) => "EXPIRED",
            (Edition::V3, _) => "UNPAID",
        };
        out.insert("status".to_owned(), json!(status));
    }
    let empty = Vec::new();
    let transfers = held.get("transfer").and_then(Value::as_array).unwrap_or(&empty);
    let primary = transfers.iter().position(|transfer| {
        transfer.get("organizationFiscalCode").and_then(Value::as_str).is_none_or(|creditor| creditor == debt.creditor)
    });
    let transfers = transfers.iter().enumerate().map(|(index, transfer)| {
        let mut transfer = transfer.as_object().cloned().unwrap_or_default();
        if Some(index) == primary {
            let amount = transfer.get("amount").and_then(Value::as_i64).unwrap_or(0);
            transfer.insert("amount".to_owned(), json!(amount + debt.fee));
        }
        transfer.entry("organizationFiscalCode").or_insert(json!(debt.creditor));
        if reading {
            transfer.insert("status".to_owned(), json!("T_UNREPORTED"));
        }
        Value::Object(transfer)
    });
    out.insert("transfer".to_owned(), transfers.collect());
    if reading {
        out.insert("organizationFiscalCode".to_owned(), json!(debt.creditor));
        if let Some(paid_at) = debt.paid_at {
            out.insert("paymentDate".to_owned(), json!(instant(paid_at)));
            out.insert("idReceipt".to_owned(), json!(format!("ricevuta-{}", debt.notice)));
            out.insert("amount".to_owned(), json!(debt.paid_amount.unwrap_or(debt.amount + debt.fee)));
        }
    }
    Value::Object(out)
}

/// What a debt that nobody wrote through GPD looks like: one transfer to the creditor.
fn plain(debt: &Debt) -> Map<String, Value> {
    let due: Date = debt.due_date.as_deref().and_then(|text| text.parse().ok()).unwrap_or(Date::constant(2099, 12, 31));
    let due = due.at(23, 59, 59, 0).to_zoned(rome()).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp());
    let text = if debt.remittance.is_empty() { "Pagamento" } else { &debt.remittance };
    let value = json!({
        "iuv": debt.notice.get(1..).unwrap_or_default(),
        "description": text,
        "dueDate": due.to_string(),
        "transfer": [{
            "idTransfer": "1", "amount": debt.amount, "organizationFiscalCode": debt.creditor, "remittanceInformation": text,
            "category": "9/0301105TS/", "iban": "IT60X0542811101000000123456",
        }],
    });
    value.as_object().cloned().unwrap_or_default()
}

fn copy(from: &Map<String, Value>, names: &[&str], to: &mut Map<String, Value>) {
    for name in names {
        if let Some(value) = from.get(*name).filter(|value| !value.is_null()) {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}

fn instant(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}
