//! The documents inside MyPay's calls (`PagInf_Dovuti_Pagati_6_2_0.xsd`): debts, what is written of one, what was paid.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Fault, iuv, keep, more};
use crate::domain::calendar::in_rome;
use crate::sandbox::pt::debts::Debt;
use crate::sandbox::pt::xml::{Node, cents, escape, euro, leaf};

const NAMESPACE: &str = "http://www.regione.veneto.it/schemas/2012/Pagamenti/Ente/";
const VERSION: &str = "6.2.0";

fn document(root: &str, inside: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root} xmlns=\"{NAMESPACE}\">{inside}</{root}>")
}

/// `soggettoPagatore`: as it was written, else from the debt.
fn payer(debt: &Debt) -> String {
    let mut out = String::from("<soggettoPagatore><identificativoUnivocoPagatore>");
    let kind = if debt.payer_tax_id.len() == 11 { "G" } else { "F" };
    leaf(&mut out, "tipoIdentificativoUnivoco", more(debt, "tipoPagatore").unwrap_or(kind));
    leaf(&mut out, "codiceIdentificativoUnivoco", or(&debt.payer_tax_id, "ANONIMO"));
    out.push_str("</identificativoUnivocoPagatore>");
    leaf(&mut out, "anagraficaPagatore", or(&debt.payer_name, "ANONIMO"));
    for pair in debt.more.get("recapito").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(name), Some(text)) = (pair.get(0).and_then(Value::as_str), pair.get(1).and_then(Value::as_str)) {
            leaf(&mut out, name, text);
        }
    }
    out.push_str("</soggettoPagatore>");
    out
}

fn or<'t>(text: &'t str, otherwise: &'t str) -> &'t str {
    if text.is_empty() { otherwise } else { text }
}

fn specific(debt: &Debt) -> &str {
    more(debt, "datiSpecificiRiscossione").unwrap_or("9/0101101IM/")
}

/// `Dovuti`: one debt, as the open positions tell it. The last day of payment is not in it.
pub(super) fn dovuti(debt: &Debt) -> String {
    let mut out = String::new();
    leaf(&mut out, "versioneOggetto", VERSION);
    out.push_str(&payer(debt));
    out.push_str("<datiVersamento>");
    leaf(&mut out, "tipoVersamento", more(debt, "tipoVersamento").unwrap_or("ALL"));
    leaf(&mut out, "identificativoUnivocoVersamento", iuv(debt));
    out.push_str("<datiSingoloVersamento>");
    leaf(&mut out, "identificativoUnivocoDovuto", &debt.position_id);
    leaf(&mut out, "importoSingoloVersamento", &euro(debt.amount));
    if let Some(commission) = more(debt, "commissioneCaricoPA") {
        leaf(&mut out, "commissioneCaricoPA", commission);
    }
    leaf(&mut out, "identificativoTipoDovuto", or(&debt.due_type, "ALTRO"));
    leaf(&mut out, "causaleVersamento", or(&debt.remittance, "Pagamento"));
    leaf(&mut out, "datiSpecificiRiscossione", specific(debt));
    if let Some(lines) = debt.more.get("bilancio").and_then(Value::as_array).filter(|lines| !lines.is_empty()) {
        out.push_str("<bilancio>");
        for line in lines {
            let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
            out.push_str("<capitolo>");
            leaf(&mut out, "codCapitolo", text("capitolo"));
            if !text("ufficio").is_empty() {
                leaf(&mut out, "codUfficio", text("ufficio"));
            }
            out.push_str("<accertamento>");
            if !text("accertamento").is_empty() {
                leaf(&mut out, "codAccertamento", text("accertamento"));
            }
            leaf(&mut out, "importo", &euro(line.get("importo").and_then(Value::as_i64).unwrap_or(0)));
            out.push_str("</accertamento></capitolo>");
        }
        out.push_str("</bilancio>");
    }
    out.push_str("</datiSingoloVersamento></datiVersamento>");
    document("Dovuti", &out)
}

