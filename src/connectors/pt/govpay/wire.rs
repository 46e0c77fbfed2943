//! What is said to GovPay and read from it (`govpay-api-pendenze-v2.yaml`), purely.
//!
//! A PUT replaces the whole pendenza and must have the voci that are there, by the same ids. GovPay takes one for an annulled
//! pendenza too, and revives it: the state is read first. The same holds when GovPay asks the ente (`govpay-api-ec.yaml`): it replaces
//! what it has by the answer, so a pendenza is kept as it was read, to be given back with another amount.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::connectors::ConnectorError;
use crate::connectors::pt::parts::{Part, share};
use crate::connectors::pt::rest::{self, Ask, code, euro, euro_of, pick, protocol, refused, text};
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, Held, HeldState, PaymentSeen};

type Object = Map<String, Value>;

/// Fields that `NuovaPendenza` takes as `Pendenza` tells them.
const SAME: &[&str] = &[
    "idTipoPendenza",
    "causale",
    "soggettoPagatore",
    "numeroAvviso",
    "tassonomia",
    "tassonomiaAvviso",
    "direzione",
    "divisione",
    "dataValidita",
    "dataScadenza",
    "annoRiferimento",
    "cartellaPagamento",
    "datiAllegati",
    "documento",
    "proprieta",
];
/// The same for a voce.
const SAME_VOCE: &[&str] = &[
    "idVocePendenza",
    "importo",
    "descrizione",
    "datiAllegati",
    "descrizioneCausaleRPT",
    "contabilita",
    "metadata",
    "codEntrata",
    "ibanAccredito",
    "ibanAppoggio",
    "tipoContabilita",
    "codiceContabilita",
    "tipoBollo",
    "hashDocumento",
    "provinciaResidenza",
];

/// `GET /pendenze/byAvviso/{idDominio}/{numeroAvviso}`.
pub(super) fn pendenza(asked: &Asked) -> Ask {
    Ask::get(["pendenze", "byAvviso", &asked.creditor, &asked.notice])
}

/// What GovPay says of a refusal: `FaultBean.codice`.
pub(super) fn said(answer: &Value) -> String {
    answer.get("codice").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The answer of a PUT: about which notice it is.
pub(super) fn written(body: &[u8], asked: &Asked) -> Result<(), ConnectorError> {
    let Ok(answer) = rest::object(body) else {
        return Err(ConnectorError::Uncertain { what: "the answer is not readable".to_owned() });
    };
    let same = text(&answer, "idDominio") == Some(&asked.creditor) && text(&answer, "numeroAvviso") == Some(&asked.notice);
    if same { Ok(()) } else { Err(protocol("the answer is about another notice")) }
}

/// What GovPay holds for the notice.
pub(super) fn held(body: &[u8], asked: &Asked) -> Result<Held, ConnectorError> {
    let pendenza = about(body, asked)?;
    let amount = euro(pendenza.get("importo")).ok_or_else(|| protocol("no importo"))?;
    let state = state(&pendenza)?;
    Ok(Held {
        state,
        amount: Some(amount),
        fee: None,
        creditor: Some(asked.creditor.clone()),
        notice: Some(asked.notice.clone()),
        position_id: text(&pendenza, "idPendenza").map(str::to_owned),
        due_date: text(&pendenza, "dataScadenza").and_then(|day| day.parse().ok()),
        payment: if state == HeldState::Paid { payment(&pendenza, amount) } else { None },
        whole: Some(kept(&pendenza)),
        unfit: None,
    })
}

/// The whole pendenza with another amount: `PUT /pendenze/{idA2A}/{idPendenza}`.
pub(super) fn rewritten(body: &[u8], asked: &Asked, change: &Change) -> Result<Ask, ConnectorError> {
    let pendenza = about(body, asked)?;
    rest::touchable(state(&pendenza)?)?;
    if pendenza.get("allegati").and_then(Value::as_array).is_some_and(|files| !files.is_empty()) {
        // It tells where they are, and wants their bytes.
        return Err(refused(code::NOT_REWRITABLE));
    }
    let mut out = pick(&pendenza, SAME);
    if !out.contains_key("idTipoPendenza") {
        let due_type = asked.data.due_type.as_deref().ok_or_else(|| refused(code::NOT_REWRITABLE))?;
        out.insert("idTipoPendenza".to_owned(), json!(due_type));
    }
    if !(out.contains_key("causale") && out.contains_key("soggettoPagatore")) {
        return Err(refused(code::NOT_REWRITABLE));
    }
    if let Some(unit) = pendenza.get("unitaOperativa").and_then(Value::as_object).and_then(|unit| text(unit, "idUnita")) {
        out.insert("idUnitaOperativa".to_owned(), json!(unit));
    }
    out.insert("idDominio".to_owned(), json!(asked.creditor));
    out.insert("numeroAvviso".to_owned(), json!(asked.notice));
    out.insert("importo".to_owned(), euro_of(change.amount));
    if let Some(day) = change.due_date {
        out.insert("dataScadenza".to_owned(), json!(day.to_string()));
    }
    out.insert("voci".to_owned(), Value::Array(voci(&pendenza, &asked.creditor, change)?));
    let (application, id) = key(&pendenza)?;
    Ok(Ask::with(Method::PUT, ["pendenze", application, id], Some(Value::Object(out))))
}

/// What of a pendenza is kept to be given back.
fn kept(pendenza: &Object) -> String {
    let mut kept = pick(pendenza, SAME);
    kept.extend(pick(pendenza, &["idA2A", "idPendenza", "unitaOperativa", "voci"]));
    Value::Object(kept).to_string()
}

/// The whole of a pendenza for GovPay that asks for it (`NuovaPendenza` of `govpay-api-ec.yaml`, without `dataValidita`): what it held,
/// with the sums of `change`; of one that it did not hold, what the act says. Else the code of why it would not be taken.
pub(super) fn whole(kept: Option<&str>, asked: &Asked, application: Option<&str>, change: &Change) -> Result<Value, &'static str> {
    let held = kept.and_then(|kept| rest::object(kept.as_bytes()).ok());
    let mut out = match &held {
        Some(held) => given_back(held, asked, change)?,
        None => described(asked, application, change)?,
    };
    out.insert("idDominio".to_owned(), json!(asked.creditor));
    out.insert("numeroAvviso".to_owned(), json!(asked.notice));
    out.insert("importo".to_owned(), euro_of(change.amount));
    Ok(Value::Object(out))
}

