//! What goes to e-Fil and comes back. Elements of one type go in the order of the alphabet, as WCF writes them, those of the
//! type below first.

use crate::connectors::ConnectorError;
use crate::connectors::pt::rest::protocol;
use crate::connectors::soap::{self, Element, SoapError};
use crate::domain::money::Cents;
use crate::domain::position::{Asked, Held, HeldState};

/// With the slip of e-Fil's own.
pub(super) const SEARCH: &str = "RicercaPosizionePerIdentificavo";
pub(super) const RECTIFY: &str = "RettificaPosizione";
pub(super) const REMOVE: &str = "RimuoviPosizione";

/// Which service.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    Deliver,
    Feed,
}

impl Service {
    pub(super) fn path(self) -> &'static str {
        match self {
            Service::Deliver => "/Deliver/DigitBusDeliver.svc",
            Service::Feed => "/Feed/DigitBusFeed.svc",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Service::Deliver => "http://e-fil.eu/PnP/PlugAndPayDeliver",
            Service::Feed => "http://e-fil.eu/PnP/PlugAndPayFeed",
        }
    }

    /// `SOAPAction`
    pub(super) fn action(self, operation: &str) -> String {
        let contract = match self {
            Service::Deliver => "IPlugAndPayDeliver",
            Service::Feed => "IPlugAndPayFeed",
        };
        format!("{}/{contract}/{operation}", self.namespace())
    }
}

/// What every request says.
pub(super) struct Request<'r> {
    /// `IdApplicazione`
    pub application: &'r str,
    /// `CodiceEnte`
    pub ente: &'r str,
    /// `CodiceIdentificativo`
    pub iuv: &'r str,
    /// What follows them, in the order of the alphabet.
    pub fields: &'r [(&'r str, String)],
}

pub(super) fn envelope(service: Service, operation: &str, request: &Request<'_>) -> Vec<u8> {
    soap::envelope(
        |_| {},
        |xml| {
            xml.element(operation, &[("xmlns", service.namespace())], |xml| {
                xml.element("request", &[], |xml| {
                    xml.leaf("IdApplicazione", request.application);
                    xml.leaf("CodiceEnte", request.ente);
                    xml.leaf("CodiceIdentificativo", request.iuv);
                    for (name, text) in request.fields {
                        xml.leaf(name, text);
                    }
                });
            });
        },
    )
}

/// The children of the answer's result.
fn result(body: &[u8], operation: &str) -> Result<Option<Element>, SoapError> {
    let mut found = None;
    soap::answer(body, &format!("{operation}Response"), |child| {
        if child.name == format!("{operation}Result") {
            found = Some(child);
        }
    })?;
    Ok(found)
}

/// The position found; `None`: there is none.
pub(super) fn read_position(body: &[u8]) -> Result<Option<Element>, SoapError> {
    Ok(result(body, SEARCH)?.and_then(|result| result.child("Posizione").cloned()).filter(|position| !position.children.is_empty()))
}

/// `Esito` of a change, wherever the result has it.
pub(super) fn read_outcome(body: &[u8], operation: &str) -> Result<Option<String>, SoapError> {
    let Some(result) = result(body, operation)? else { return Ok(None) };
    let direct = result.value(&["Esito"]).or(result.own());
    Ok(direct.map(str::to_owned))
}

