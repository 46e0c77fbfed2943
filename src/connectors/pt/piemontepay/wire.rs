//! What is said to PiemontePAY and how its answers are read: `Enti2EPaywsoService.wsdl`, `epayapi_v1.1.yaml`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::connectors::pt::balance::{Line, fit, of_text};
use crate::connectors::pt::rest::euro_of;
use crate::connectors::pt::shares::euro;
use crate::connectors::soap;
use crate::domain::digest::Sha256;
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, HeldState};

const TYPES: &str = "http://www.csi.it/epay/epaywso/enti2epaywso/types";
/// `SOAPAction` of the update of positions.
pub(super) const UPDATE: &str = "http://www.csi.it/epay/epaywso/service/AggiornaPosizioniDebitorie";
/// Components of one amount, at most (code 183).
const MOST_COMPONENTS: usize = 5;
/// Letters of what a component is called (`String80Type`).
const MOST_CAUSALE: usize = 80;
/// Letters of `NumeroAccertamento` (`String35Type`).
const MOST_NUMBER: usize = 35;

/// The header of an update: who, which payment type.
#[derive(Clone, Copy)]
pub(super) struct Header<'h> {
    /// `IdMessaggio`
    pub message: &'h str,
    /// `CFEnteCreditore`
    pub ente: &'h str,
    /// `CodiceVersamento`
    pub service: &'h str,
}

/// `IdMessaggio` of what is asked: 35 characters, always the same for the same request and no other, whoever asks.
pub(super) fn message_id(asked: &Asked, key: &str, change: Option<&Change>) -> String {
    let about = match change {
        Some(change) => format!("{} {} {:?} {:?}", change.amount.get(), change.cost.get(), change.due_date, change.cost_place),
        None => "annullamento".to_owned(),
    };
    let digest = Sha256::of(format!("{}\n{}\n{key}\n{about}", asked.creditor, asked.notice).as_bytes()).to_hex();
    format!("M{}", digest.get(..34).unwrap_or_default())
}

/// A component of an amount, as epayapi has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'c> {
    importo: Value,
    causale_descrittiva: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    anno_accertamento: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numero_accertamento: Option<&'c str>,
}

/// The components that an amount has, for a change and for a price alike. Empty: none are told, PiemontePAY keeps what it has. `None`:
/// it cannot be done.
pub(super) fn components(
    balance: Option<&str>,
    remittance: Option<&str>,
    amount: i64,
    cost: i64,
    place: Option<&str>,
) -> Option<Vec<Line>> {
    let place = place.map(|place| cut(place.trim(), MOST_CAUSALE)).filter(|place| !place.is_empty());
    let mut given = balance.map(of_text).transpose().ok()?.unwrap_or_default();
    for line in &mut given {
        line.cause = Some(cut(line.causale(), MOST_CAUSALE));
    }
    let whole = |line: &Line| place.as_deref() != line.cause.as_deref();
    if given.is_empty() && place.is_none() {
        return Some(Vec::new());
    }
    if !given.iter().any(whole) && place.is_some() {
        // PiemontePAY may have the cost of an earlier change as a component of its own: what is due must be said.
        let cause = remittance.map_or_else(|| "Importo dovuto".to_owned(), |text| cut(text, MOST_CAUSALE));
        given.push(Line { cause: Some(cause), amount: 1, ..Line::default() });
    }
    let made = fit(&given, amount, cost, place.as_deref()).ok()?;
    (made.len() <= MOST_COMPONENTS).then_some(made)
}

/// `AggiornaPosizioniDebitorieRequest` for one position: `MODIFICA` with a change, `ANNULLAMENTO` without.
pub(super) fn update(header: Header<'_>, position: &str, change: Option<(&Change, &[Line])>) -> Vec<u8> {
    soap::envelope(
        |_| {},
        |xml| {
            xml.element("AggiornaPosizioniDebitorieRequest", &[("xmlns", TYPES)], |xml| {
                xml.element("Testata", &[], |xml| {
                    xml.leaf("IdMessaggio", header.message);
                    xml.leaf("CFEnteCreditore", header.ente);
                    xml.leaf("CodiceVersamento", header.service);
                    xml.leaf("NumeroPosizioniDebitorie", "1");
                });
                xml.element("ElencoPosizioniDaAggiornare", &[], |xml| {
                    xml.element("PosizioniDaAggiornare", &[], |xml| {
                        xml.element("PosizioneDaAggiornare", &[], |xml| one(xml, position, change));
                    });
                });
            });
        },
    )
}

