//! A PT described by a file: REST/JSON or SOAP/XML, by templates. For partners that expose verify and update and have no connector.
//!
//! What the description does not declare the PT cannot do. Before it changes anything the position is read, so that a paid,
//! being-paid or cancelled one is left alone, and so that a template may write back what it held.

mod answer;
mod definition;
mod template;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Request, Url};

use self::answer::{Place, Told, Tree};
use self::definition::{AccessKind, Definition, GrantKind, Operation};
use self::template::{AccessView, ChangeView, PayerView, View};
use super::call::{Answer, call};
use super::rest::{code, protocol, refused, sound, touchable};
use super::token::{Grant, Tokens};
use super::{PtSettings, PtSetupError};
use crate::config::secret::Secret;
use crate::config::{DescriptionFault, PaymentRoute, PtConfig};
use crate::connectors::ConnectorError;
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held, HeldState, PaymentSeen};
use crate::flow::shape::Located;

/// Bytes of a description.
const LONGEST: u64 = 256 << 10;

/// A declared PT.
#[derive(Clone)]
pub struct Declared {
    settings: Arc<PtSettings>,
    definition: Arc<Definition>,
    base: String,
    needs_position_id: bool,
    tokens: Option<Arc<Tokens>>,
}

/// Everything that is wrong in the description of a block, with its lines: `messo check` prints it. `pushes`: amounts are to be
/// changed there.
#[must_use]
pub fn check(config: &PtConfig, pushes: bool) -> Vec<Located<DescriptionFault>> {
    match load(config) {
        Ok(definition) => {
            let credential = definition.missing(config).map(|key| DescriptionFault::Credential { key });
            let update = (pushes && definition.update.is_none()).then_some(DescriptionFault::Wanted { key: "[update]" });
            credential.into_iter().chain(update).map(|fault| located(config, fault)).collect()
        }
        Err(faults) => faults,
    }
}

fn located(config: &PtConfig, fault: DescriptionFault) -> Located<DescriptionFault> {
    let file = config.definition.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    Located { file, line: 1, key: String::new(), fault }
}

fn load(config: &PtConfig) -> Result<Definition, Vec<Located<DescriptionFault>>> {
    let path = config.definition.as_deref().unwrap_or(Path::new(""));
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    if let Err(error) = read {
        let message = error.kind().to_string();
        return Err(vec![located(config, DescriptionFault::Shape(crate::flow::shape::ShapeFault::Unreadable { message }))]);
    }
    Definition::read(&text, &path.display().to_string())
}

impl Declared {
    /// Reads and checks its description.
    pub fn new(settings: PtSettings) -> Result<Declared, PtSetupError> {
        let config = &settings.config;
        let definition = load(config).map_err(|faults| {
            let first = faults.into_iter().next();
            let (line, fault) = first.map(|located| (located.line, located.fault.to_string())).unwrap_or_default();
            PtSetupError::Definition { line, fault }
        })?;
        if let Some(key) = definition.missing(config) {
            return Err(PtSetupError::Missing { key });
        }
        let url = config.url.clone().ok_or(PtSetupError::Missing { key: "url" })?;
        if Url::parse(&url).is_err() {
            return Err(PtSetupError::BaseUrl(url));
        }
        let needs_position_id = definition.templates.names(&definition.verify, "id_posizione");
        let access = &definition.access;
        let grant = match access.grant {
            GrantKind::Form => Grant::Form,
            GrantKind::Basic => Grant::Basic,
            GrantKind::Query => Grant::Query,
        };
        let tokens = match access.kind {
            AccessKind::Bearer => Some(Arc::new(Tokens::new(&settings, grant, access.scope.as_deref())?)),
            _ => None,
        };
        Ok(Declared {
            tokens,
            needs_position_id,
            base: url.trim_end_matches('/').to_owned(),
            definition: Arc::new(definition),
            settings: Arc::new(settings),
        })
    }

