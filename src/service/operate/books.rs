//! The books: every order is written down before it is carried out, and how it ended afterwards. One place for all of them, by
//! the language of the socket: a request that is not known to be a mere look is an order.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{OperateError, Operator, looks_like_a_tax_id};
use crate::service::control::Request;
use crate::service::report::{AuditEntry, AuditReport, OrderEntry, SealsEntry};
use crate::service::who::Who;
use crate::store::OrderLine;

/// Lines of one answer.
const MOST: usize = 100_000;
/// Requests that only look: they are not in the books. (A search for a person is, at its first page.)
const LOOKS: &[&str] =
    &["status", "batches", "batch", "act", "audit", "defender", "sftp", "where", "alerts", "restored", "position", "pt_list"];

/// Which lines of the books are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one gestionale: then of the door only.
    pub account: Option<String>,
    /// A part of who ordered: then orders only.
    pub who: Option<String>,
    /// Orders of one kind only.
    pub command: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub limit: usize,
    /// Check the seals of the orders.
    pub verify: bool,
    /// `Some(true)`: orders only; `Some(false)`: the door only.
    pub orders: Option<bool>,
}

impl Operator {
    /// Writes an order down. `None`: it only looks. An order that cannot be written down is not carried out.
    pub async fn begin_order(&self, request: &Request, who: &Who) -> Result<Option<i64>, OperateError> {
        let Some((command, about, why)) = self.told(request).await? else { return Ok(None) };
        let line = OrderLine { who: who.as_str().to_owned(), command, about: Value::Object(about).to_string(), why };
        Ok(Some(self.store.note_order(line, self.clock.now()).await?))
    }

    /// Writes down how it ended: `OK`, or a code.
    pub async fn end_order(&self, order: i64, outcome: &str) {
        if let Err(error) = self.store.note_outcome(order, outcome, self.clock.now()).await {
            tracing::error!(order, %error, "l'esito di un ordine non può essere scritto nel registro");
        }
    }

    /// Command, arguments and reason of an order, without anything that names a person.
    async fn told(&self, request: &Request) -> Result<Option<(String, Map<String, Value>, Option<String>)>, OperateError> {
        let Ok(Value::Object(mut about)) = serde_json::to_value(request) else { return Ok(None) };
        let command = about.remove("do").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let later_page = command == "person_find" && about.get("from").is_some_and(|from| !from.is_null());
        let only_shown = command == "report" && about.get("send").is_none_or(|send| send == &Value::Bool(false));
        let only_asked = command == "pt_try" && about.get("change").is_none_or(Value::is_null);
        if LOOKS.contains(&command.as_str()) || later_page || only_shown || only_asked {
            return Ok(None);
        }
        if let Some(tax_id) = about.remove("tax_id").as_ref().and_then(Value::as_str) {
            about.insert("person".to_owned(), self.store.person_digest(tax_id).await?.into());
        }
        // People: who owes, who is written to.
        about.remove("debtor_name");
        if let Some(Value::Array(to)) = about.get("to") {
            let count = to.len();
            about.insert("to".to_owned(), count.into());
        }
        let why = about.remove("reason").and_then(|why| why.as_str().map(masked));
        let mut about: Map<String, Value> = about.into_iter().filter(|(_, value)| !value.is_null()).collect();
        for value in about.values_mut() {
            if let Value::String(text) = value {
                *text = masked(text);
            }
        }
        Ok(Some((command, about, why)))
    }

    /// The books of the door and of operators, the newest first.
    pub async fn audit(&self, wanted: Wanted) -> Result<AuditReport, OperateError> {
        let (from, to) = (wanted.from.unwrap_or(Timestamp::UNIX_EPOCH), wanted.to.unwrap_or(Timestamp::MAX));
        let limit = wanted.limit.clamp(1, MOST);
        let mut report = AuditReport { events: Vec::new(), orders: Vec::new(), seals: None };
        let only_orders = wanted.orders == Some(true) || wanted.who.is_some() || wanted.command.is_some();
        if !only_orders {
            let events = self.store.door_events(wanted.account.as_deref(), from, to, limit).await?;
            report.events = events.into_iter().map(AuditEntry::from).collect();
        }
        if wanted.orders != Some(false) && wanted.account.is_none() {
            let orders = self.store.orders((from, to), wanted.who.as_deref(), wanted.command.as_deref(), limit).await?;
            report.orders = orders.into_iter().map(OrderEntry::from).collect();
        }
        if wanted.verify {
            let seals = self.store.check_seals().await?;
            report.seals = Some(SealsEntry { rows: seals.rows, broken: seals.broken });
        }
        Ok(report)
    }
}

/// The text, unless it holds the codice fiscale of a person, which has no place in the books.
fn masked(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut clean = text.to_owned();
    for word in words.filter(|word| looks_like_a_tax_id(word)) {
        clean = clean.replace(word, "***");
    }
    clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::service::operate::TaxId;
    use crate::store::Store;

    #[tokio::test]
    async fn orders_are_in_the_books_looks_are_not_and_nobody_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let operator = Operator::without_hub(Store::open(dir.path()).unwrap(), Clock::REAL);
        let reason = || "chiesto, v. RSSMRA80A01H501U".to_owned();
        let tax_id = || TaxId::typed("RSSMRA80A01H501U");
        let table = [
            (Request::Status, None),
            (Request::Act { text: "RSSMRA80A01H501U".to_owned() }, None),
            (Request::Where { text: "rossi.zip".to_owned() }, None),
            (Request::RetryAct { text: "TARI-1".to_owned(), reason: reason() }, Some("retry_act")),
            (Request::DefenderLift { address: "192.0.2.1".to_owned(), reason: "era il gestionale".to_owned() }, Some("defender_lift")),
            (Request::PublishRebuild { source: None, from: None, reason: None }, Some("publish_rebuild")),
            (Request::MailTest { to: vec!["anna@esempio.it".to_owned()] }, Some("mail_test")),
            (Request::PtList, None),
            (Request::PersonFind { tax_id: tax_id(), from: None }, Some("person_find")),
            (Request::PersonFind { tax_id: tax_id(), from: Some(crate::service::report::PersonStage::Told { after: 7 }) }, None),
            (Request::PersonErase { tax_id: tax_id(), acts: Vec::new(), batches: Vec::new(), reason: reason() }, Some("person_erase")),
        ];
        let mut persons = Vec::new();
        for (request, want) in table {
            let told = operator.told(&request).await.unwrap();
            assert_eq!(told.as_ref().map(|(command, ..)| command.as_str()), want, "{request:?}");
            let shown = format!("{told:?} {request:?}");
            let named = matches!(request, Request::Act { .. } | Request::RetryAct { .. }) || want == Some("person_erase");
            assert!(named || !shown.contains("RSSMRA"), "{shown}");
            assert!(!format!("{told:?}").contains("RSSMRA") && !format!("{told:?}").contains('@'), "{told:?}");
            persons.extend(told.and_then(|(_, mut about, _)| about.remove("person")));
        }
        assert_eq!(persons.len(), 2);
        assert_eq!(persons[0], persons[1], "the same person, the same digest");
        assert_eq!(persons[0].as_str().map(str::len), Some(32));
    }
}
