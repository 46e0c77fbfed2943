//! A new notification request, and the status of one.

use serde_json::{Map, Value};

use super::App;
use super::auth::Caller;
use super::checks::{self, Checked};
use super::engine::{Conflict, token_key};
use super::model::{End, FileRef, Notification, Phase, Product, Recipient, Status};
use super::reply::{Problem, Reply, body_value, query};
use super::{render, stories};
use crate::domain::digest::Sha256;

/// `POST /delivery/v2.5/requests`.
pub fn send(app: &App, caller: &Caller, body: &[u8]) -> Reply {
    let mut value = match body_value(body) {
        Ok(value) => value,
        Err(reply) => return reply,
    };
    let Some(object) = value.as_object_mut() else {
        return Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER", Some("body"), "Invalid request body").reply();
    };
    if caller.disabled {
        let detail = "Il mittente non è abilitato all'invio";
        return Problem::new(400, "Bad Request").error("PN_DELIVERY_SEND_IS_DISABLED", None, detail).reply();
    }
    let checked = match checks::check(object, caller) {
        Ok(checked) => checked,
        Err(problem) => return problem.reply(),
    };
    let now = app.now();
    let note = build(object, checked, caller, now);
    let (protocol, token) = (note.protocol.clone(), note.token.clone());
    let month = app.month(now);
    let taken = {
        let mut state = app.lock();
        if let Some(refusal) = count_in_quota(&mut state, caller, month) {
            return refusal;
        }
        let taken = state.submit(note, month, app.seed);
        if taken.is_err() {
            // A conflicting request gives its unit back.
            if let Some(pa) = state.pas.get_mut(caller.pa as usize) {
                pa.sent_in_month = pa.sent_in_month.saturating_sub(1);
            }
        }
        taken
    };
    match taken {
        Ok((iun, next)) => {
            if next {
                app.wake.notify_one();
            }
            let mut out = format!("{{\"notificationRequestId\":\"{}\",\"paProtocolNumber\":", render::request_id(&iun));
            render::text(&mut out, &protocol);
            if !token.is_empty() {
                out.push_str(",\"idempotenceToken\":");
                render::text(&mut out, &token);
            }
            out.push('}');
            Reply::json(202, out)
        }
        Err(Conflict(elements)) => {
            let mut problem = Problem::new(409, "Conflict");
            for element in elements {
                problem.add("PN_GENERIC_INVALIDPARAMETER_DUPLICATED", Some(element), element);
            }
            problem.reply()
        }
    }
}

fn count_in_quota(state: &mut super::State, caller: &Caller, month: u32) -> Option<Reply> {
    let pa = state.pas.get_mut(caller.pa as usize)?;
    if pa.month != month {
        (pa.month, pa.sent_in_month) = (month, 0);
    }
    if caller.monthly_quota.is_some_and(|quota| pa.sent_in_month >= quota) {
        let detail = "Superato il numero di notifiche previsto per il mese";
        return Some(Problem::new(400, "Bad Request").error("PN_DELIVERY_NOTIFICATION_LIMIT_EXCEEDED", None, detail).reply());
    }
    pa.sent_in_month += 1;
    None
}

fn word<'a>(object: &'a Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn build(object: &mut Map<String, Value>, checked: Checked, caller: &Caller, now: i64) -> Notification {
    let act_890 = word(object, "physicalCommunicationType") == "REGISTERED_LETTER_890";
    let flat_rate = word(object, "notificationFeePolicy") == "FLAT_RATE";
    let recipients: Box<[Recipient]> = object
        .get("recipients")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .zip(checked.payments)
        .map(|(recipient, payments)| recipient_of(recipient, payments, act_890))
        .collect();
    let mode = object.get("pagoPaIntMode").and_then(Value::as_str).map(str::to_owned).unwrap_or_else(|| {
        let paid = recipients.iter().any(|recipient| !recipient.payments.is_empty());
        if paid && !flat_rate { "SYNC" } else { "NONE" }.to_owned()
    });
    let small = |object: &Map<String, Value>, name: &str, default: u8| {
        object.get(name).and_then(Value::as_u64).and_then(|value| u8::try_from(value).ok()).unwrap_or(default)
    };
    let (pa_fee, vat) = (small(object, "paFee", 100), small(object, "vat", 22));
    // The echo carries what the platform fills in.
    object.insert("pagoPaIntMode".to_owned(), Value::from(mode.as_str()));
    for (index, document) in object.get_mut("documents").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        if let Some(document) = document.as_object_mut() {
            document.insert("docIdx".to_owned(), Value::from(index.to_string()));
        }
    }
    // Unknown members are tolerated, but may not pass for ours.
    for ours in [
        "iun",
        "sentAt",
        "errors",
        "retryAfter",
        "notificationRequestId",
        "notificationRequestStatus",
        "timeline",
        "notificationStatus",
        "notificationStatusHistory",
        "senderPaId",
        "documentsAvailable",
        "cancelledByIun",
    ] {
        object.remove(ours);
    }
    let request = serde_json::to_string(object).unwrap_or_default();
    let request = request.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    Notification {
        pa: caller.pa,
        iun: Box::default(),
        protocol: word(object, "paProtocolNumber").into(),
        token: word(object, "idempotenceToken").into(),
        group: word(object, "group").into(),
        request: request.into(),
        flat_rate,
        async_mode: mode == "ASYNC",
        pa_fee,
        vat,
        recipients,
        files: checked.files.into_boxed_slice(),
        timeline: Vec::new(),
        emitted: 0,
        status: Status::InValidation,
        phase: Phase::Waiting,
        cancelling: false,
        sent_at: now,
        refusals: Vec::new(),
        due: 0,
    }
}

