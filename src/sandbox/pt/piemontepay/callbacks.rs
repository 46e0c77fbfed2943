//! What PiemontePAY calls at the ente (`EPaywso2EntiService.wsdl`), and the payments that make it do so.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{COMMON, Key, Outward, PiemontePay, Told, iuv, lock};
use crate::clock::new_uuid;
use crate::domain::calendar::in_rome;
use crate::sandbox::pt::debts::{Debt, DebtChange, DebtState};
use crate::sandbox::pt::xml::{self, escape, euro, leaf};

const TYPES: &str = "http://www.csi.it/epay/epaywso/epaywso2enti/types";
const ACTION: &str = "http://www.csi.it/epay/epaywso/service/";
/// For the price, and for each callback.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts at a callback that is not answered by 000.
const ATTEMPTS: u32 = 5;

/// Simulators call this machine only: no certificates are read.
fn client() -> Option<Client> {
    Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build().ok()
}

/// Calls the ente until it answers 000, a few times.
async fn call(ppay: &PiemontePay, operation: &'static str, inside: String) {
    let outward = lock(&ppay.outward).clone();
    let (Some(client), false) = (client(), outward.callback_url.is_empty()) else { return };
    let payload = format!("<e:{operation}Request xmlns:e=\"{TYPES}\" xmlns:c=\"{COMMON}\">{inside}</e:{operation}Request>");
    let body = xml::wrap(&payload);
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(200 << attempt.min(4))).await;
        }
        let answer = once(&client, &outward, operation, &body).await;
        let done = answer.as_deref() == Some("000");
        lock(&ppay.told).push(Told { operation, answer });
        if done {
            return;
        }
    }
}

async fn once(client: &Client, outward: &Outward, operation: &str, body: &str) -> Option<String> {
    let request = client
        .post(&outward.callback_url)
        .basic_auth(&outward.username, Some(&outward.password))
        .header("content-type", "text/xml; charset=utf-8")
        .header("soapaction", format!("\"{ACTION}{operation}\""))
        .body(body.to_owned());
    let answer = request.send().await.ok().filter(|answer| answer.status().is_success())?;
    let (payload, _) = xml::envelope(&answer.bytes().await.ok()?)?;
    payload.at(&["Result", "Codice"]).map(str::to_owned)
}

fn header(message: &str, creditor: &str, service: &str, more: &[(&str, String)]) -> String {
    let mut out = String::new();
    leaf(&mut out, "e:IdMessaggio", message);
    leaf(&mut out, "e:CFEnteCreditore", creditor);
    leaf(&mut out, "e:CodiceVersamento", service);
    for (name, text) in more {
        leaf(&mut out, name, text);
    }
    out
}

fn message() -> String {
    format!("PP{}", new_uuid().simple())
}

/// The payment type of a debt.
fn service(debt: &Debt) -> String {
    if debt.due_type.is_empty() { "0001".to_owned() } else { debt.due_type.chars().take(4).collect() }
}

/// `EsitoAggiornaPosizioniDebitorie`: (IdPosizioneDebitoria, code, debt) of each.
pub(super) async fn outcome(ppay: &PiemontePay, message: &str, creditor: &str, service: &str, done: &[(String, String, Option<Key>)]) {
    let good = done.iter().filter(|(_, code, _)| *code == "000").count();
    let all = match good {
        0 => "051",
        good if good == done.len() => "000",
        _ => "050",
    };
    let mut inside = format!(
        "<c:Result><c:Codice>{all}</c:Codice></c:Result><e:TestataEsito>{}</e:TestataEsito>",
        header(message, creditor, service, &[])
    );
    inside.push_str("<e:EsitoAggiornamento><c:ElencoPosizioniDebitorieAggiornate>");
    for (position, code, key) in done {
        inside.push_str("<c:PosizioneDebitoriaAggiornata>");
        leaf(&mut inside, "c:IdPosizioneDebitoria", position);
        if let Some((_, notice)) = key {
            leaf(&mut inside, "c:IUV", crate::domain::notice_code::iuv(notice).unwrap_or_default());
            leaf(&mut inside, "c:CodiceAvviso", notice);
        }
        leaf(&mut inside, "c:CodiceEsito", code);
        inside.push_str("</c:PosizioneDebitoriaAggiornata>");
    }
    inside.push_str("</c:ElencoPosizioniDebitorieAggiornate></e:EsitoAggiornamento>");
    call(ppay, "EsitoAggiornaPosizioniDebitorie", inside).await;
}