fn one(xml: &mut soap::Xml, position: &str, change: Option<(&Change, &[Line])>) {
    xml.leaf("TipoAggiornamento", if change.is_some() { "MODIFICA" } else { "ANNULLAMENTO" });
    xml.leaf("IdPosizioneDebitoria", position);
    let Some((change, shares)) = change else {
        xml.leaf("Motivazione", WITHDRAWN);
        return;
    };
    xml.some("DataScadenza", change.due_date.map(|day| day.to_string()).as_deref());
    xml.leaf("ImportoTotale", &euro(change.amount.get()));
    if !shares.is_empty() {
        xml.element("ComponentiImporto", &[], |xml| {
            for line in shares {
                xml.element("ComponenteImporto", &[], |xml| {
                    xml.leaf("Importo", &euro(line.amount));
                    xml.leaf("CausaleDescrittiva", line.causale());
                    xml.some("AnnoAccertamento", line.year.map(|year| year.to_string()).as_deref());
                    xml.some("NumeroAccertamento", line.assessment.as_deref().map(|number| cut(number, MOST_NUMBER)).as_deref());
                });
            }
        });
    }
    xml.leaf("Motivazione", &reason(change));
}

const WITHDRAWN: &str = "Posizione annullata dall'ente";

fn reason(change: &Change) -> String {
    let reason = cut(change.reason.trim(), 400);
    if reason.is_empty() { "Aggiornamento dell'importo".to_owned() } else { reason }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Body of the `PUT`. `asks_cost`: PiemontePAY asks messo the cost when the citizen pays; left out it would be switched off.
pub(super) fn put(asked: &Asked, change: &Change, shares: &[Line], asks_cost: bool) -> Value {
    let mut body = Map::new();
    body.insert("importo".to_owned(), euro_of(change.amount));
    if let Some(day) = change.due_date {
        // Noon of Rome is that day in whatever zone it is read.
        body.insert("dataScadenza".to_owned(), json!(format!("{day}T12:00:00+01:00")));
    }
    if !shares.is_empty() {
        let list = shares.iter().map(|line| Component {
            importo: euro_of(Cents(line.amount)),
            causale_descrittiva: line.causale().to_owned(),
            anno_accertamento: line.year,
            numero_accertamento: line.assessment.as_deref(),
        });
        body.insert("componentiImporto".to_owned(), json!(list.collect::<Vec<_>>()));
    }
    body.insert("motivazione".to_owned(), json!(reason(change)));
    if let Some(id) = &asked.data.position_id {
        body.insert("identificativoPagamento".to_owned(), json!(id));
    }
    body.insert("requiresCostUpdate".to_owned(), json!(asks_cost));
    Value::Object(body)
}

/// `Result`
#[derive(Debug, Default, Deserialize)]
pub(super) struct ResultBody {
    #[serde(default)]
    pub code: Option<Word>,
}

/// `Status`
#[derive(Debug, Deserialize)]
pub(super) struct StatusBody {
    #[serde(default)]
    pub code: Option<Word>,
    #[serde(default)]
    pub result: Option<ResultBody>,
}

/// A code, written as text or as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Word {
    Text(String),
    Number(u32),
}

impl Word {
    pub(super) fn text(&self) -> String {
        match self {
            Word::Text(text) => text.trim().to_owned(),
            Word::Number(number) => number.to_string(),
        }
    }
}

/// States of `GET .../status`.
pub(super) fn state(code: &str) -> Option<HeldState> {
    Some(match code {
        "0" => HeldState::Paid,
        "1" => HeldState::Payable,
        "2" => HeldState::Cancelled,
        "3" => HeldState::NotActive,
        "4" => HeldState::Expired,
        _ => return None,
    })
}

/// `PaymentDataResult`
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PaymentData {
    pub importo_pagato_totale: Option<serde_json::Number>,
    pub importo_pagato: Option<serde_json::Number>,
    pub codice_fiscale_ente_beneficiario: Option<String>,
    pub codice_avviso: Option<String>,
    pub identificativo_unico_versamento: Option<String>,
    #[serde(rename = "dataEOraOperazione")]
    pub data_e_ora_operazione: Option<String>,
    pub data_esito_pagamento: Option<String>,
    pub identificativo_unico_riscossione: Option<String>,
}

impl PaymentData {
    /// What was paid, all beneficiaries together.
    pub(super) fn amount(&self) -> Option<Cents> {
        let number = self.importo_pagato_totale.as_ref().or(self.importo_pagato.as_ref())?;
        let text = number.to_string();
        // 100.0 and 100.50 alike.
        Cents::parse_point(text.trim_end_matches(".0")).ok()
    }

