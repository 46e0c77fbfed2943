//! Legal facts: which element carries one, their list, metadata and presigned download. The bytes are made when asked
//! for, always the same for the same element: PDFs by hand, PEC receipts as XML and EML.

use std::fmt::Write;

use jiff::Timestamp;

use super::App;
use super::auth::Caller;
use super::http::{Call, not_found_iun};
use super::model::{Category, Element, NOBODY, Notification};
use super::preload::{URL_LIFETIME, check_presigned, presigned, xml_error};
use super::render;
use super::reply::{Problem, Reply};

/// Seconds told by a fact in cold storage, the first time.
const COLD_SECONDS: u32 = 60;

/// A kind of legal fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    SenderAck,
    PecAcceptance,
    PecDelivery,
    DigitalDelivery,
    PrintedCopy,
    PostalScan,
    RecipientAccess,
    Unreachable,
    Cancelled,
}

impl Fact {
    /// The fact that an element carries.
    pub fn of(element: &Element) -> Option<Fact> {
        Some(match element.category {
            Category::RequestAccepted => Fact::SenderAck,
            Category::DigitalProgress => Fact::PecAcceptance,
            Category::DigitalFeedback => Fact::PecDelivery,
            Category::DigitalSuccess | Category::DigitalFailure => Fact::DigitalDelivery,
            Category::AnalogProgress if element.code == "CON020" => Fact::PrintedCopy,
            Category::AnalogProgress if element.code.ends_with(['B', 'E']) => Fact::PostalScan,
            Category::Viewed => Fact::RecipientAccess,
            Category::CompletelyUnreachable => Fact::Unreachable,
            Category::Cancelled => Fact::Cancelled,
            _ => return None,
        })
    }

    /// `LegalFactCategoryV20`.
    pub fn category(self) -> &'static str {
        match self {
            Fact::SenderAck => "SENDER_ACK",
            Fact::PecAcceptance | Fact::PecDelivery => "PEC_RECEIPT",
            Fact::DigitalDelivery => "DIGITAL_DELIVERY",
            Fact::PrintedCopy | Fact::PostalScan => "ANALOG_DELIVERY",
            Fact::RecipientAccess => "RECIPIENT_ACCESS",
            Fact::Unreachable => "ANALOG_FAILURE_DELIVERY",
            Fact::Cancelled => "NOTIFICATION_CANCELLED",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Fact::PecAcceptance => "xml",
            Fact::PecDelivery => "eml",
            _ => "pdf",
        }
    }

    /// Key in the storage, without `safestorage://`; it tells notification and element to who can read it.
    pub fn key(self, number: u32, position: usize) -> String {
        let prefix = match self {
            Fact::PrintedCopy => "PN_PRINTED",
            Fact::PecAcceptance | Fact::PecDelivery | Fact::PostalScan => "PN_EXTERNAL_LEGAL_FACTS",
            _ => "PN_LEGAL_FACTS",
        };
        format!("{prefix}-{number:08x}{position:04x}{:016x}.{}", check(number, position), self.extension())
    }

    fn title(self) -> &'static str {
        match self {
            Fact::SenderAck => "Attestazione opponibile a terzi: notifica presa in carico",
            Fact::PecAcceptance => "Ricevuta di accettazione PEC",
            Fact::PecDelivery => "Ricevuta di consegna PEC",
            Fact::DigitalDelivery => "Attestazione opponibile a terzi: notifica digitale",
            Fact::PrintedCopy => "Copia dell'avviso di avvenuta ricezione stampato",
            Fact::PostalScan => "Scansione della documentazione postale",
            Fact::RecipientAccess => "Attestazione opponibile a terzi: avvenuto accesso",
            Fact::Unreachable => "Attestazione opponibile a terzi: deposito di avvenuta ricezione",
            Fact::Cancelled => "Attestazione opponibile a terzi: annullamento della notifica",
        }
    }
}

fn check(number: u32, position: usize) -> u64 {
    super::faults::mix((u64::from(number) << 16) ^ position as u64 ^ 0x5EED)
}