fn given_back(held: &Object, asked: &Asked, change: &Change) -> Result<Object, &'static str> {
    let mut out = pick(held, SAME);
    // Its own taxonomy of the notice has no place in the answer.
    out.remove("tassonomiaAvviso");
    out.remove("dataValidita");
    out.extend(pick(held, &["idA2A", "idPendenza"]));
    if text(held, "idTipoPendenza").is_none() {
        out.insert("idTipoPendenza".to_owned(), json!(due_type(asked)?));
    }
    if text(held, "causale").is_none() {
        out.insert("causale".to_owned(), json!(remittance(asked)));
    }
    if !out.contains_key("soggettoPagatore") {
        out.insert("soggettoPagatore".to_owned(), payer(asked)?);
    }
    if let Some(unit) = held.get("unitaOperativa").and_then(Value::as_object).and_then(|unit| text(unit, "idUnita")) {
        out.insert("idUnitaOperativa".to_owned(), json!(unit));
    }
    // Where it closes before the last term, the term holds; one that never closes goes on so.
    let closes: Option<jiff::civil::Date> = text(held, "dataScadenza").and_then(|day| day.parse().ok());
    if let Some(day) = change.due_date.filter(|day| closes.is_some_and(|closes| closes < *day)) {
        out.insert("dataScadenza".to_owned(), json!(day.to_string()));
    }
    // No voce can be added: without one of its own the cost goes with the rest, or nobody could pay.
    let names = |place: &String| {
        let voci = held.get("voci").and_then(Value::as_array);
        voci.is_some_and(|voci| voci.iter().any(|voce| voce.get("idVocePendenza").and_then(Value::as_str) == Some(place)))
    };
    let change = Change { cost_place: change.cost_place.clone().filter(names), ..change.clone() };
    let mut voci = voci(held, &asked.creditor, &change).map_err(|error| match error {
        ConnectorError::Protocol { .. } => code::NOT_DESCRIBED,
        _ => code::PARTS,
    })?;
    voci.iter_mut().filter_map(Value::as_object_mut).for_each(taxonomy);
    out.insert("voci".to_owned(), Value::Array(voci));
    Ok(out)
}

