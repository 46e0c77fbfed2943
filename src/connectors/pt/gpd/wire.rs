//! What is said to GPD and read from it (`gpd_v3.json`, `gpd.json`), purely.
//!
//! GPD shows `amount` and the first transfer of the creditor with `notificationFee` in them, and adds it again to what a PUT
//! carries: it is taken out before anything is read or written. A PUT without `toPublish=true` makes a published position a
//! draft. v1 does not tell the debtor nor `switchToExpired`: the debtor is the act's.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::connectors::ConnectorError;
use crate::connectors::pt::parts::{Part, share};
use crate::connectors::pt::rest::{self, Ask, cents, code, pick, protocol, refused, text};
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Change, Held, HeldState, PaymentSeen};

/// Edition of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    V1,
    V3,
}

impl Edition {
    pub(super) fn word(self) -> &'static str {
        match self {
            Edition::V1 => "v1",
            Edition::V3 => "v3",
        }
    }
}

type Object = Map<String, Value>;

const TRANSFER: &[&str] = &[
    "idTransfer",
    "amount",
    "organizationFiscalCode",
    "remittanceInformation",
    "category",
    "iban",
    "postalIban",
    "stamp",
    "companyName",
    "transferMetadata",
];
const DEBTOR: &[&str] = &[
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
/// Written by GPD itself at payment: it refuses it from others.
const RESERVED_METADATA: &str = "NOTIFICATION_FEE";
/// Transfers that one notice may have.
const MOST_TRANSFERS: usize = 5;

fn iupd(asked: &Asked) -> Result<&str, ConnectorError> {
    asked.data.position_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| refused(code::POSITION_ID))
}

/// `GET /organizations/{cf}/debtpositions/{iupd}`.
pub(super) fn position(asked: &Asked) -> Result<Ask, ConnectorError> {
    Ok(Ask::get(["organizations", &asked.creditor, "debtpositions", iupd(asked)?]))
}

/// What GPD says of a refusal: `ProblemJson.title`.
pub(super) fn said(answer: &Value) -> String {
    answer.get("title").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The answer of a write, whose position must be the one written.
pub(super) fn written(body: &[u8], asked: &Asked) -> Result<(), ConnectorError> {
    let about = rest::object(body).ok();
    let same = about.as_ref().and_then(|answer| text(answer, "iupd")) == Some(iupd(asked)?);
    if same { Ok(()) } else { Err(ConnectorError::Uncertain { what: "the answer does not name the position".to_owned() }) }
}

/// What GPD holds for the notice.
pub(super) fn held(edition: Edition, body: &[u8], asked: &Asked) -> Result<Held, ConnectorError> {
    let position = rest::object(body)?;
    let unit = about(edition, &position, asked)?;
    let (whole, fee) = amounts(unit)?;
    let state = state(edition, &position, unit)?;
    let payment = (state == HeldState::Paid)
        .then(|| {
            let paid_at = text(unit, "paymentDate").or_else(|| text(&position, "paymentDate")).and_then(rest::instant)?;
            Some(PaymentSeen { paid_at, amount: whole, receipt: text(unit, "idReceipt").map(str::to_owned) })
        })
        .flatten();
    Ok(Held {
        state,
        amount: Some(Cents(whole.get() - fee.get())),
        fee: Some(fee),
        creditor: Some(asked.creditor.clone()),
        notice: Some(asked.notice.clone()),
        position_id: text(&position, "iupd").map(str::to_owned),
        due_date: text(unit, "dueDate").and_then(rest::day),
        payment,
        whole: None,
        unfit: None,
    })
}

/// The whole position with another amount: `PUT`.
pub(super) fn rewritten(edition: Edition, body: &[u8], asked: &Asked, change: &Change) -> Result<Ask, ConnectorError> {
    let position = rest::object(body)?;
    let unit = about(edition, &position, asked)?;
    rest::touchable(state(edition, &position, unit)?)?;
    let mut options = Vec::new();
    for option in list(&position, "paymentOption")? {
        options.push(Value::Object(match edition {
            Edition::V1 => one(edition, option, unit, asked, change)?,
            Edition::V3 => {
                let mut out = pick(option, &["validityDate", "retentionDate", "switchToExpired"]);
                out.entry("switchToExpired").or_insert(json!(false));
                let debtor = option.get("debtor").and_then(Value::as_object).ok_or_else(|| protocol("no debtor"))?;
                out.insert("debtor".to_owned(), Value::Object(pick(debtor, DEBTOR)));
                let mut installments = Vec::new();
                for held in list(option, "installments")? {
                    let new = one(edition, held, unit, asked, change)?;
                    keep_after(&mut out, &new);
                    installments.push(Value::Object(new));
                }
                out.insert("installments".to_owned(), Value::Array(installments));
                out
            }
        }));
    }
    let mut out = pick(&position, &["iupd", "companyName", "officeName", "payStandIn"]);
    if !out.contains_key("companyName") {
        return Err(protocol("no companyName"));
    }
    if edition == Edition::V1 {
        debtor_of_act(&position, asked, &mut out)?;
    }
    out.insert("paymentOption".to_owned(), Value::Array(options));
    let ask = Ask::with(Method::PUT, ["organizations", &asked.creditor, "debtpositions", iupd(asked)?], Some(Value::Object(out)));
    let draft = text(&position, "status") == Some("DRAFT");
    Ok(if draft { ask } else { ask.query("toPublish", "true") })
}

/// The call that makes the position no longer payable; none when it is already so. It has no other notice.
pub(super) fn cancellation(edition: Edition, body: &[u8], asked: &Asked) -> Result<Option<Ask>, ConnectorError> {
    let position = rest::object(body)?;
    let unit = about(edition, &position, asked)?;
    let state = state(edition, &position, unit)?;
    if state == HeldState::Cancelled {
        return Ok(None);
    }
    rest::touchable(state)?;
    if units(edition, &position)?.len() > 1 {
        return Err(refused(code::OTHER_NOTICES));
    }
    let (creditor, iupd) = (asked.creditor.as_str(), iupd(asked)?);
    Ok(Some(match (edition, text(&position, "status")) {
        // A draft and what is past its day cannot be invalidated, only deleted.
        (Edition::V1, Some("PUBLISHED" | "VALID")) => {
            Ask::with(Method::POST, ["organizations", creditor, "debtpositions", iupd, "invalidate"], None)
        }
        _ => Ask::with(Method::DELETE, ["organizations", creditor, "debtpositions", iupd], None),
    }))
}

// ------------------------------------------------------------------------------------------------------------------- reading

fn list<'a>(object: &'a Object, name: &str) -> Result<Vec<&'a Object>, ConnectorError> {
    let values = object.get(name).and_then(Value::as_array).ok_or_else(|| protocol("a list is missing"))?;
    values.iter().map(|value| value.as_object().ok_or_else(|| protocol("a list of something else"))).collect()
}

