//! What is said to PU and read from it (`p4pa-pu-sil.openapi.json`), purely.
//!
//! What a debtor has not paid is told as a cart would want it: no notice, no due date. Whether `totalAmountCents` has
//! `notificationFeeCents` in it is not written anywhere: where there is a cost of PU's own, messo adds none.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::connectors::ConnectorError;
use crate::connectors::pt::parts::{Part, share};
use crate::connectors::pt::rest::{self, Ask, cents, code, pick, protocol, refused, text};
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, Held, HeldState, Payer, PaymentSeen};

pub(super) type Object = Map<String, Value>;

const TRANSFER: &[&str] = &[
    "orgFiscalCode",
    "orgName",
    "amountCents",
    "remittanceInformation",
    "stampType",
    "stampHashDocument",
    "stampProvincialResidence",
    "iban",
    "postalIban",
    "category",
    "transferIndex",
];
const DEBTOR: &[&str] =
    &["entityType", "fiscalCode", "fullName", "address", "civic", "postalCode", "location", "province", "nation", "email"];
const MOST_TRANSFERS: usize = 5;

pub(super) fn iud(asked: &Asked) -> Result<&str, ConnectorError> {
    asked.data.position_id.as_deref().filter(|iud| !iud.is_empty()).ok_or_else(|| refused(code::POSITION_ID))
}

/// Known by its notice and not among what its debtor has to pay: it cannot be rewritten whole.
pub(super) fn not_listed() -> ConnectorError {
    refused(code::NOT_REWRITABLE)
}