    /// When.
    pub(super) fn paid_at(&self) -> Option<Timestamp> {
        let said = self.data_e_ora_operazione.as_deref().or(self.data_esito_pagamento.as_deref())?;
        said.parse::<Timestamp>().ok().or_else(|| crate::domain::calendar::instant_in_rome(said.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::act::PositionData;

    fn asked(balance: Option<&str>) -> Asked {
        let data = PositionData {
            position_id: Some("PD-1".to_owned()),
            remittance_information: Some("Verbale 12/2026".to_owned()),
            balance: balance.map(str::to_owned),
            ..PositionData::default()
        };
        Asked { creditor: "01234567897".to_owned(), notice: "302000000000000184".to_owned(), data, payers: Vec::new() }
    }

    fn change(amount: i64, cost: i64, place: Option<&str>) -> Change {
        Change {
            key: "7/2".to_owned(),
            amount: Cents(amount),
            cost: Cents(cost),
            due_date: Some(jiff::civil::date(2026, 12, 31)),
            cost_place: place.map(str::to_owned),
            reason: "Spese di notifica".to_owned(),
        }
    }

    #[test]
    fn the_message_id_is_the_same_for_the_same_request_only() {
        let (about, first) = (asked(None), change(1_000, 0, None));
        let id = message_id(&about, &first.key, Some(&first));
        assert_eq!((id.len(), message_id(&about, &first.key, Some(&first))), (35, id.clone()));
        let other_amount = change(1_100, 0, None);
        let other_key = Change { key: "7/3".to_owned(), ..first.clone() };
        let other_notice = Asked { notice: "302000000000000285".to_owned(), ..about.clone() };
        let ids = [
            message_id(&about, &first.key, Some(&other_amount)),
            message_id(&about, &other_key.key, Some(&other_key)),
            message_id(&other_notice, &first.key, Some(&first)),
            message_id(&about, &first.key, None),
        ];
        for other in ids {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn components_sum_up_to_the_amount() {
        let two = r#"[{"importo": 60, "causaleDescrittiva": "Sanzione"}, {"importo": "40.00", "causaleDescrittiva": "Spese"}]"#;
        type Case<'c> = (Option<&'c str>, i64, i64, Option<&'c str>, Option<&'c [(&'c str, i64)]>);
        let table: [Case<'_>; 10] = [
            (None, 5_000, 0, None, Some(&[])),
            (None, 5_950, 950, None, Some(&[])),
            (None, 5_950, 950, Some("Notifica"), Some(&[("Verbale 12/2026", 5_000), ("Notifica", 950)])),
            (None, 5_569, 569, Some("Notifica"), Some(&[("Verbale 12/2026", 5_000), ("Notifica", 569)])),
            // The cost is gone again.
            (None, 5_000, 0, Some("Notifica"), Some(&[("Verbale 12/2026", 5_000)])),
            (Some(two), 5_000, 0, None, Some(&[("Sanzione", 3_000), ("Spese", 2_000)])),
            (Some(two), 10_950, 950, Some("Notifica"), Some(&[("Sanzione", 6_000), ("Spese", 4_000), ("Notifica", 950)])),
            (Some(two), 10_950, 950, Some("Spese"), Some(&[("Sanzione", 10_000), ("Spese", 950)])),
            (Some("900"), 100, 0, None, None),
            (Some(r#"[{"importo": 0, "causaleDescrittiva": "x"}]"#), 100, 0, None, None),
        ];
        for (balance, amount, cost, place, want) in table {
            let made = components(balance, Some("Verbale 12/2026"), amount, cost, place);
            let made = made.map(|list| list.into_iter().map(|line| (line.causale().to_owned(), line.amount)).collect::<Vec<_>>());
            let want = want.map(|list| list.iter().map(|(name, cents)| ((*name).to_owned(), *cents)).collect::<Vec<_>>());
            assert_eq!(made, want, "{balance:?} {amount} {cost} {place:?}");
        }
    }

    #[test]
    fn the_put_keeps_the_flag_of_the_cost() {
        let body = put(&asked(None), &change(123_456, 0, None), &[], true);
        let want = json!({
            "importo": 1234.56, "dataScadenza": "2026-12-31T12:00:00+01:00", "motivazione": "Spese di notifica",
            "identificativoPagamento": "PD-1", "requiresCostUpdate": true,
        });
        assert_eq!(body, want);
        let paid: PaymentData =
            serde_json::from_str(r#"{"importoPagato": 100.0, "dataEOraOperazione": "2026-11-23T10:00:00+01:00"}"#).unwrap();
        assert_eq!((paid.amount(), paid.paid_at().is_some()), (Some(Cents(10_000)), true));
        let cents: PaymentData = serde_json::from_str(r#"{"importoPagatoTotale": 10.05}"#).unwrap();
        assert_eq!(cents.amount(), Some(Cents(1_005)));
    }
}
