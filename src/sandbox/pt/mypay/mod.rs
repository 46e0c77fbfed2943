//! MyPay: the SOAP service for gestionali (`pa-per-ente.wsdl`) at `/ws/pa/`, and citizens who pay (`_pay`).
//!
//! The password in the body is the simulators'; `codIpaEnte` is the creditor's tax id, or what a debt says in `more.codIpaEnte`.
//! An action M writes the whole debt anew: what the `Versamento` does not say is gone, the last day of payment too.
//! `POST _config` tells where the ente answers ([`payment::Outward`]); `GET _seen` how many calls of each operation came.

mod documents;
mod payment;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::PtOptions;
use super::debts::{Debt, DebtChange, DebtState};
use super::xml::{self, Node};
use crate::domain::calendar::in_rome;
use crate::domain::notice_code;

const NAMESPACE: &str = "http://www.regione.veneto.it/pagamenti/ente/";

/// The simulator.
pub(super) struct MyPay {
    shared: Arc<PtOptions>,
    outward: Mutex<payment::Outward>,
    seen: Mutex<BTreeMap<String, u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its paths.
pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let mypay = Arc::new(MyPay { shared, outward: Mutex::default(), seen: Mutex::default() });
    Router::new()
        .route("/ws/pa/", post(soap))
        .route("/ws/pa", post(soap))
        .route("/_config", post(configure))
        .route("/_pay", post(payment::pay))
        .route("/_seen", get(seen))
        .with_state(mypay)
}

async fn configure(State(mypay): State<Arc<MyPay>>, Json(outward): Json<payment::Outward>) -> StatusCode {
    *lock(&mypay.outward) = outward;
    StatusCode::NO_CONTENT
}

async fn seen(State(mypay): State<Arc<MyPay>>) -> Json<BTreeMap<String, u64>> {
    Json(lock(&mypay.seen).clone())
}

/// A fault of MyPay, inside an ordinary answer.
type Fault = &'static str;
/// What follows `fault` in an answer.
type Said = Result<String, Fault>;

async fn soap(State(mypay): State<Arc<MyPay>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = |status: StatusCode, text: String| (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response();
    let Some((payload, head)) = xml::envelope(&body) else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "Busta SOAP non valida"));
    };
    if !headers.contains_key("soapaction") {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "SOAPAction assente"));
    }
    let operation = payload.name.clone();
    *lock(&mypay.seen).entry(operation.clone()).or_default() += 1;
    let ente = head.as_ref().and_then(|head| head.at(&["intestazionePPT", "codIpaEnte"])).or_else(|| payload.at(&["codIpaEnte"]));
    let said = match (ente, payload.at(&["password"])) {
        (None, _) => Err("PAA_ENTE_NON_VALIDO"),
        (_, password) if password != Some(mypay.shared.password.as_str()) => Err("PAA_ENTE_NON_VALIDO"),
        (Some(ente), _) => match operation.as_str() {
            "paaSILChiediPosizioniAperte" => mypay.open_positions(ente, &payload),
            "paaSILChiediPagatiConRicevuta" => mypay.paid(ente, &payload),
            "paaSILVerificaAvviso" => mypay.check(ente, &payload),
            "paaSILImportaDovuto" => mypay.import(ente, &payload),
            _ => return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "Operazione sconosciuta")),
        },
    };
    let outcome = matches!(operation.as_str(), "paaSILVerificaAvviso" | "paaSILImportaDovuto");
    let inside = match said {
        Ok(said) => said,
        Err(code) => {
            let mut fault = String::from("<fault>");
            xml::leaf(&mut fault, "faultCode", code);
            xml::leaf(&mut fault, "faultString", code);
            xml::leaf(&mut fault, "id", ente.unwrap_or("mypay"));
            fault.push_str("</fault>");
            if outcome {
                fault.push_str("<esito>KO</esito>");
            }
            fault
        }
    };
    answer(StatusCode::OK, xml::wrap(&format!("<p:{operation}Risposta xmlns:p=\"{NAMESPACE}\">{inside}</p:{operation}Risposta>")))
}

/// Whether a debt is of that ente.
fn is_of(debt: &Debt, ente: &str) -> bool {
    debt.more.get("codIpaEnte").and_then(Value::as_str).map_or(debt.creditor == ente, |code| code == ente)
}

fn iuv(debt: &Debt) -> &str {
    notice_code::iuv(&debt.notice).unwrap_or_default()
}

impl MyPay {
    fn today(&self) -> String {
        in_rome(self.shared.clock.now()).date().to_string()
    }

    fn by_iuv(&self, ente: &str, wanted: &str) -> Option<Debt> {
        self.shared.debts.lock().values().find(|debt| is_of(debt, ente) && iuv(debt) == wanted).cloned()
    }

