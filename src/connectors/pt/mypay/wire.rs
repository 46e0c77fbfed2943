//! What is said to MyPay and how its answers are read: `pa-per-ente.wsdl`, `PagInf_Dovuti_Pagati_6_2_0.xsd`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::installations::Installation;
use crate::connectors::pt::balance::{self, BalanceError, Line};
use crate::connectors::pt::shares::euro;
use crate::connectors::soap::{self, Element, Xml};
use crate::domain::calendar::instant_in_rome;
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Change, Payer, PaymentSeen};

/// `codIpaEnte` and the password that goes with it.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'c> {
    pub ente: &'c str,
    pub password: &'c str,
}

/// A call that names the ente in the header (what writes, and the verification of a notice).
fn with_header(installation: &Installation, operation: &str, credentials: Credentials<'_>, content: impl FnOnce(&mut Xml)) -> Vec<u8> {
    soap::envelope(
        |xml| {
            xml.element("ppthead:intestazionePPT", &[("xmlns:ppthead", installation.header_namespace)], |xml| {
                xml.leaf("codIpaEnte", credentials.ente);
            });
        },
        |xml| {
            xml.element(&format!("ppt:{operation}"), &[("xmlns:ppt", installation.namespace)], |xml| {
                xml.leaf("password", credentials.password);
                content(xml);
            });
        },
    )
}

/// `paaSILVerificaAvviso`
pub(super) fn check(installation: &Installation, credentials: Credentials<'_>, iuv: &str) -> Vec<u8> {
    with_header(installation, "paaSILVerificaAvviso", credentials, |xml| xml.leaf("identificativoUnivocoVersamento", iuv))
}

/// `paaSILImportaDovuto`
pub(super) fn import(installation: &Installation, credentials: Credentials<'_>, versamento: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let dovuto = base64::engine::general_purpose::STANDARD.encode(versamento);
    with_header(installation, "paaSILImportaDovuto", credentials, |xml| {
        xml.leaf("dovuto", &dovuto);
        xml.leaf("flagGeneraIuv", "false");
    })
}

/// `paaSILChiediPosizioniAperte`
pub(super) fn open_positions(installation: &Installation, credentials: Credentials<'_>, payer: &Payer) -> Vec<u8> {
    soap::envelope(
        |_| {},
        |xml| {
            let spaces = [("xmlns:ppt", installation.namespace), ("xmlns:pay_i", installation.data_namespace)];
            xml.element("ppt:paaSILChiediPosizioniAperte", &spaces, |xml| {
                xml.leaf("password", credentials.password);
                xml.leaf("codIpaEnte", credentials.ente);
                xml.element("identificativoUnivocoPersonaFG", &[], |xml| {
                    xml.leaf("pay_i:tipoIdentificativoUnivoco", person_kind(payer));
                    xml.leaf("pay_i:codiceIdentificativoUnivoco", &payer.tax_id);
                });
            });
        },
    )
}

/// `paaSILChiediPagatiConRicevuta`
pub(super) fn paid(installation: &Installation, credentials: Credentials<'_>, iuv: &str) -> Vec<u8> {
    soap::envelope(
        |_| {},
        |xml| {
            xml.element("ppt:paaSILChiediPagatiConRicevuta", &[("xmlns:ppt", installation.namespace)], |xml| {
                xml.leaf("codIpaEnte", credentials.ente);
                xml.leaf("password", credentials.password);
                xml.leaf("identificativoUnivocoVersamento", iuv);
            });
        },
    )
}

fn person_kind(payer: &Payer) -> &'static str {
    if payer.natural { "F" } else { "G" }
}

/// What an answer breaks.
pub(super) type Breach = &'static str;

/// A debt that MyPay has open, all of it: what an update must not lose.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Position {
    pub version: String,
    /// `soggettoPagatore` as it came.
    pub payer: Option<Element>,
    pub kind: Option<String>,
    pub iud: String,
    pub amount: Cents,
    pub commission: Option<String>,
    pub due_type: String,
    pub remittance: String,
    pub specific: String,
    pub balance: Option<Vec<Line>>,
}

/// What was found among the open positions for one IUV.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Open {
    Whole(Box<Position>),
    /// Several debts under one IUV, a stamp, something missing: its amount is known, a `Versamento` cannot say it.
    Amount(Cents),
}

impl Open {
    pub(super) fn amount(&self) -> Cents {
        match self {
            Open::Whole(position) => position.amount,
            Open::Amount(amount) => *amount,
        }
    }
}

/// One `paaSILPosizioniAperte`, beside the IUV that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    Wanted(Open),
    Other,
    /// Nothing tells which debt it is.
    Unreadable,
}