/// What can be paid by itself: an installment, or an option of v1.
fn units(edition: Edition, position: &Object) -> Result<Vec<&Object>, ConnectorError> {
    let options = list(position, "paymentOption")?;
    match edition {
        Edition::V1 => Ok(options),
        Edition::V3 => Ok(options.into_iter().map(|option| list(option, "installments")).collect::<Result<Vec<_>, _>>()?.concat()),
    }
}

/// The unit of the notice, if the answer is about it and its creditor.
fn about<'a>(edition: Edition, position: &'a Object, asked: &Asked) -> Result<&'a Object, ConnectorError> {
    let other = |object: &Object| text(object, "organizationFiscalCode").is_some_and(|creditor| creditor != asked.creditor);
    if text(position, "iupd") != Some(iupd(asked)?) {
        return Err(protocol("the answer is about another position"));
    }
    if other(position) {
        return Err(protocol("the answer is about another creditor"));
    }
    let mut found = units(edition, position)?.into_iter().filter(|unit| is_of(unit, &asked.notice));
    match (found.next(), found.next()) {
        (Some(unit), None) if other(unit) => Err(protocol("the answer is about another creditor")),
        (Some(unit), None) => Ok(unit),
        (None, _) => Err(rest::other_notice()),
        _ => Err(protocol("the position has this notice twice")),
    }
}

fn is_of(unit: &Object, notice: &str) -> bool {
    match text(unit, "nav") {
        Some(nav) => nav == notice,
        None => text(unit, "iuv").is_some_and(|iuv| notice_code::iuv(notice) == Some(iuv)),
    }
}

fn status(unit: &Object) -> Option<&str> {
    text(unit, "status")
}

/// Amount with the cost in it, and the cost.
fn amounts(unit: &Object) -> Result<(Cents, Cents), ConnectorError> {
    let whole = cents(unit.get("amount")).ok_or_else(|| protocol("no amount"))?;
    let fee = match unit.get("notificationFee") {
        None | Some(Value::Null) => Cents(0),
        told => cents(told).ok_or_else(|| protocol("notificationFee is no amount"))?,
    };
    if whole.get() > fee.get() { Ok((whole, fee)) } else { Err(protocol("the amount is not more than its cost")) }
}