    fn open_positions(&self, ente: &str, payload: &Node) -> Said {
        let person = payload.at(&["identificativoUnivocoPersonaFG", "codiceIdentificativoUnivoco"]);
        let person = person.ok_or("PAA_CODICE_IDENTIFICATIVO_PAGATORE_NON_PRESENTE")?;
        let mut out = String::new();
        for debt in self.shared.debts.lock().values() {
            if is_of(debt, ente) && debt.payer_tax_id == person && debt.state == DebtState::Unpaid {
                out.push_str("<paaSILPosizioniAperte>");
                xml::leaf(&mut out, "codIpaEnte", ente);
                xml::leaf(&mut out, "deNomeEnte", "Ente di prova");
                xml::leaf(&mut out, "dovuti", &STANDARD.encode(documents::dovuti(debt)));
                out.push_str("</paaSILPosizioniAperte>");
            }
        }
        Ok(out)
    }

    fn paid(&self, ente: &str, payload: &Node) -> Said {
        let wanted = payload.at(&["identificativoUnivocoVersamento"]).ok_or("PAA_IUV_NON_VALIDO")?;
        let debt = self.by_iuv(ente, wanted).ok_or("PAA_IUV_NON_VALIDO")?;
        match debt.state {
            DebtState::Draft | DebtState::Unpaid => Err("PAA_PAGAMENTO_NON_INIZIATO"),
            DebtState::BeingPaid => Err("PAA_PAGAMENTO_IN_CORSO"),
            DebtState::Cancelled => Err("PAA_PAGAMENTO_ANNULLATO"),
            DebtState::Expired => Err("PAA_PAGAMENTO_SCADUTO"),
            DebtState::Paid => {
                let mut out = String::new();
                xml::leaf(&mut out, "pagati", &STANDARD.encode(documents::paid(&debt, true)));
                xml::leaf(&mut out, "rt", &STANDARD.encode(documents::receipt(&debt)));
                Ok(out)
            }
        }
    }

    fn check(&self, ente: &str, payload: &Node) -> Said {
        let wanted = payload.at(&["identificativoUnivocoVersamento"]).ok_or("PAA_IUV_NON_VALIDO")?;
        match self.by_iuv(ente, wanted).map(|debt| debt.state) {
            Some(DebtState::Unpaid) => Ok(format!(
                "<esito>OK</esito><idSession>{}</idSession><redirect>1</redirect><url>https://mypay.example/paga</url>",
                crate::clock::new_uuid()
            )),
            Some(DebtState::Expired) => Err("PAA_IUV_SCADUTO"),
            _ => Err("PAA_IUV_NON_VALIDO"),
        }
    }

    fn import(&self, ente: &str, payload: &Node) -> Said {
        let dovuto = payload.at(&["dovuto"]).and_then(|text| STANDARD.decode(text).ok()).ok_or("PAA_XML_NON_VALIDO")?;
        let written = documents::Written::read(&dovuto)?;
        let (now, today) = (self.shared.clock.now().as_millisecond(), self.today());
        let mut debts = self.shared.debts.lock();
        let debt = debts.values_mut().find(|debt| is_of(debt, ente) && debt.position_id == written.iud).ok_or("PAA_IUD_NON_VALIDO")?;
        if written.iuv.as_deref().is_some_and(|told| told != iuv(debt)) {
            return Err("PAA_IUV_NON_VALIDO");
        }
        match (debt.state, written.action.as_str()) {
            (_, "I") => return Err("PAA_IUD_DUPLICATO"),
            (DebtState::BeingPaid, _) => return Err("PAA_PAGAMENTO_IN_CORSO"),
            (DebtState::Paid, _) => return Err("PAA_DOVUTO_NON_PAGABILE"),
            (DebtState::Cancelled, _) => return Err("PAA_PAGAMENTO_ANNULLATO"),
            (DebtState::Expired, "M") if written.due_date.as_deref().is_none_or(|day| day < today.as_str()) => {
                return Err("PAA_PAGAMENTO_SCADUTO");
            }
            (_, "A") => debt.state = DebtState::Cancelled,
            (_, "M") => {
                written.onto(debt);
                debt.state = DebtState::Unpaid;
                debt.changes.push(DebtChange { at: now, amount: debt.amount, fee: debt.fee });
            }
            _ => return Err("PAA_AZIONE_NON_VALIDO"),
        }
        let mut out = String::from("<esito>OK</esito>");
        xml::leaf(&mut out, "identificativoUnivocoVersamento", iuv(debt));
        Ok(out)
    }
}

/// What a debt says in `more`, as text.
fn more<'d>(debt: &'d Debt, key: &str) -> Option<&'d str> {
    debt.more.get(key).and_then(Value::as_str)
}

/// Puts something into `more`.
fn keep(debt: &mut Debt, key: &str, value: Value) {
    if !debt.more.is_object() {
        debt.more = json!({});
    }
    if let Some(more) = debt.more.as_object_mut() {
        more.insert(key.to_owned(), value);
    }
}