#[derive(Deserialize)]
pub(super) struct About {
    creditor: String,
    notice: String,
}

/// `POST _pay {creditor, notice}`: the cost is asked if the debt wants it so, then it is paid and told. 409: refused, with its `code`.
pub(super) async fn pay(State(ppay): State<Arc<PiemontePay>>, Json(about): Json<About>) -> (StatusCode, Json<Value>) {
    let refuse = |code: &str| (StatusCode::CONFLICT, Json(json!({ "outcome": "KO", "code": code })));
    let key = (about.creditor, about.notice);
    let Some(debt) = ppay.shared.debts.get(&key.0, &key.1) else { return refuse("176") };
    match debt.state {
        DebtState::Unpaid => {}
        DebtState::BeingPaid => return refuse("177"),
        DebtState::Paid => return refuse("178"),
        DebtState::Cancelled => return refuse("179"),
        DebtState::Expired => return refuse("187"),
        DebtState::Draft => return refuse("188"),
    }
    let outward = lock(&ppay.outward).clone();
    let asks = debt.more.get("requiresCostUpdate").and_then(Value::as_bool).unwrap_or(false) && !outward.cost_url.is_empty();
    let amount = if asks {
        match cost(&outward, &debt).await {
            Some(amount) => Some(amount),
            None => return refuse("PAA_ATTIVA_RPT_IMPORTO_NON_VALIDO"),
        }
    } else {
        None
    };
    let now = ppay.shared.clock.now().as_millisecond();
    let paid = {
        let mut debts = ppay.shared.debts.lock();
        let Some(debt) = debts.get_mut(&key).filter(|debt| debt.state == DebtState::Unpaid) else { return refuse("177") };
        if let Some(amount) = amount.filter(|amount| *amount != debt.amount) {
            debt.amount = amount;
            debt.changes.push(DebtChange { at: now, amount, fee: debt.fee });
        }
        debt.state = DebtState::Paid;
        debt.paid_amount = Some(debt.amount);
        debt.paid_at = Some(now);
        debt.clone()
    };
    tell_payment(&ppay, &paid).await;
    (StatusCode::OK, Json(json!({ "outcome": "OK", "amount": paid.amount })))
}

/// `GET` of the cost; `None`: a code, or no answer that can be used.
async fn cost(outward: &Outward, debt: &Debt) -> Option<i64> {
    let url = outward.cost_url.replace("{organization}", &debt.creditor).replace("{iuv}", iuv(debt));
    let answer = client()?.get(url).basic_auth(&outward.username, Some(&outward.password)).send().await.ok()?;
    let said: Value = answer.json().await.ok()?;
    if said.get("code").and_then(Value::as_str).is_some_and(|code| !code.is_empty()) {
        return None;
    }
    let euro = said.get("importoTotale").filter(|total| !total.is_null()).or_else(|| said.get("importo"))?.as_f64()?;
    Some((euro * 100.0).round() as i64).filter(|cents| *cents > 0)
}

/// `POST _tell {creditor, notice}`: a payment is told (again).
pub(super) async fn tell(State(ppay): State<Arc<PiemontePay>>, Json(about): Json<About>) -> StatusCode {
    match ppay.shared.debts.get(&about.creditor, &about.notice) {
        Some(debt) if debt.state == DebtState::Paid => {
            tell_payment(&ppay, &debt).await;
            StatusCode::NO_CONTENT
        }
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::NOT_FOUND,
    }
}