/// What PU says of a refusal: `PuSilErrorDTO.code`.
pub(super) fn said(answer: &Value) -> String {
    answer.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `GET /organization/{cf}/payment/NOTICE_NUMBER/{nav}`.
pub(super) fn status(asked: &Asked) -> Ask {
    Ask::get(["organization", &asked.creditor, "payment", "NOTICE_NUMBER", &asked.notice])
}

/// `GET /debtor/{cf}/payment/unpaid`. `ente`: its IPA code.
pub(super) fn unpaid(payer: &Payer, ente: Option<&str>) -> Ask {
    let ask = Ask::get(["debtor", &payer.tax_id, "payment", "unpaid"]).query("debtorEntityType", if payer.natural { "F" } else { "G" });
    match ente {
        Some(ente) => ask.query("ipaCode", ente),
        None => ask,
    }
}

/// State, and the payment if there is one.
pub(super) fn held(body: &[u8], asked: &Asked) -> Result<Held, ConnectorError> {
    let answer = rest::object(body)?;
    let state = state(text(&answer, "status").unwrap_or_default())?;
    let is_notice = |id: &str| id.len() == 18 && id.bytes().all(|byte| byte.is_ascii_digit());
    if text(&answer, "paymentId").is_some_and(|id| is_notice(id) && id != asked.notice) {
        return Err(protocol("the answer is about another notice"));
    }
    let payment = match answer.get("receipt").and_then(Value::as_object) {
        Some(receipt) if state == HeldState::Paid => payment(receipt, asked)?,
        _ => None,
    };
    Ok(Held {
        state,
        amount: None,
        fee: None,
        creditor: Some(asked.creditor.clone()),
        notice: Some(asked.notice.clone()),
        position_id: asked.data.position_id.clone(),
        due_date: None,
        payment,
        whole: None,
        unfit: None,
    })
}

fn state(status: &str) -> Result<HeldState, ConnectorError> {
    Ok(match status {
        "UNPAID" => HeldState::Payable,
        // Not yet on pagoPA: a draft, an option whose turn has not come, a change under way.
        "DRAFT" | "UNPAYABLE" | "TO_SYNC" => HeldState::NotActive,
        "PAID" | "REPORTED" => HeldState::Paid,
        "CANCELLED" | "INVALID" => HeldState::Cancelled,
        "EXPIRED" => HeldState::Expired,
        other => return Err(rest::unknown_state(other)),
    })
}

fn payment(receipt: &Object, asked: &Asked) -> Result<Option<PaymentSeen>, ConnectorError> {
    if text(receipt, "noticeNumber").is_some_and(|notice| notice != asked.notice) {
        return Err(protocol("the receipt is of another notice"));
    }
    if text(receipt, "orgFiscalCode").is_some_and(|creditor| creditor != asked.creditor) {
        return Err(protocol("the receipt is of another creditor"));
    }
    let amount = cents(receipt.get("paymentAmountCents")).ok_or_else(|| protocol("a receipt without amount"))?;
    let at = text(receipt, "paymentDateTime").or_else(|| text(receipt, "applicationDate")).and_then(rest::instant);
    Ok(at.map(|paid_at| PaymentSeen { paid_at, amount, receipt: text(receipt, "paymentReceiptId").map(str::to_owned) }))
}

/// The one with our IUD, among what a debtor has to pay.
pub(super) fn of_iud(body: &[u8], asked: &Asked, ente: Option<&str>) -> Result<Option<Object>, ConnectorError> {
    let answer = rest::object(body)?;
    let iud = iud(asked)?;
    let list = answer.get("debtPositions").and_then(Value::as_array).ok_or_else(|| protocol("no debtPositions"))?;
    for entry in list.iter().filter_map(Value::as_object) {
        let Some(position) = entry.get("unpaidDebtPosition").and_then(Value::as_object) else { continue };
        if text(position, "iud") != Some(iud) {
            continue;
        }
        if ente.is_some() && text(entry, "ipaCode").zip(ente).is_some_and(|(told, wanted)| !told.eq_ignore_ascii_case(wanted)) {
            continue;
        }
        // An IUD is unique in an ente only: one without a cent for our creditor is somebody else's.
        if transfers(position)?.iter().any(|transfer| text(transfer, "orgFiscalCode") == Some(&asked.creditor)) {
            return Ok(Some(position.clone()));
        }
        return Err(protocol("the position is of another creditor"));
    }
    Ok(None)
}

pub(super) fn amount(unpaid: &Object) -> Result<Cents, ConnectorError> {
    cents(unpaid.get("totalAmountCents")).ok_or_else(|| protocol("no totalAmountCents"))
}

fn transfers(unpaid: &Object) -> Result<Vec<&Object>, ConnectorError> {
    let list = unpaid.get("transfers").and_then(Value::as_array).ok_or_else(|| protocol("no transfers"))?;
    list.iter().map(|transfer| transfer.as_object().ok_or_else(|| protocol("a transfer of something else"))).collect()
}

/// `PUT /organization/{cf}/debt-position/{iud}`, action M.
pub(super) fn rewritten(unpaid: &Object, asked: &Asked, change: &Change) -> Result<Ask, ConnectorError> {
    let own_cost = unpaid.get("notificationFeeCents").and_then(Value::as_i64).unwrap_or(0);
    if own_cost > 0 && change.cost.get() > 0 {
        return Err(refused(code::COST_TWICE));
    }
    let held = transfers(unpaid)?;
    let names: Vec<String> =
        held.iter().map(|transfer| transfer.get("transferIndex").and_then(Value::as_i64).unwrap_or(0).to_string()).collect();
    let mut parts = Vec::with_capacity(held.len());
    let mut sum = 0i64;
    for (transfer, name) in held.iter().zip(&names) {
        let amount = cents(transfer.get("amountCents")).ok_or_else(|| protocol("a transfer without amount"))?;
        sum += amount.get();
        parts.push(Part { name, amount, own: text(transfer, "orgFiscalCode") == Some(&asked.creditor) });
    }
    if sum != amount(unpaid)?.get() {
        return Err(protocol("the transfers do not add up"));
    }
    let shares = share(&parts, change).ok_or_else(|| refused(code::PARTS))?;
    let mut written: Vec<Object> = held.iter().map(|transfer| pick(transfer, TRANSFER)).collect();
    for (transfer, amount) in written.iter_mut().zip(&shares.amounts) {
        transfer.insert("amountCents".to_owned(), json!(amount.get()));
    }
    written.retain(|transfer| transfer.get("amountCents").and_then(Value::as_i64) != Some(0));
    if let (Some(cost), Some(place)) = (shares.added, change.cost_place.as_deref()) {
        let index: u8 = place.parse().ok().filter(|index| (1..=5).contains(index)).ok_or_else(|| refused(code::PARTS))?;
        let own = |transfer: &&Object| text(transfer, "orgFiscalCode") == Some(&asked.creditor) && text(transfer, "iban").is_some();
        let mut added = written.iter().find(own).cloned().ok_or_else(|| refused(code::PARTS))?;
        if written.len() >= MOST_TRANSFERS {
            return Err(refused(code::PARTS));
        }
        added.insert("transferIndex".to_owned(), json!(index));
        added.insert("amountCents".to_owned(), json!(cost.get()));
        added.insert("remittanceInformation".to_owned(), json!("Spese di notifica"));
        written.push(added);
    }
    let mut installment = installment(unpaid, asked)?;
    installment.insert("amountCents".to_owned(), json!(change.amount.get()));
    installment.insert("transfers".to_owned(), written.into_iter().map(Value::Object).collect());
    if let Some(balance) = text(unpaid, "balance") {
        installment.insert("balance".to_owned(), json!(balanced(balance, amount(unpaid)?, change.amount)?));
    }
    if let Some(day) = change.due_date {
        installment.insert("dueDate".to_owned(), json!(day.to_string()));
    }
    manage(asked, "M", installment)
}

/// The same, action A.
pub(super) fn cancellation(unpaid: &Object, asked: &Asked) -> Result<Ask, ConnectorError> {
    let mut installment = installment(unpaid, asked)?;
    installment.insert("amountCents".to_owned(), json!(amount(unpaid)?.get()));
    manage(asked, "A", installment)
}

fn manage(asked: &Asked, action: &str, installment: Object) -> Result<Ask, ConnectorError> {
    let body = json!({ "installments": [{ "action": action, "installment": installment }] });
    Ok(Ask::with(Method::PUT, ["organization", &asked.creditor, "debt-position", iud(asked)?], Some(body)))
}

/// What an installment has whatever is done with it.
fn installment(unpaid: &Object, asked: &Asked) -> Result<Object, ConnectorError> {
    let debtor = unpaid.get("debtor").and_then(Value::as_object).ok_or_else(|| refused(code::DEBTOR))?;
    let first = || transfers(unpaid).ok()?.into_iter().find_map(|transfer| text(transfer, "remittanceInformation"));
    let why = text(unpaid, "description").or(asked.data.remittance_information.as_deref()).or_else(first);
    let mut out = Map::new();
    out.insert("iud".to_owned(), json!(iud(asked)?));
    out.insert("nav".to_owned(), json!(asked.notice));
    out.insert("debtor".to_owned(), Value::Object(pick(debtor, DEBTOR)));
    out.insert("remittanceInformation".to_owned(), json!(why.ok_or_else(|| refused(code::NOT_REWRITABLE))?));
    Ok(out)
}

/// The bilancio for the new amount: its only `importo` follows; more of them nobody knows how to share.
fn balanced(balance: &str, held: Cents, wanted: Cents) -> Result<String, ConnectorError> {
    if held == wanted {
        return Ok(balance.to_owned());
    }
    let (open, close) = ("<importo>", "</importo>");
    let place = balance.split_once(open).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(close)?;
        (!after.contains(open)).then_some((before, after))
    });
    let (before, after) = place.ok_or_else(|| refused(code::PARTS))?;
    Ok(format!("{before}{open}{}.{:02}{close}{after}", wanted.get() / 100, wanted.get() % 100))
}

/// The answer of a PUT: the installment of our IUD, with our notice and amount.
pub(super) fn written(body: &[u8], asked: &Asked, amount: Option<Cents>) -> Result<(), ConnectorError> {
    let doubt = |what: &str| ConnectorError::Uncertain { what: what.to_owned() };
    let answer = rest::object(body).map_err(|_| doubt("the answer is not readable"))?;
    let iud = iud(asked)?;
    let options = answer.get("paymentOptions").and_then(Value::as_array).into_iter().flatten();
    let mut installments = options.filter_map(|option| option.get("installments")?.as_array()).flatten().filter_map(Value::as_object);
    let ours =
        installments.find(|installment| text(installment, "iud") == Some(iud)).ok_or_else(|| doubt("the answer does not name it"))?;
    if text(ours, "nav").is_some_and(|nav| nav != asked.notice) {
        return Err(protocol("the answer is about another notice"));
    }
    match amount {
        Some(amount) if cents(ours.get("amountCents")) != Some(amount) => Err(doubt("the answer has another amount")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