/// Reads one `paaSILPosizioniAperte`. `Err`: it is the one that is wanted, and broken.
pub(super) fn read_open(element: &Element, ente: &str, iuv: &str) -> Result<Row, Breach> {
    let document = element.value(&["dovuti"]).and_then(|text| decode(text).ok());
    let Some(dovuti) = document.and_then(|document| Element::parse(&document, "Dovuti").ok()) else { return Ok(Row::Unreadable) };
    match dovuti.value(&["datiVersamento", "identificativoUnivocoVersamento"]) {
        Some(told) if told == iuv => {}
        Some(_) => return Ok(Row::Other),
        None => return Ok(Row::Unreadable),
    }
    if element.value(&["codIpaEnte"]) != Some(ente) {
        return Err("an open position of another ente");
    }
    let data = dovuti.child("datiVersamento").ok_or("Dovuti without datiVersamento")?;
    let lines: Vec<&Element> = data.all("datiSingoloVersamento").collect();
    let amount_of = |line: &Element| line.value(&["importoSingoloVersamento"]).and_then(|text| Cents::parse_point(text).ok());
    let mut total = 0i64;
    for line in &lines {
        total = total.saturating_add(amount_of(line).ok_or("an open position without its amount")?.get());
    }
    let total = Cents(total);
    let &[line] = lines.as_slice() else {
        return Ok(Row::Wanted(Open::Amount(total)));
    };
    if line.child("datiMarcaBolloDigitale").is_some() {
        return Ok(Row::Wanted(Open::Amount(total)));
    }
    let text = |path: &[&str]| line.value(path).map(str::to_owned);
    let balance = match line.child("bilancio").map(balance::of_element).transpose() {
        Ok(balance) => balance,
        Err(_) => return Ok(Row::Wanted(Open::Amount(total))),
    };
    let whole = || {
        Some(Position {
            version: dovuti.value(&["versioneOggetto"])?.to_owned(),
            payer: dovuti.child("soggettoPagatore").cloned(),
            kind: data.value(&["tipoVersamento"]).map(str::to_owned),
            iud: text(&["identificativoUnivocoDovuto"])?,
            amount: total,
            commission: text(&["commissioneCaricoPA"]),
            due_type: text(&["identificativoTipoDovuto"])?,
            remittance: text(&["causaleVersamento"])?,
            specific: text(&["datiSpecificiRiscossione"])?,
            balance,
        })
    };
    Ok(Row::Wanted(whole().map_or(Open::Amount(total), |position| Open::Whole(Box::new(position)))))
}

/// What a batch knows of a position that MyPay does not tell: `None` when something that MyPay wants is missing.
pub(super) fn from_batch(installation: &Installation, asked: &Asked, specific: Option<&str>) -> Option<Position> {
    let payer = asked.payers.first()?;
    let leaf = |name: &str, text: &str| Element { name: name.to_owned(), text: text.to_owned(), ..Element::default() };
    let identity = Element {
        name: "identificativoUnivocoPagatore".to_owned(),
        children: vec![leaf("tipoIdentificativoUnivoco", person_kind(payer)), leaf("codiceIdentificativoUnivoco", &payer.tax_id)],
        ..Element::default()
    };
    let name: String = payer.denomination.chars().take(70).collect();
    let subject =
        Element { name: "soggettoPagatore".to_owned(), children: vec![identity, leaf("anagraficaPagatore", &name)], ..Element::default() };
    Some(Position {
        version: installation.version.to_owned(),
        payer: Some(subject),
        kind: None,
        iud: asked.data.position_id.clone()?,
        amount: Cents(0),
        commission: None,
        due_type: asked.data.due_type.clone()?,
        remittance: asked.data.remittance_information.clone()?,
        specific: specific?.to_owned(),
        balance: None,
    })
}

/// What is done to a debt.
#[derive(Clone, Copy)]
pub(super) enum Action<'a> {
    /// `M`
    Modify(&'a Change),
    /// `A`
    Cancel,
}