/// A `Versamento` that was read.
pub(super) struct Written {
    pub iud: String,
    pub iuv: Option<String>,
    pub action: String,
    pub due_date: Option<String>,
    amount: i64,
    due_type: String,
    remittance: String,
    /// (key in `more`, value)
    kept: Vec<(&'static str, Value)>,
    payer: Option<(String, String)>,
}

impl Written {
    /// Reads and checks one, as MyPay does before it looks for the debt.
    pub(super) fn read(bytes: &[u8]) -> Result<Written, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| "PAA_XML_NON_VALIDO")?;
        let root = Node::read(text).filter(|root| root.name == "Versamento" && text.contains(NAMESPACE)).ok_or("PAA_XML_NON_VALIDO")?;
        root.at(&["versioneOggetto"]).ok_or("PAA_XML_NON_VALIDO")?;
        let action = root.at(&["azione"]).ok_or("PAA_AZIONE_NON_VALIDO")?.to_owned();
        let data = root.get("datiVersamento").ok_or("PAA_XML_NON_VALIDO")?;
        let amount = data.at(&["importoSingoloVersamento"]).and_then(cents).filter(|amount| (1..=99_999_999_999).contains(amount));
        let amount = amount.ok_or("PAA_IMPORTO_SINGOLO_VERSAMENTO_NON_VALIDO")?;
        let specific = data.at(&["datiSpecificiRiscossione"]).ok_or("PAA_DATI_SPECIFICI_RISCOSSIONE_NON_VALIDO")?;
        let (kind, rest) = specific.split_once('/').ok_or("PAA_DATI_SPECIFICI_RISCOSSIONE_NON_VALIDO")?;
        if !matches!(kind, "0" | "1" | "2" | "9") || rest.len() < 3 || rest.contains(char::is_whitespace) {
            return Err("PAA_DATI_SPECIFICI_RISCOSSIONE_NON_VALIDO");
        }
        let subject = root.get("soggettoPagatore").ok_or("PAA_SOGG_PAG_NON_VALORIZZATO")?;
        let identity = ["identificativoUnivocoPagatore", "codiceIdentificativoUnivoco"];
        let tax_id = subject.at(&identity).ok_or("PAA_CODICE_IDENTIFICATIVO_PAGATORE_NON_PRESENTE")?;
        let name = subject.at(&["anagraficaPagatore"]).ok_or("PAA_ANAGRAFICA_NON_VALIDA")?;
        let other = |node: &&Node| !matches!(node.name.as_str(), "identificativoUnivocoPagatore" | "anagraficaPagatore");
        let addressed: Vec<Value> = subject.nodes.iter().filter(other).map(|node| json!([node.name, node.text.trim()])).collect();
        let mut kept = vec![
            ("datiSpecificiRiscossione", json!(specific)),
            ("tipoVersamento", json!(data.at(&["tipoVersamento"]))),
            ("commissioneCaricoPA", json!(data.at(&["commissioneCaricoPA"]))),
            ("tipoPagatore", json!(subject.at(&["identificativoUnivocoPagatore", "tipoIdentificativoUnivoco"]))),
            ("recapito", Value::Array(addressed)),
        ];
        let lines = data.get("bilancio").map(balance).transpose()?.unwrap_or_default();
        if !lines.is_empty() && lines.iter().filter_map(|line| line.get("importo")?.as_i64()).sum::<i64>() != amount {
            return Err("PAA_IMPORTO_BILANCIO_NON_VALIDO");
        }
        kept.push(("bilancio", Value::Array(lines)));
        Ok(Written {
            iud: data.at(&["identificativoUnivocoDovuto"]).ok_or("PAA_IUD_NON_VALIDO")?.to_owned(),
            iuv: data.at(&["identificativoUnivocoVersamento"]).map(str::to_owned),
            action,
            due_date: data.at(&["dataEsecuzionePagamento"]).map(str::to_owned),
            amount,
            due_type: data.at(&["identificativoTipoDovuto"]).ok_or("PAA_IDENTIFICATIVO_TIPO_DOVUTO_NON_INSERITO")?.to_owned(),
            remittance: data.at(&["causaleVersamento"]).ok_or("PAA_CAUSALE_NON_PRESENTE")?.to_owned(),
            kept,
            payer: Some((tax_id.to_owned(), name.to_owned())),
        })
    }

    /// The debt as it is from now on.
    pub(super) fn onto(self, debt: &mut Debt) {
        debt.amount = self.amount;
        debt.due_date = self.due_date;
        debt.due_type = self.due_type;
        debt.remittance = self.remittance;
        if let Some((tax_id, name)) = self.payer {
            debt.payer_tax_id = tax_id;
            debt.payer_name = name;
        }
        for (key, value) in self.kept {
            keep(debt, key, value);
        }
    }
}

fn balance(node: &Node) -> Result<Vec<Value>, Fault> {
    let mut lines = Vec::new();
    for chapter in node.nodes.iter().filter(|node| node.name == "capitolo") {
        let code = chapter.at(&["codCapitolo"]).ok_or("PAA_XML_NON_VALIDO")?;
        for assessment in chapter.nodes.iter().filter(|node| node.name == "accertamento") {
            let amount =
                assessment.at(&["importo"]).and_then(cents).filter(|amount| *amount > 0).ok_or("PAA_IMPORTO_BILANCIO_NON_VALIDO")?;
            let text = |node: &Node, name: &str| node.at(&[name]).unwrap_or_default().to_owned();
            lines.push(json!({
                "capitolo": code,
                "ufficio": text(chapter, "codUfficio"),
                "accertamento": text(assessment, "codAccertamento"),
                "importo": amount,
            }));
        }
    }
    Ok(lines)
}