    /// What its description declares.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let Definition { verify, update, cancel, .. } = &*self.definition;
        Capabilities {
            verify: true,
            tells_amount: verify.answer.amount.is_some(),
            needs_position_id: self.needs_position_id,
            changes_by_position_id: self.needs_position_id,
            ties_position_id: self.ties_position_id(),
            update: update.is_some(),
            moves_date: update.as_ref().is_some_and(|update| self.definition.templates.names(update, "scadenza")),
            tells_date: verify.answer.due_date.is_some(),
            answers_later: update.as_ref().is_some_and(|update| update.answer.ticket.is_some()),
            fee_apart: false,
            cancel: cancel.is_some(),
        }
    }

    /// Asked by its id of a position, it says of which notice that is.
    fn ties_position_id(&self) -> bool {
        let places = &self.definition.verify.answer;
        self.needs_position_id && (places.notice.is_some() || places.iuv.is_some())
    }

    /// What it holds for a notice.
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        self.look(route, asked).await.map(|(held, _)| held)
    }

    /// Reads the position, and changes it if it may be changed.
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        let Some(update) = &self.definition.update else { return Err(not_declared("update")) };
        sound(change)?;
        let letto = self.open(route, asked).await?;
        let form = self.definition.amounts;
        let cambio = ChangeView {
            importo: template::amount(form, change.amount),
            costo: template::amount(form, change.cost),
            importo_senza_costo: template::amount(form, Cents(change.amount.get() - change.cost.get())),
            scadenza: change.due_date.map(|day| template::day(self.definition.dates, day)),
            voce_costo: change.cost_place.clone(),
            motivo: change.reason.clone(),
        };
        let view = View { chiave: change.key.clone(), cambio: Some(cambio), letto, ..self.view(route, asked) };
        self.write(update, &view, asked).await
    }

    /// Makes the position no longer payable.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, key: &str) -> Result<Changed, ConnectorError> {
        let Some(cancel) = &self.definition.cancel else { return Err(not_declared("cancel")) };
        let letto = self.open(route, asked).await?;
        let view = View { chiave: key.to_owned(), letto, ..self.view(route, asked) };
        self.write(cancel, &view, asked).await
    }

    /// Reads the position and refuses one that may not be touched.
    async fn open(
        &self,
        route: &PaymentRoute,
        asked: &Asked,
    ) -> Result<std::collections::BTreeMap<String, serde_json::Value>, ConnectorError> {
        let (held, tree) = self.look(route, asked).await?;
        touchable(held.state)?;
        let places = &self.definition.verify.answer;
        let text =
            |place: &Option<Place>| place.as_ref().and_then(|place| tree.text(place)).map(serde_json::Value::from).unwrap_or_default();
        let ready = [("importo", text(&places.amount)), ("id_posizione", text(&places.position_id)), ("scadenza", text(&places.due_date))];
        let kept = places.keep.iter().map(|(name, place)| (name.clone(), tree.value(place)));
        Ok(ready.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(kept).collect())
    }

    /// Reads the position: what it comes to, and the answer itself.
    async fn look(&self, route: &PaymentRoute, asked: &Asked) -> Result<(Held, Tree), ConnectorError> {
        let Definition { verify, amounts, dates, format, .. } = &*self.definition;
        if self.needs_position_id && asked.data.position_id.is_none() {
            return Err(refused(code::POSITION_ID));
        }
        let answer = self.call(verify, &self.view(route, asked), false).await?;
        let mut held = Held::of(HeldState::NotActive);
        let tree = match answer::judge(verify, *format, &answer, false)? {
            Told::Fine(tree) => tree,
            Told::State(state) => return Ok((Held { state, ..held }, Tree::Nothing)),
        };
        let places = &verify.answer;
        let text = |place: &Option<Place>| place.as_ref().and_then(|place| tree.text(place));
        about(places, &tree, asked).map_err(|error| match error {
            // It answered what it was asked: the id is of another notice.
            ConnectorError::Protocol { what } if what == OTHER && self.ties_position_id() => super::rest::other_notice(),
            error => error,
        })?;
        held.notice = (places.notice.is_some() || places.iuv.is_some()).then(|| asked.notice.clone());
        held.creditor = text(&places.creditor);
        if held.creditor.as_ref().is_some_and(|creditor| *creditor != asked.creditor && Some(creditor) != route.ente.as_ref()) {
            return Err(protocol("the answer is about another creditor"));
        }
        held.creditor = held.creditor.map(|_| asked.creditor.clone());
        held.state = match (&places.state, text(&places.state)) {
            (None, _) => places.found.ok_or_else(|| protocol("no state"))?,
            (Some(_), None) => places.found.ok_or_else(|| protocol("the answer has no state"))?,
            (Some(_), Some(word)) => *verify.states.get(&word).ok_or_else(|| protocol("the answer has a state that is not declared"))?,
        };
        let money = |place: &Option<Place>| match text(place) {
            None => Ok(None),
            Some(text) => answer::amount(*amounts, &text).map(Some).ok_or_else(|| protocol("the answer has an amount that cannot be read")),
        };
        held.amount = money(&places.amount)?;
        if places.amount.is_some() && held.amount.is_none() && held.state == HeldState::Payable {
            return Err(protocol("the answer has no amount"));
        }
        held.position_id = text(&places.position_id);
        held.due_date = match text(&places.due_date) {
            None => None,
            Some(text) => Some(answer::day(*dates, &text).ok_or_else(|| protocol("the answer has a date that cannot be read"))?),
        };
        if held.state == HeldState::Paid
            && let Some(paid_at) = text(&places.paid_at)
        {
            let paid_at = answer::instant(*dates, &paid_at).ok_or_else(|| protocol("the answer has a date that cannot be read"))?;
            let amount = money(&places.paid_amount)?.or(held.amount);
            held.payment = amount.map(|amount| PaymentSeen { paid_at, amount, receipt: text(&places.receipt) });
        }
        Ok((held, tree))
    }

    /// Makes a call that changes something.
    async fn write(&self, operation: &Operation, view: &View, asked: &Asked) -> Result<Changed, ConnectorError> {
        let answer = self.call(operation, view, true).await?;
        let tree = match answer::judge(operation, self.definition.format, &answer, true)? {
            Told::Fine(tree) => tree,
            Told::State(_) => return Err(protocol("a state where an outcome was wanted")),
        };
        if !matches!(tree, Tree::Nothing) {
            about(&operation.answer, &tree, asked)?;
        }
        Ok(match operation.answer.ticket.as_ref().and_then(|place| tree.text(place)) {
            Some(ticket) => Changed::TakenInCharge { ticket },
            None => Changed::Done,
        })
    }

    async fn call(&self, operation: &Operation, view: &View, writes: bool) -> Result<Answer, ConnectorError> {
        let Some(tokens) = &self.tokens else { return call(&self.settings, self.request(operation, view)?, writes).await };
        let make = |token| {
            let mut request = self.request(operation, view)?;
            request.headers_mut().insert(AUTHORIZATION, token);
            Ok(request)
        };
        tokens.call(&self.settings, make, writes).await
    }

    fn view(&self, route: &PaymentRoute, asked: &Asked) -> View {
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        View {
            ente: route.ente.clone().unwrap_or_else(|| asked.creditor.clone()),
            codice_fiscale_ente: asked.creditor.clone(),
            servizio: route.service.clone(),
            avviso: asked.notice.clone(),
            iuv: notice_code::iuv(&asked.notice).unwrap_or_default().to_owned(),
            id_posizione: asked.data.position_id.clone(),
            tipo_dovuto: asked.data.due_type.clone().or_else(|| route.service.clone()),
            causale: asked.data.remittance_information.clone(),
            bilancio: asked.data.balance.clone(),
            pagatore: asked.payers.first().map(|payer| PayerView {
                tipo: if payer.natural { "F" } else { "G" }.to_owned(),
                codice_fiscale: payer.tax_id.clone(),
                denominazione: payer.denomination.clone(),
            }),
            accesso: AccessView {
                utente: self.settings.config.username.clone(),
                password: exposed(&self.settings.password),
                chiave: exposed(&self.settings.api_key),
            },
            ..View::default()
        }
    }

    fn request(&self, operation: &Operation, view: &View) -> Result<Request, ConnectorError> {
        let templates = &self.definition.templates;
        // Samples do not show everything: what fails here is told to a person.
        let render = |template| templates.render(template, view).map_err(|(_, fault)| protocol(&format!("template: {fault}")));
        let path = render(&operation.path)?;
        let url = Url::parse(&format!("{}{path}", self.base)).map_err(|_| protocol("path"))?;
        let mut request = Request::new(operation.method.clone(), url);
        let config = &self.settings.config;
        let body = operation.body.as_ref().map(&render).transpose()?;
        let headers = request.headers_mut();
        for (name, template) in &operation.headers {
            let value = HeaderValue::from_str(&render(template)?).map_err(|_| protocol("header"))?;
            headers.insert(name, value);
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, operation.content_type.clone());
        }
        let access = &self.definition.access;
        if let (AccessKind::ApiKey, Some(header), Some(key)) = (access.kind, &access.header, &self.settings.api_key) {
            let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| protocol("header"))?;
            let mut value = HeaderValue::from_str(&format!("{}{}", access.prefix, key.expose())).map_err(|_| protocol("key"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(body) = body {
            *request.body_mut() = Some(body.into());
        }
        if let (AccessKind::Basic, Some(username), Some(password)) = (access.kind, &config.username, &self.settings.password) {
            let builder = reqwest::RequestBuilder::from_parts(self.settings.http.clone(), request);
            return builder.basic_auth(username, Some(password.expose())).build().map_err(|_| protocol("credentials"));
        }
        Ok(request)
    }
}

/// An answer about another notice than the one asked for.
const OTHER: &str = "the answer is about another notice";

/// Refuses an answer about another notice, or one that should say which it is about and does not.
fn about(places: &definition::Places, tree: &Tree, asked: &Asked) -> Result<(), ConnectorError> {
    let iuv = notice_code::iuv(&asked.notice).unwrap_or_default();
    for (place, wanted) in [(&places.notice, asked.notice.as_str()), (&places.iuv, iuv)] {
        let Some(place) = place else { continue };
        match tree.text(place) {
            Some(found) if found == wanted => {}
            Some(_) => return Err(protocol(OTHER)),
            None => return Err(protocol("the answer does not say which notice it is about")),
        }
    }
    Ok(())
}

fn not_declared(what: &str) -> ConnectorError {
    protocol(&format!("`{what}` is not declared"))
}

#[cfg(test)]
mod tests;