/// An account (`Entrata`) is written in two ways: `tipoContabilita` and `codiceContabilita` where gestionali write, one code where GovPay asks.
fn taxonomy(voce: &mut Object) {
    let (kind, code) = (voce.remove("tipoContabilita"), voce.remove("codiceContabilita"));
    let Some(code) = code.as_ref().and_then(Value::as_str) else { return };
    let kind = match kind.as_ref().and_then(Value::as_str) {
        Some("CAPITOLO") => 0,
        Some("SPECIALE") => 1,
        Some("SIOPE") => 2,
        _ => 9,
    };
    voce.insert("codiceTassonomicoPagoPA".to_owned(), json!(format!("{kind}/{code}")));
}

/// A pendenza that GovPay has not: in one voce, for the next answer must have the same ones.
fn described(asked: &Asked, application: Option<&str>, change: &Change) -> Result<Object, &'static str> {
    let kind = due_type(asked)?;
    let mut out = Object::new();
    out.insert("idTipoPendenza".to_owned(), json!(kind));
    out.insert("causale".to_owned(), json!(remittance(asked)));
    out.insert("soggettoPagatore".to_owned(), payer(asked)?);
    let voce = json!({ "idVocePendenza": "1", "importo": euro_of(change.amount), "descrizione": remittance(asked), "codEntrata": kind });
    out.insert("voci".to_owned(), json!([voce]));
    let ids = [("idA2A", application), ("idPendenza", asked.data.position_id.as_deref())];
    for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id.filter(|id| is_id(id))?))) {
        out.insert(name.to_owned(), json!(id));
    }
    Ok(out)
}

/// `[\w\-.]{1,35}`
fn is_id(text: &str) -> bool {
    (1..=35).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn due_type(asked: &Asked) -> Result<&str, &'static str> {
    asked.data.due_type.as_deref().filter(|kind| is_id(kind)).ok_or(code::NOT_DESCRIBED)
}

fn payer(asked: &Asked) -> Result<Value, &'static str> {
    let payer = asked.payers.first().filter(|payer| (1..=35).contains(&payer.tax_id.len())).ok_or(code::NOT_DESCRIBED)?;
    let kind = if payer.natural { "F" } else { "G" };
    Ok(json!({ "tipo": kind, "identificativo": payer.tax_id, "anagrafica": payer.denomination.chars().take(70).collect::<String>() }))
}

fn remittance(asked: &Asked) -> String {
    let given = asked.data.remittance_information.as_deref().filter(|text| !text.trim().is_empty());
    given.map_or_else(|| format!("Avviso {}", asked.notice), |text| text.chars().take(140).collect())
}

/// `PATCH /pendenze/{idA2A}/{idPendenza}`: the state becomes `ANNULLATA`; none when it is.
pub(super) fn cancellation(body: &[u8], asked: &Asked) -> Result<Option<Ask>, ConnectorError> {
    let pendenza = about(body, asked)?;
    let state = state(&pendenza)?;
    if state == HeldState::Cancelled {
        return Ok(None);
    }
    rest::touchable(state)?;
    let (application, id) = key(&pendenza)?;
    let operations = json!([{ "op": "REPLACE", "path": "/stato", "value": "ANNULLATA" }]);
    let mut ask = Ask::with(Method::PATCH, ["pendenze", application, id], None);
    ask.body = Some(("application/json-patch+json", operations));
    Ok(Some(ask))
}

/// The pendenza, if it is of the notice and the creditor that were asked.
fn about(body: &[u8], asked: &Asked) -> Result<Object, ConnectorError> {
    let pendenza = rest::object(body)?;
    if text(&pendenza, "numeroAvviso") != Some(&asked.notice) {
        return Err(protocol("the answer is about another notice"));
    }
    let domain = pendenza.get("dominio").and_then(Value::as_object).and_then(|domain| text(domain, "idDominio"));
    if domain != Some(&asked.creditor) {
        return Err(protocol("the answer is about another creditor"));
    }
    Ok(pendenza)
}

fn key(pendenza: &Object) -> Result<(&str, &str), ConnectorError> {
    text(pendenza, "idA2A").zip(text(pendenza, "idPendenza")).ok_or_else(|| protocol("no idA2A, idPendenza"))
}