/// Notification and element behind a key that this simulator gave.
fn parse_key(key: &str) -> Option<(u32, usize)> {
    let (_, rest) = key.rsplit_once('-')?;
    let (digits, _) = rest.split_once('.')?;
    let number = u32::from_str_radix(digits.get(..8)?, 16).ok()?;
    let position = usize::from_str_radix(digits.get(8..12)?, 16).ok()?;
    (u64::from_str_radix(digits.get(12..28)?, 16).ok()? == check(number, position)).then_some((number, position))
}

/// The fact of a key, if its element has happened.
fn find<'a>(note: &'a Notification, number: u32, position: usize, key: &str) -> Option<(Fact, &'a Element)> {
    let element = note.past().get(position)?;
    let fact = Fact::of(element)?;
    (fact.key(number, position) == key).then_some((fact, element))
}

/// `GET /delivery-push/v2.0/{iun}/legal-facts`.
pub fn list(app: &App, caller: &Caller, iun: &str) -> Reply {
    let state = app.lock();
    let Some((number, note)) = state.accepted(iun, caller.pa, &caller.groups) else { return not_found_iun(iun) };
    let mut out = String::from("[");
    for (position, element) in note.past().iter().enumerate().filter(|(_, element)| !element.void) {
        let Some(fact) = Fact::of(element) else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        let _ = write!(out, "{{\"iun\":\"{iun}\"");
        if let Some(recipient) = note.recipients.get(usize::from(element.rec)) {
            out.push_str(",\"taxId\":");
            render::text(&mut out, &recipient.tax_id);
        }
        let _ = write!(
            out,
            ",\"legalFactsId\":{{\"key\":\"safestorage://{}\",\"category\":\"{}\"}}}}",
            fact.key(number, position),
            fact.category()
        );
    }
    out.push(']');
    Reply::json(200, out)
}

/// `GET /delivery-push/{iun}/download/legal-facts/{legalFactId}`.
pub fn metadata(app: &App, caller: &Caller, call: &Call<'_>, iun: &str, id: &str) -> Reply {
    let missing =
        || Problem::new(404, "Not Found").error("PN_DELIVERY_FILEINFONOTFOUND", None, format!("Documento {id} non trovato")).reply();
    let Some((number, position)) = parse_key(id) else { return missing() };
    let mut guard = app.lock();
    let state = &mut *guard;
    let Some((mine, note)) = state.accepted(iun, caller.pa, &caller.groups) else { return not_found_iun(iun) };
    let Some((fact, element)) = find(note, number, position, id).filter(|_| mine == number) else { return missing() };
    let length = bytes(fact, note, element).len();
    let share = super::faults::draw(app.seed, u64::from(number), 0, position as u64);
    let place = (number, u32::try_from(position).unwrap_or(u32::MAX));
    if share < app.limits.cold_facts && state.cold_facts_asked.insert(place) {
        return Reply::json(200, format!("{{\"filename\":\"{id}\",\"contentLength\":{length},\"retryAfter\":{COLD_SECONDS}}}"));
    }
    let host = call.header("host").map_or_else(|| app.addr.to_string(), str::to_owned);
    let url = presigned(app, &host, "legal-facts", id, App::real_now() + URL_LIFETIME);
    Reply::json(200, format!("{{\"filename\":\"{id}\",\"contentLength\":{length},\"url\":\"{url}\"}}"))
}

/// Presigned `GET`.
pub fn download(app: &App, key: &str, call: &Call<'_>) -> Reply {
    if let Err(reply) = check_presigned(app, "legal-facts", key, call) {
        return reply;
    }
    let missing = || xml_error(404, "NoSuchKey", "The specified key does not exist.");
    let Some((number, position)) = parse_key(key) else { return missing() };
    let state = app.lock();
    let found = state.notification(number).and_then(|note| find(note, number, position, key).map(|(fact, element)| (fact, note, element)));
    let Some((fact, note, element)) = found else { return missing() };
    let content_type = match fact.extension() {
        "xml" => "application/xml",
        "eml" => "message/rfc822",
        _ => "application/pdf",
    };
    Reply { content_type, ..Reply::json(200, bytes(fact, note, element)) }
}