fn recipient_of(recipient: &Value, payments: Vec<(super::model::Notice, bool)>, act_890: bool) -> Recipient {
    let empty = Map::new();
    let physical = recipient.get("physicalAddress");
    let lines = physical.and_then(Value::as_object).unwrap_or(&empty);
    let pec = recipient.pointer("/digitalDomicile/address").and_then(Value::as_str).unwrap_or_default();
    let street: String = ["at", "address", "addressDetails"].map(|name| word(lines, name)).join(" ");
    let script = stories::script(&street, pec);
    let italian = checks::italian(word(lines, "foreignState"));
    let no_zip = italian && word(lines, "zip").trim().is_empty();
    Recipient {
        tax_id: recipient.get("taxId").and_then(Value::as_str).unwrap_or_default().into(),
        natural_person: recipient.get("recipientType").and_then(Value::as_str) == Some("PF"),
        address: physical.map(Value::to_string).unwrap_or_else(|| "{}".to_owned()).into(),
        pec: pec.into(),
        pec_fails: script.pec_fails,
        views: script.views,
        reworked: script.reworked,
        paper: script.paper,
        product: match (italian, act_890) {
            (false, _) => Product::Foreign,
            (true, true) => Product::Act890,
            (true, false) => Product::Ar,
        },
        refusals: if no_zip && script.refusals.is_empty() { &["NOT_VALID_ADDRESS"] } else { script.refusals },
        payments: payments.into(),
        end: End::Open,
        viewed_at: 0,
        refined_at: 0,
        term: 0,
    }
}

/// A `ref` with its digest, as a file of the request.
pub fn file_ref(attachment: &Value, document: bool) -> Option<FileRef> {
    let text = |path: &str| attachment.pointer(path).and_then(Value::as_str);
    let key = text("/ref/key")?;
    Some(FileRef {
        key: key.strip_prefix("safestorage://").unwrap_or(key).into(),
        version: text("/ref/versionToken")?.into(),
        sha256: text("/digests/sha256").and_then(Sha256::parse)?,
        document,
    })
}

/// `GET /delivery/v2.5/requests`.
pub fn status(app: &App, caller: &Caller, uri_query: Option<&str>) -> Reply {
    let filled = |name| query(uri_query, name).filter(|value| !value.is_empty());
    let state = app.lock();
    let index = match (filled("notificationRequestId"), filled("paProtocolNumber"), filled("idempotenceToken")) {
        (Some(id), _, _) => {
            use base64::Engine;
            let iun = base64::engine::general_purpose::STANDARD.decode(&id).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            iun.and_then(|iun| state.by_iun.get(iun.as_str()))
        }
        (None, Some(protocol), Some(token)) => state.by_token.get(token_key(&caller.tax_id, &protocol, &token).as_str()),
        _ => {
            let detail = "Please specify notificationRequestId or both paProtocolNumber and idempotenceToken";
            return Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER", Some("notificationRequestId"), detail).reply();
        }
    };
    match index.and_then(|index| state.notification(*index)).filter(|note| note.pa == caller.pa && note.visible_to(&caller.groups)) {
        Some(note) => Reply::json(200, render::request_status(note)),
        None => Problem::new(404, "Not Found").error("PN_DELIVERY_NOTIFICATIONNOTFOUND", None, "Richiesta di notifica non trovata").reply(),
    }
}