/// When it was paid: day, and instant of Rome.
fn when(debt: &Debt) -> (String, String) {
    let at = Timestamp::from_millisecond(debt.paid_at.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH);
    let rome = in_rome(at);
    let time = rome.time();
    (rome.date().to_string(), format!("{}T{:02}:{:02}:{:02}", rome.date(), time.hour(), time.minute(), time.second()))
}

/// `PagatiConRicevuta`, or `Pagati` of the push.
pub(super) fn paid(debt: &Debt, with_receipt: bool) -> String {
    let (day, instant) = when(debt);
    let amount = euro(debt.paid_amount.unwrap_or(debt.amount));
    let mut out = String::new();
    leaf(&mut out, "versioneOggetto", VERSION);
    let _ = write!(out, "<dominio><identificativoDominio>{}</identificativoDominio></dominio>", escape(&debt.creditor));
    leaf(&mut out, "identificativoMessaggioRicevuta", &format!("RT{}", iuv(debt)));
    leaf(&mut out, "dataOraMessaggioRicevuta", &instant);
    leaf(&mut out, "riferimentoMessaggioRichiesta", &format!("RP{}", iuv(debt)));
    leaf(&mut out, "riferimentoDataRichiesta", &day);
    out.push_str(
        "<istitutoAttestante><identificativoUnivocoAttestante><tipoIdentificativoUnivoco>B</tipoIdentificativoUnivoco>\
         <codiceIdentificativoUnivoco>PROVITM1</codiceIdentificativoUnivoco></identificativoUnivocoAttestante>\
         <denominazioneAttestante>Banca di prova</denominazioneAttestante></istitutoAttestante>",
    );
    let _ = write!(
        out,
        "<enteBeneficiario><identificativoUnivocoBeneficiario><tipoIdentificativoUnivoco>G</tipoIdentificativoUnivoco>\
         <codiceIdentificativoUnivoco>{}</codiceIdentificativoUnivoco></identificativoUnivocoBeneficiario>\
         <denominazioneBeneficiario>Ente di prova</denominazioneBeneficiario></enteBeneficiario>",
        escape(&debt.creditor)
    );
    out.push_str(&payer(debt));
    out.push_str("<datiPagamento>");
    leaf(&mut out, "codiceEsitoPagamento", "0");
    leaf(&mut out, "importoTotalePagato", &amount);
    leaf(&mut out, "identificativoUnivocoVersamento", iuv(debt));
    leaf(&mut out, "codiceContestoPagamento", &format!("CCP{}", iuv(debt)));
    out.push_str("<datiSingoloPagamento>");
    leaf(&mut out, "identificativoUnivocoDovuto", &debt.position_id);
    leaf(&mut out, "singoloImportoPagato", &amount);
    leaf(&mut out, "esitoSingoloPagamento", "PAGATO");
    leaf(&mut out, "dataEsitoSingoloPagamento", &day);
    leaf(&mut out, "identificativoUnivocoRiscossione", &format!("IUR{}", iuv(debt)));
    let remittance: String = or(&debt.remittance, "Pagamento").chars().take(140).collect();
    leaf(&mut out, "causaleVersamento", &remittance);
    leaf(&mut out, "datiSpecificiRiscossione", specific(debt));
    if with_receipt {
        leaf(&mut out, "indiceDatiSingoloPagamento", "1");
    }
    out.push_str("</datiSingoloPagamento></datiPagamento>");
    document(if with_receipt { "PagatiConRicevuta" } else { "Pagati" }, &out)
}

/// A receipt of pagoPA (`paSendRTV2`), as little of it as is looked at.
pub(super) fn receipt(debt: &Debt) -> String {
    let (_, instant) = when(debt);
    let mut out = String::from("<receipt>");
    leaf(&mut out, "receiptId", &format!("IUR{}", iuv(debt)));
    leaf(&mut out, "noticeNumber", &debt.notice);
    leaf(&mut out, "fiscalCode", &debt.creditor);
    leaf(&mut out, "outcome", "OK");
    leaf(&mut out, "creditorReferenceId", iuv(debt));
    leaf(&mut out, "paymentAmount", &euro(debt.paid_amount.unwrap_or(debt.amount)));
    leaf(&mut out, "paymentDateTime", &instant);
    out.push_str("</receipt>");
    out
}