/// What it holds, if it is about the notice that was asked for.
pub(super) fn held(position: &Element, asked: &Asked) -> Result<Held, ConnectorError> {
    match position.value(&["NumeroAvviso"]) {
        Some(notice) if notice == asked.notice => {}
        Some(_) => return Err(protocol("the answer is about another notice")),
        None => return Err(protocol("the answer has no NumeroAvviso")),
    }
    let state = match position.value(&["StatoPosizione"]) {
        Some("NonPagata") => HeldState::Payable,
        Some("Pagata") => HeldState::Paid,
        // Somebody has begun: whatever is left, nobody may change it.
        Some("PagataParzialmente") => HeldState::BeingPaid,
        _ => return Err(protocol("an unknown StatoPosizione")),
    };
    let amount = position.value(&["ImportoInCentesimi"]);
    let amount = amount.and_then(|text| text.parse().ok()).filter(|cents| (0..=99_999_999_999).contains(cents)).map(Cents);
    let amount = amount.ok_or_else(|| protocol("an amount that cannot be read"))?;
    // .NET writes a date that was never set as the first of all.
    let due_date = position.value(&["DataScadenza"]).and_then(|text| text.get(..10)?.parse().ok());
    let due_date = due_date.filter(|day: &jiff::civil::Date| day.year() > 1);
    Ok(Held {
        state,
        amount: Some(amount),
        fee: None,
        creditor: None,
        notice: Some(asked.notice.clone()),
        position_id: position.value(&["IdentificativoPosizione"]).map(str::to_owned),
        due_date,
        payment: None,
        whole: None,
        unfit: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            creditor: "02438750586".to_owned(),
            notice: "347250123456789084".to_owned(),
            data: crate::domain::act::PositionData::default(),
            payers: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_written_in_the_order_of_wcf() {
        let fields = [("DataScandenza", "2026-12-01T00:00:00".to_owned()), ("ImportoInCentesimi", "1250".to_owned())];
        let request = Request { application: "a<b", ente: "0001234", iuv: "47250123456789084", fields: &fields };
        let text = String::from_utf8(envelope(Service::Feed, RECTIFY, &request)).unwrap();
        let body = text.split("<soapenv:Body>").nth(1).unwrap();
        assert_eq!(
            body,
            "<RettificaPosizione xmlns=\"http://e-fil.eu/PnP/PlugAndPayFeed\"><request><IdApplicazione>a&lt;b</IdApplicazione>\
             <CodiceEnte>0001234</CodiceEnte><CodiceIdentificativo>47250123456789084</CodiceIdentificativo>\
             <DataScandenza>2026-12-01T00:00:00</DataScandenza><ImportoInCentesimi>1250</ImportoInCentesimi></request>\
             </RettificaPosizione></soapenv:Body></soapenv:Envelope>"
        );
        assert_eq!(
            Service::Deliver.action(SEARCH),
            "http://e-fil.eu/PnP/PlugAndPayDeliver/IPlugAndPayDeliver/RicercaPosizionePerIdentificavo"
        );
    }

    #[test]
    fn a_position_is_read_or_refused() {
        let soap = |inside: &str| {
            format!(
                "<s:Envelope xmlns:s=\"{}\"><s:Body><{SEARCH}Response xmlns='urn:x'><{SEARCH}Result>{inside}</{SEARCH}Result></{SEARCH}Response></s:Body></s:Envelope>",
                soap::ENVELOPE
            )
        };
        let position = |notice: &str, state: &str, amount: &str| {
            soap(&format!(
                "<Posizione><DataScadenza>2026-12-01T00:00:00</DataScadenza><ImportoInCentesimi>{amount}</ImportoInCentesimi>\
                 <NumeroAvviso>{notice}</NumeroAvviso><StatoPosizione>{state}</StatoPosizione></Posizione>"
            ))
        };
        let own = "347250123456789084";
        let table = [
            (position(own, "NonPagata", "1250"), Ok(Some((HeldState::Payable, 1250)))),
            (position(own, "Pagata", "0"), Ok(Some((HeldState::Paid, 0)))),
            (position(own, "PagataParzialmente", "1250"), Ok(Some((HeldState::BeingPaid, 1250)))),
            (position("302000000000000184", "NonPagata", "1250"), Err("the answer is about another notice")),
            (position("", "NonPagata", "1250"), Err("the answer has no NumeroAvviso")),
            (position(own, "Sospesa", "1250"), Err("an unknown StatoPosizione")),
            (position(own, "NonPagata", "-1"), Err("an amount that cannot be read")),
            (position(own, "NonPagata", "12,50"), Err("an amount that cannot be read")),
            (soap(""), Ok(None)),
            (soap("<Posizione/>"), Ok(None)),
        ];
        for (body, want) in table {
            let got = match read_position(body.as_bytes()).unwrap() {
                None => Ok(None),
                Some(position) => held(&position, &asked()).map(|held| Some((held.state, held.amount.unwrap().get()))),
            };
            let got = got.map_err(|error| error.to_string().replace("protocol: ", ""));
            assert_eq!(got, want.map_err(str::to_owned), "{body}");
        }
    }
}
