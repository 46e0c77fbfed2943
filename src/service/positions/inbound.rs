//! What a PT that asks is told of a position beside its price.

use serde_json::Value;

use super::{partners, reckon, verify};
use crate::config::Institution;
use crate::domain::money::Cents;
use crate::domain::position::Change;
use crate::service::{Hub, rome};
use crate::store::StoreError;

/// What the position itself asks for, as far as messo knows, and how much of it is cost of notification: what holds when there is
/// no price to tell (SEND has not accepted the act yet, or the cost comes another way).
pub async fn standing(hub: &Hub, creditor: &str, notice: &str) -> Result<Option<(Cents, Cents)>, StoreError> {
    let Some(position) = hub.store.position_of_notice(creditor, notice).await? else { return Ok(None) };
    let wanted = position.wanted.map(|wanted| (wanted, position.wanted_cost.unwrap_or(Cents(0))));
    Ok(wanted.or(position.asked.map(|asked| (asked, Cents(0)))))
}

/// The whole position with those sums, in the words of a PT that replaces what it holds by the answer; an error is the code of why it
/// would not be taken. `None`: nothing is left of its act, or its PT does not ask so.
pub async fn whole(
    hub: &Hub,
    creditor: &str,
    notice: &str,
    total: Cents,
    cost: Cents,
) -> Result<Option<Result<Value, &'static str>>, StoreError> {
    let Some(position) = hub.store.position_of_notice(creditor, notice).await? else { return Ok(None) };
    let Ok(subject) = verify::subject(hub, position.id).await else { return Ok(None) };
    let kept = hub.store.position_whole(position.id).await?;
    let settings = hub.settings();
    let calendar = settings.institution(&subject.material.sender).map(Institution::calendar).unwrap_or_default();
    let can = Some(subject.channel.partner.capabilities());
    let due = reckon::reckon(&subject.material, calendar, can, rome(hub.clock.now()).date()).ok();
    let change = Change {
        key: String::new(),
        amount: total,
        cost,
        due_date: due.and_then(|(sum, _)| sum.due_date),
        cost_place: subject.material.flow.payments.cost_place.clone(),
        reason: String::new(),
    };
    Ok(subject.channel.partner.whole(&subject.route, &subject.asked, kept.as_deref(), &change))
}

/// A position that its PT names by its own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByPtId {
    pub creditor: String,
    pub notice: String,
    /// The whole of it as the PT held it when it was read last, where that is kept. Names people.
    pub kept: Option<String>,
    /// `service` of its route at that PT.
    pub service: Option<String>,
}

/// The positions of that PT that have that id of its own: an id may be of one ente, or of one application, alone.
pub async fn by_position_id(hub: &Hub, pt: &str, position: &str) -> Result<Vec<ByPtId>, StoreError> {
    let settings = hub.settings();
    let found = hub.store.notices_of_pt_id(pt, position).await?;
    let with_route = |(creditor, notice, kept): (String, String, Option<String>)| {
        let service = partners::route(&settings, &creditor, &notice, pt).and_then(|route| route.service.clone());
        ByPtId { creditor, notice, kept, service }
    };
    Ok(found.into_iter().map(with_route).collect())
}

/// Whether only one ente has notices at that PT.
#[must_use]
pub fn is_of_one_ente(hub: &Hub, pt: &str) -> bool {
    let settings = hub.settings();
    settings.institutions.iter().filter(|ente| ente.payments.iter().any(|route| route.pt == pt)).count() == 1
}