/// The `Versamento` that rewrites a position: all that it was, another amount. `given`: the batch's bilancio, for want of MyPay's.
pub(super) fn versamento(
    installation: &Installation,
    position: &Position,
    iuv: &str,
    given: Option<&str>,
    action: Action<'_>,
) -> Result<Vec<u8>, BalanceError> {
    let mut lines = match (&position.balance, given) {
        (Some(lines), _) => Some(lines.clone()),
        (None, Some(text)) => Some(balance::of_chapters(text)?),
        (None, None) => None,
    };
    let (amount, due_date, word) = match action {
        Action::Modify(change) => {
            if let Some(held) = lines {
                lines = Some(balance::fit(&held, change.amount.get(), change.cost.get(), change.cost_place.as_deref())?);
            }
            (change.amount, change.due_date, "M")
        }
        // What is withdrawn is named as it is. Where only the batch knows the debt nobody tells its amount: the schema wants one,
        // and a cent is the least that it takes.
        Action::Cancel => {
            let sum = lines.as_ref().map(|lines| lines.iter().map(|line| line.amount).sum());
            let amount = if position.amount.get() > 0 { position.amount.get() } else { sum.unwrap_or(1) };
            lines = lines.filter(|_| sum == Some(amount));
            (Cents(amount), None, "A")
        }
    };
    Ok(soap::document("Versamento", &[("xmlns", installation.data_namespace)], |xml| {
        xml.leaf("versioneOggetto", &position.version);
        if let Some(payer) = &position.payer {
            xml.copy(payer);
        }
        xml.element("datiVersamento", &[], |xml| {
            xml.some("dataEsecuzionePagamento", due_date.map(|day| day.to_string()).as_deref());
            xml.some("tipoVersamento", position.kind.as_deref());
            xml.leaf("identificativoUnivocoVersamento", iuv);
            xml.leaf("identificativoUnivocoDovuto", &position.iud);
            xml.leaf("importoSingoloVersamento", &euro(amount.get()));
            xml.some("commissioneCaricoPA", position.commission.as_deref());
            xml.leaf("identificativoTipoDovuto", &position.due_type);
            xml.leaf("causaleVersamento", &position.remittance);
            xml.leaf("datiSpecificiRiscossione", &position.specific);
            if let Some(lines) = &lines {
                bilancio(xml, lines);
            }
        });
        xml.leaf("azione", word);
    }))
}

/// A payment that MyPay tells with its receipt: `None`, the document says that nothing was paid (codes 1 and 3).
pub(super) fn read_paid(pagati: &str, creditor: &str, iuv: &str) -> Result<Option<PaymentSeen>, Breach> {
    let document = Element::parse(&decode(pagati)?, "PagatiConRicevuta").map_err(|_| "a receipt that is not PagatiConRicevuta")?;
    let data = document.child("datiPagamento").ok_or("PagatiConRicevuta without datiPagamento")?;
    if data.value(&["identificativoUnivocoVersamento"]) != Some(iuv) {
        return Err("a receipt of another notice");
    }
    if document.value(&["dominio", "identificativoDominio"]) != Some(creditor) {
        return Err("a receipt of another creditor");
    }
    if !matches!(data.value(&["codiceEsitoPagamento"]), Some("0" | "2" | "4")) {
        return Ok(None);
    }
    let amount =
        data.value(&["importoTotalePagato"]).and_then(|text| Cents::parse_point(text).ok()).ok_or("a receipt without an amount")?;
    let single = data.child("datiSingoloPagamento");
    let day: Option<Date> =
        single.and_then(|single| single.value(&["dataEsitoSingoloPagamento"])).and_then(|text| text.get(..10)?.parse().ok());
    let message = document.value(&["dataOraMessaggioRicevuta"]).and_then(instant);
    let paid_at = match day {
        // The message tells the hour, when it is of that day.
        Some(day) => {
            message.filter(|at| crate::domain::calendar::in_rome(*at).date() == day).or_else(|| instant_in_rome(day.at(0, 0, 0, 0)))
        }
        None => message,
    };
    Ok(Some(PaymentSeen {
        paid_at: paid_at.ok_or("a receipt without a date")?,
        amount,
        receipt: single.and_then(|single| single.value(&["identificativoUnivocoRiscossione"])).map(str::to_owned),
    }))
}

/// An `xsd:dateTime`: with its offset, else a time of Rome.
fn instant(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| instant_in_rome(text.parse::<DateTime>().ok()?))
}

fn decode(text: &str) -> Result<Vec<u8>, Breach> {
    use base64::Engine;
    let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(dense).map_err(|_| "content that is not base64")
}
/// The bilancio, assessments of one chapter and office together.
pub(super) fn bilancio(xml: &mut Xml, lines: &[Line]) {
    let mut chapters: Vec<(&str, Option<&str>)> = Vec::new();
    for line in lines {
        let key = (line.chapter.as_str(), line.office.as_deref());
        if !chapters.contains(&key) {
            chapters.push(key);
        }
    }
    xml.element("bilancio", &[], |xml| {
        for (chapter, office) in chapters {
            xml.element("capitolo", &[], |xml| {
                xml.leaf("codCapitolo", chapter);
                xml.some("codUfficio", office);
                for line in lines.iter().filter(|line| (line.chapter.as_str(), line.office.as_deref()) == (chapter, office)) {
                    xml.element("accertamento", &[], |xml| {
                        xml.some("codAccertamento", line.assessment.as_deref());
                        xml.leaf("importo", &euro(line.amount));
                    });
                }
            });
        }
    });
}