fn state(pendenza: &Object) -> Result<HeldState, ConnectorError> {
    Ok(match text(pendenza, "stato").unwrap_or_default() {
        "NON_ESEGUITA" => HeldState::Payable,
        "ESEGUITA" | "INCASSATA" => HeldState::Paid,
        // Part of it, or something that a person of the ente must look at: it stays as it is.
        "ESEGUITA_PARZIALE" | "ANOMALA" => HeldState::BeingPaid,
        "ANNULLATA" => HeldState::Cancelled,
        "SCADUTA" => HeldState::Expired,
        other => return Err(rest::unknown_state(other)),
    })
}

/// The payment: its receipt where the last request has one (RT 6.2 or `paSendRT`), else the day that GovPay tells. It is named as
/// `PUT /ricevute` names it (`receiptId`, or `ccp`), never by the IUV, which is the same for every payment of a notice.
fn payment(pendenza: &Object, amount: Cents) -> Option<PaymentSeen> {
    let requests = pendenza.get("rpp").and_then(Value::as_array);
    let receipt = requests.and_then(|requests| requests.iter().rev().find_map(|request| request.get("rt").filter(|rt| rt.is_object())));
    let told = |pointers: &[&str]| pointers.iter().find_map(|pointer| receipt?.pointer(pointer)).filter(|value| !value.is_null());
    let as_text = |value: &Value| value.as_str().map(str::to_owned);
    let at: Option<Timestamp> =
        told(&["/receipt/paymentDateTime", "/dataOraMessaggioRicevuta"]).and_then(Value::as_str).and_then(rest::instant);
    let day = || text(pendenza, "dataPagamento")?.parse::<jiff::civil::Date>().ok()?.to_zoned(rest::rome()).ok();
    let paid = told(&["/receipt/paymentAmount", "/datiPagamento/importoTotalePagato"]).and_then(|paid| match paid {
        Value::String(text) => Cents::parse_point(text).ok(),
        number => euro(Some(number)),
    });
    Some(PaymentSeen {
        paid_at: at.or_else(|| day().map(|zoned| zoned.timestamp()))?,
        amount: paid.unwrap_or(amount),
        receipt: [
            "/receipt/receiptId",
            "/datiPagamento/CodiceContestoPagamento",
            "/datiPagamento/codiceContestoPagamento",
            "/datiPagamento/datiSingoloPagamento/0/identificativoUnivocoRiscossione",
        ]
        .iter()
        .find_map(|pointer| told(&[pointer]).and_then(as_text).filter(|name| !matches!(name.as_str(), "" | "n/a"))),
    })
}

/// The voci of the new amount: the same, by the same ids.
fn voci(pendenza: &Object, creditor: &str, change: &Change) -> Result<Vec<Value>, ConnectorError> {
    let list = pendenza.get("voci").and_then(Value::as_array).ok_or_else(|| protocol("no voci"))?;
    let held: Vec<&Object> = list.iter().filter_map(Value::as_object).collect();
    let mut parts = Vec::with_capacity(held.len());
    for voce in &held {
        let name = text(voce, "idVocePendenza").ok_or_else(|| protocol("a voce without id"))?;
        let amount = euro(voce.get("importo")).ok_or_else(|| protocol("a voce without importo"))?;
        parts.push(Part { name, amount, own: domain(voce).is_none_or(|domain| domain == creditor) });
    }
    let shares = share(&parts, change).filter(|shares| shares.added.is_none()).ok_or_else(|| refused(code::PARTS))?;
    held.iter()
        .zip(&shares.amounts)
        .map(|(voce, amount)| {
            let mut out = pick(voce, SAME_VOCE);
            if let Some(domain) = domain(voce) {
                out.insert("idDominio".to_owned(), json!(domain));
            }
            if euro(voce.get("importo")) != Some(*amount) {
                out.insert("importo".to_owned(), euro_of(*amount));
                let quote = out.get_mut("contabilita").and_then(|books| books.get_mut("quote")).and_then(Value::as_array_mut);
                match quote.map(Vec::as_mut_slice) {
                    None | Some([]) => {}
                    Some([Value::Object(only)]) => {
                        only.insert("importo".to_owned(), euro_of(*amount));
                    }
                    // Nobody knows how to share it among chapters.
                    Some(_) => return Err(refused(code::PARTS)),
                }
            }
            Ok(Value::Object(out))
        })
        .collect()
}

fn domain(voce: &Object) -> Option<&str> {
    voce.get("dominio").and_then(Value::as_object).and_then(|domain| text(domain, "idDominio"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