/// `TrasmettiNotifichePagamento`, then `TrasmettiRT`.
async fn tell_payment(ppay: &PiemontePay, debt: &Debt) {
    let at = in_rome(Timestamp::from_millisecond(debt.paid_at.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH));
    let (day, instant) = (at.date().to_string(), at.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    let amount = euro(debt.paid_amount.unwrap_or(debt.amount));
    let service = service(debt);
    let counts =
        [("e:PagamentiSpontanei", "false".to_owned()), ("e:NumeroPagamenti", "1".to_owned()), ("e:ImportoTotalePagamenti", amount.clone())];
    let mut inside = format!("<e:Testata>{}</e:Testata>", header(&message(), &debt.creditor, &service, &counts));
    inside.push_str("<e:CorpoNotifichePagamento><e:ElencoNotifichePagamento><e:NotificaPagamento>");
    leaf(&mut inside, "e:IdPosizioneDebitoria", &debt.position_id);
    leaf(&mut inside, "e:IUV", iuv(debt));
    leaf(&mut inside, "e:ImportoPagato", &amount);
    leaf(&mut inside, "e:DataEsitoPagamento", &day);
    inside.push_str(&subject(debt));
    inside.push_str("<e:DatiTransazionePSP>");
    leaf(&mut inside, "e:IdPSP", "PROVITM1");
    leaf(&mut inside, "e:DataOraAvvioTransazione", &instant);
    leaf(&mut inside, "e:IUR", &format!("IUR{}", iuv(debt)));
    inside.push_str("</e:DatiTransazionePSP>");
    leaf(&mut inside, "e:CodiceAvviso", &debt.notice);
    inside.push_str("</e:NotificaPagamento></e:ElencoNotifichePagamento></e:CorpoNotifichePagamento>");
    call(ppay, "TrasmettiNotifichePagamento", inside).await;

    let count = [("e:NumeroRT", "1".to_owned())];
    let mut inside = format!("<e:Testata>{}</e:Testata>", header(&message(), &debt.creditor, &service, &count));
    let receipt = format!(
        "<receipt><receiptId>IUR{iuv}</receiptId><noticeNumber>{notice}</noticeNumber><fiscalCode>{creditor}</fiscalCode>\
         <outcome>OK</outcome><creditorReferenceId>{iuv}</creditorReferenceId><paymentAmount>{amount}</paymentAmount></receipt>",
        iuv = iuv(debt),
        notice = debt.notice,
        creditor = debt.creditor
    );
    let _ = write!(
        inside,
        "<e:CorpoRT><e:ElencoRT><e:RT><e:Id>{}</e:Id><e:XML>{}</e:XML></e:RT></e:ElencoRT></e:CorpoRT>",
        iuv(debt),
        STANDARD.encode(receipt)
    );
    call(ppay, "TrasmettiRT", inside).await;
}

fn subject(debt: &Debt) -> String {
    let name: String = if debt.payer_name.is_empty() { "ANONIMO".to_owned() } else { debt.payer_name.chars().take(70).collect() };
    let tax_id = if debt.payer_tax_id.is_empty() { "ANONIMO" } else { &debt.payer_tax_id };
    let mut out = String::from("<e:SoggettoDebitore>");
    match (debt.payer_tax_id.len() == 11, name.split_once(' ')) {
        (true, _) => {
            let _ = write!(out, "<c:PersonaGiuridica><c:RagioneSociale>{}</c:RagioneSociale></c:PersonaGiuridica>", escape(&name));
        }
        (false, split) => {
            let (first, last) = split.unwrap_or((&name, &name));
            let _ =
                write!(out, "<c:PersonaFisica><c:Cognome>{}</c:Cognome><c:Nome>{}</c:Nome></c:PersonaFisica>", escape(last), escape(first));
        }
    }
    leaf(&mut out, "c:IdentificativoUnivocoFiscale", tax_id);
    out.push_str("</e:SoggettoDebitore>");
    out
}

/// `POST _expire {creditor, notice}`: the position expires, and the ente is told by `TrasmettiAvvisiScaduti`.
pub(super) async fn expire(State(ppay): State<Arc<PiemontePay>>, Json(about): Json<About>) -> StatusCode {
    let debt = {
        let mut debts = ppay.shared.debts.lock();
        let Some(debt) = debts.get_mut(&(about.creditor, about.notice)) else { return StatusCode::NOT_FOUND };
        if debt.state != DebtState::Unpaid {
            return StatusCode::CONFLICT;
        }
        debt.state = DebtState::Expired;
        debt.clone()
    };
    let counts = [("e:NumeroAvvisiScaduti", "1".to_owned()), ("e:ImportoTotaleAvvisiScaduti", euro(debt.amount))];
    let mut inside = format!("<e:Testata>{}</e:Testata>", header(&message(), &debt.creditor, &service(&debt), &counts));
    inside.push_str("<e:CorpoAvvisiScaduti><e:ElencoAvvisiScaduti><e:AvvisoScaduto>");
    leaf(&mut inside, "e:IUV", iuv(&debt));
    if let Some(day) = &debt.due_date {
        leaf(&mut inside, "e:DataScadenza", day);
    }
    leaf(&mut inside, "e:Importo", &euro(debt.amount));
    inside.push_str("</e:AvvisoScaduto></e:ElencoAvvisiScaduti></e:CorpoAvvisiScaduti>");
    call(&ppay, "TrasmettiAvvisiScaduti", inside).await;
    StatusCode::NO_CONTENT
}