fn state(edition: Edition, position: &Object, unit: &Object) -> Result<HeldState, ConnectorError> {
    let (of_position, of_unit) = (text(position, "status").unwrap_or_default(), status(unit).unwrap_or_default());
    match edition {
        Edition::V3 => state_v3(of_position, of_unit),
        Edition::V1 => state_v1(of_position, of_unit),
    }
}

fn state_v3(position: &str, unit: &str) -> Result<HeldState, ConnectorError> {
    if !matches!(position, "DRAFT" | "PUBLISHED" | "VALID" | "UNPAYABLE" | "PARTIALLY_PAID" | "PAID") {
        return Err(rest::unknown_state(position));
    }
    Ok(match (unit, position) {
        ("PAID" | "PARTIALLY_REPORTED" | "REPORTED", _) => HeldState::Paid,
        // By another of its notices.
        ("UNPAID" | "UNPAYABLE" | "EXPIRED", "PAID") => HeldState::PaidElsewhere,
        ("EXPIRED", _) => HeldState::Expired,
        ("UNPAYABLE", _) | ("UNPAID", "UNPAYABLE") => HeldState::Cancelled,
        ("UNPAID", "DRAFT" | "PUBLISHED") => HeldState::NotActive,
        ("UNPAID", _) => HeldState::Payable,
        (other, _) => return Err(rest::unknown_state(other)),
    })
}

fn state_v1(position: &str, unit: &str) -> Result<HeldState, ConnectorError> {
    match unit {
        "PO_PAID" | "PO_PARTIALLY_REPORTED" | "PO_REPORTED" => return Ok(HeldState::Paid),
        "PO_UNPAID" => {}
        other => return Err(rest::unknown_state(other)),
    }
    Ok(match position {
        // By another of its notices.
        "PAID" | "REPORTED" => HeldState::PaidElsewhere,
        "INVALID" => HeldState::Cancelled,
        "EXPIRED" => HeldState::Expired,
        "DRAFT" | "PUBLISHED" => HeldState::NotActive,
        "VALID" | "PARTIALLY_PAID" => HeldState::Payable,
        other => return Err(rest::unknown_state(other)),
    })
}

// ------------------------------------------------------------------------------------------------------------------- writing

/// One unit as it is written back: the one of the change with its new amount, the others as they are, all without cost of SEND.
fn one(edition: Edition, held: &Object, changed: &Object, asked: &Asked, change: &Change) -> Result<Object, ConnectorError> {
    let names: &[&str] = match edition {
        Edition::V1 => &["nav", "iuv", "description", "isPartialPayment", "dueDate", "retentionDate"],
        Edition::V3 => &["nav", "iuv", "description", "dueDate"],
    };
    let mut out = pick(held, names);
    let metadata = match edition {
        Edition::V1 => "paymentOptionMetadata",
        Edition::V3 => "installmentMetadata",
    };
    if let Some(kept) = metadata_of(held, metadata) {
        out.insert(metadata.to_owned(), kept);
    }
    let (whole, fee) = amounts(held)?;
    let mut net = Cents(whole.get() - fee.get());
    let mut transfers = without_fee(held, &asked.creditor, whole, fee)?;
    if std::ptr::eq(held, changed) {
        if fee.get() > 0 && change.cost.get() > 0 {
            return Err(refused(code::COST_TWICE));
        }
        transfers = shared(transfers, &asked.creditor, change)?;
        net = change.amount;
        if let Some(day) = change.due_date
            && text(held, "dueDate").and_then(rest::day) != Some(day)
        {
            let due = rest::end_of(day).ok_or_else(|| refused(code::AMOUNT))?;
            out.insert("dueDate".to_owned(), json!(due.to_string()));
            let written = out.clone();
            keep_after(&mut out, &written);
        }
    }
    out.insert("amount".to_owned(), json!(net.get()));
    out.insert("transfer".to_owned(), transfers.into_iter().map(Value::Object).collect());
    Ok(out)
}

/// The last day of retention is never before the due date of one of its installments.
fn keep_after(option: &mut Object, installment: &Object) {
    let instant = |object: &Object, name: &str| text(object, name).and_then(rest::instant);
    if let (Some(kept), Some(due)) = (instant(option, "retentionDate"), instant(installment, "dueDate"))
        && kept < due
    {
        option.insert("retentionDate".to_owned(), json!(due.to_string()));
    }
}