/// The file itself.
fn bytes(fact: Fact, note: &Notification, element: &Element) -> Vec<u8> {
    let at = Timestamp::from_millisecond(element.at).unwrap_or_default();
    let mut id = String::new();
    render::element_id(&mut id, note, element);
    let pec = note.recipients.get(usize::from(element.rec)).map_or("", |recipient| &recipient.pec);
    match fact {
        Fact::PecAcceptance => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<postacert tipo=\"accettazione\" errore=\"nessuno\">\n  <intestazione>\n    \
             <mittente>send@pec.sandbox.invalid</mittente>\n    <destinatari tipo=\"certificato\">{}</destinatari>\n    <oggetto>{}</oggetto>\n  \
             </intestazione>\n  <dati>\n    <identificativo>{id}</identificativo>\n    <data>{at}</data>\n  </dati>\n</postacert>\n",
            xml_text(pec),
            note.iun
        )
        .into_bytes(),
        Fact::PecDelivery => {
            let outcome = if element.ok { "avvenuta-consegna" } else { "errore-consegna" };
            let date = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
            format!(
                "From: posta-certificata@pec.sandbox.invalid\r\nTo: send@pec.sandbox.invalid\r\nSubject: {outcome}: {iun}\r\nDate: {date}\r\n\
                 Message-ID: <{id}@pec.sandbox.invalid>\r\nX-Ricevuta: {outcome}\r\nMIME-Version: 1.0\r\n\
                 Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                 Ricevuta simulata. Messaggio {iun}, esito {outcome}, codice {code}.\r\n",
                iun = note.iun,
                code = element.code
            )
            .into_bytes()
        }
        _ => {
            let mut lines = vec![
                fact.title().to_owned(),
                format!("IUN {}", note.iun),
                format!("Data e ora (UTC): {at}"),
                format!("Elemento: {id}"),
            ];
            if element.rec != NOBODY {
                lines.push(format!("Destinatario n. {}", element.rec));
            }
            if !element.code.is_empty() {
                lines.push(format!("Esito postale: {} {}", element.code, element.cause));
            }
            lines.push("Documento prodotto dal simulatore di SEND: non ha alcun valore legale.".to_owned());
            pdf(&lines)
        }
    }
}

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One A4 page of text lines: five objects, a cross-reference table, nothing else.
fn pdf(lines: &[String]) -> Vec<u8> {
    let mut page = String::from("BT /F1 11 Tf 56 780 Td 18 TL\n");
    for line in lines {
        page.push('(');
        for c in line.chars() {
            match c {
                '(' | ')' | '\\' => {
                    page.push('\\');
                    page.push(c);
                }
                ' '..='~' => page.push(c),
                // WinAnsi agrees with Latin-1 here.
                '\u{a0}'..='\u{ff}' => {
                    let _ = write!(page, "\\{:03o}", c as u32);
                }
                _ => page.push('?'),
            }
        }
        page.push_str(") Tj T*\n");
    }
    page.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 4 0 R >> >> /Contents 5 0 R >>".to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{page}\nendstream", page.len()),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::with_capacity(objects.len());
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        let _ = write!(out, "{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let start = out.len();
    let _ = write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(out, "{offset:010} 00000 n ");
    }
    let _ = write!(out, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_place_and_no_other_does() {
        let key = Fact::SenderAck.key(70_000, 12);
        assert_eq!(parse_key(&key), Some((70_000, 12)), "{key}");
        for text in ["", "PN_LEGAL_FACTS-00.pdf", "PN_LEGAL_FACTS-000111700000c0000000000000000.pdf", "è-è.è", &key.replace("117", "118")]
        {
            assert_eq!(parse_key(text), None, "{text}");
        }
    }

    #[test]
    fn the_pdf_opens() {
        let bytes = pdf(&["Città (di) \\ prova €".to_owned(), "seconda".to_owned()]);
        let document = lopdf::Document::load_mem(&bytes).unwrap();
        assert_eq!(document.get_pages().len(), 1);
        let text = document.extract_text(&[1]).unwrap();
        assert!(text.contains("Città (di) \\ prova ?"), "{text:?}");
    }
}
