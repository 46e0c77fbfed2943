//! Price of a notice, and payments told by the PA (`send.md` 7).

use jiff::Timestamp;
use serde_json::Value;

use super::App;
use super::model::{Millis, Notice, Phase};
use super::render;
use super::reply::{Problem, Reply, body_value};

/// Base fee, euro cents.
const SEND_FEE: i64 = 100;

/// `GET /delivery/v2.3/price/{paTaxId}/{noticeCode}`.
pub fn price(app: &App, creditor: &str, code: &str) -> Reply {
    let Some(notice) = Notice::parse(creditor, code) else {
        return Problem::new(400, "Bad Request")
            .error("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some("paTaxId, noticeCode"), "must be 11 and 18 digits")
            .reply();
    };
    let state = app.lock();
    let found = state.by_notice.get(&notice).and_then(|index| state.notification(*index)).filter(|note| note.phase == Phase::Accepted);
    let place = found.and_then(|note| {
        note.recipients.iter().enumerate().find_map(|(rec, recipient)| {
            let (_, apply) = recipient.payments.iter().find(|(mine, _)| *mine == notice)?;
            Some((note, rec, recipient, *apply))
        })
    });
    let Some((note, rec, recipient, apply)) = place else {
        let detail = format!("Notification cost not found for creditorTaxId={creditor} noticeCode={code}");
        return Problem::new(404, "Not Found").error("PN_DELIVERY_NOTIFICATIONCOSTNOTFOUND", None, detail).reply();
    };
    let paper = note.paper_cost(u8::try_from(rec).unwrap_or(u8::MAX));
    let charged = apply && !note.flat_rate;
    let partial = if charged { SEND_FEE + paper } else { 0 };
    let total = if charged { total(paper, note.vat, note.pa_fee) } else { 0 };
    let mut out = format!(
        "{{\"iun\":\"{}\",\"partialPrice\":{partial},\"totalPrice\":{total},\"vat\":{},\"paFee\":{},\"sendFee\":{SEND_FEE},\"analogCost\":{paper}",
        note.iun, note.vat, note.pa_fee
    );
    let refinement = if recipient.refined_at != 0 { recipient.refined_at } else { recipient.term };
    for (name, at) in [("refinementDate", refinement), ("notificationViewDate", recipient.viewed_at)] {
        if at != 0 {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            render::instant(&mut out, midnight(app, at));
        }
    }
    out.push('}');
    Reply::json(200, out)
}

/// VAT on paper only, one rounding, half up, on the sum.
pub(super) fn total(paper: i64, vat: u8, pa_fee: u8) -> i64 {
    SEND_FEE + (paper * (100 + i64::from(vat)) + 50) / 100 + i64::from(pa_fee)
}

/// The local midnight that begins the day of `at`.
fn midnight(app: &App, at: Millis) -> Millis {
    let local = Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(app.rome.clone());
    local.start_of_day().map_or(at, |start| start.timestamp().as_millisecond())
}

/// `POST /delivery/events/payment/pagopa`.
pub fn payments(app: &App, body: &[u8]) -> Reply {
    let value = match body_value(body) {
        Ok(value) => value,
        Err(reply) => return reply,
    };
    let mut problem = Problem::new(400, "Bad Request");
    let Some(events) = value.get("events").and_then(Value::as_array) else {
        return problem.error("PN_GENERIC_INVALIDPARAMETER_REQUIRED", Some("events"), "must not be null").reply();
    };
    let mut read = Vec::with_capacity(events.len());
    for (index, event) in events.iter().enumerate() {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let notice = Notice::parse(text("creditorTaxId"), text("noticeCode"));
        let paid_at: Option<Timestamp> = text("paymentDate").parse().ok();
        let amount = event.get("amount").and_then(Value::as_i64).and_then(|amount| i32::try_from(amount).ok());
        match (notice, paid_at, amount) {
            (Some(notice), Some(paid_at), Some(amount)) => read.push((notice, amount, paid_at.as_millisecond())),
            _ => {
                let detail = "noticeCode, creditorTaxId, paymentDate and amount are required";
                problem.add("PN_GENERIC_INVALIDPARAMETER", Some(&format!("events[{index}]")), detail);
            }
        }
    }
    if !problem.is_empty() {
        return problem.reply();
    }
    let mut told = Vec::new();
    let all_known = {
        let context = app.context(app.now());
        let mut state = app.lock();
        let known = |state: &super::State, notice| state.by_notice.contains_key(notice);
        let all = read.iter().all(|(notice, ..)| known(&state, notice));
        if all {
            for (notice, amount, paid_at) in read {
                state.pay(notice, amount, paid_at, &context, &mut told);
            }
        }
        all
    };
    app.tell(&told);
    if all_known {
        Reply::empty(204)
    } else {
        Problem::new(404, "Not Found").error("PN_DELIVERY_NOTIFICATIONNOTFOUND", None, "Avviso di pagamento sconosciuto").reply()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_vat_on_paper_once() {
        for ((paper, vat, fee), want) in [((530, 22, 100), 847), ((0, 22, 0), 100), ((25, 22, 0), 131), ((0, 0, 100), 200)] {
            assert_eq!(total(paper, vat, fee), want, "{paper} {vat} {fee}");
        }
    }
}