fn metadata_of(held: &Object, name: &str) -> Option<Value> {
    let entries = held.get(name)?.as_array()?;
    let ours = entries.iter().filter_map(Value::as_object).filter(|entry| text(entry, "key").is_some_and(|key| key != RESERVED_METADATA));
    let kept: Vec<Value> = ours.map(|entry| Value::Object(pick(entry, &["key", "value"]))).collect();
    (!kept.is_empty()).then_some(Value::Array(kept))
}

/// The transfers, with the cost of SEND taken out of the one where GPD put it.
fn without_fee(held: &Object, creditor: &str, whole: Cents, fee: Cents) -> Result<Vec<Object>, ConnectorError> {
    let mut transfers: Vec<Object> = list(held, "transfer")?.into_iter().map(|transfer| pick(transfer, TRANSFER)).collect();
    transfers.sort_by(|a, b| text(a, "idTransfer").cmp(&text(b, "idTransfer")));
    let mut sum = 0i64;
    for transfer in &transfers {
        sum += cents(transfer.get("amount")).ok_or_else(|| protocol("a transfer without amount"))?.get();
    }
    let net = whole.get() - fee.get();
    if sum == whole.get() && fee.get() > 0 {
        let first =
            transfers.iter_mut().find(|transfer| is_own(transfer, creditor)).ok_or_else(|| protocol("no transfer of the creditor"))?;
        let left = cents(first.get("amount")).map_or(0, Cents::get) - fee.get();
        if left <= 0 {
            return Err(protocol("the cost is more than the transfer that has it"));
        }
        first.insert("amount".to_owned(), json!(left));
    } else if sum != net {
        return Err(protocol("the transfers do not add up"));
    }
    Ok(transfers)
}

fn is_own(transfer: &Object, creditor: &str) -> bool {
    text(transfer, "organizationFiscalCode").is_none_or(|other| other == creditor)
}

/// The transfers of the new amount.
fn shared(mut transfers: Vec<Object>, creditor: &str, change: &Change) -> Result<Vec<Object>, ConnectorError> {
    let parts: Vec<Part<'_>> = transfers
        .iter()
        .map(|transfer| Part {
            name: text(transfer, "idTransfer").unwrap_or_default(),
            amount: cents(transfer.get("amount")).unwrap_or_default(),
            own: is_own(transfer, creditor),
        })
        .collect();
    let shares = share(&parts, change).ok_or_else(|| refused(code::PARTS))?;
    for (transfer, amount) in transfers.iter_mut().zip(&shares.amounts) {
        transfer.insert("amount".to_owned(), json!(amount.get()));
    }
    // GPD takes no transfer of zero.
    transfers.retain(|transfer| transfer.get("amount").and_then(Value::as_i64) != Some(0));
    if let (Some(cost), Some(place)) = (shares.added, change.cost_place.as_deref()) {
        if !matches!(place, "1" | "2" | "3" | "4" | "5") || transfers.len() >= MOST_TRANSFERS {
            return Err(refused(code::PARTS));
        }
        let like = transfers.iter().find(|transfer| is_own(transfer, creditor) && text(transfer, "iban").is_some());
        let mut added = like.cloned().ok_or_else(|| refused(code::PARTS))?;
        added.insert("idTransfer".to_owned(), json!(place));
        added.insert("amount".to_owned(), json!(cost.get()));
        added.insert("remittanceInformation".to_owned(), json!("Spese di notifica"));
        added.remove("transferMetadata");
        transfers.push(added);
    }
    Ok(transfers)
}

/// v1 wants the debtor and does not tell it.
fn debtor_of_act(position: &Object, asked: &Asked, out: &mut Object) -> Result<(), ConnectorError> {
    let payer = asked.payers.first().filter(|payer| !payer.tax_id.is_empty() && !payer.denomination.is_empty());
    let payer = payer.ok_or_else(|| refused(code::DEBTOR))?;
    let kind = if payer.natural { "F" } else { "G" };
    if text(position, "type").is_some_and(|told| told != kind) {
        return Err(refused(code::DEBTOR));
    }
    out.insert("type".to_owned(), json!(kind));
    out.insert("fiscalCode".to_owned(), json!(payer.tax_id));
    out.insert("fullName".to_owned(), json!(payer.denomination));
    out.extend(pick(position, &["validityDate"]));
    out.insert("switchToExpired".to_owned(), position.get("switchToExpired").and_then(Value::as_bool).unwrap_or(false).into());
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
