//! What a PT that asks is told of a position beside its price.

use super::verify;
use crate::domain::money::Cents;
use crate::domain::position::Asked;
use crate::service::Hub;
use crate::store::StoreError;

/// What the position itself asks for, as far as messo knows, and how much of it is cost of notification: what holds when there is
/// no price to tell (SEND has not accepted the act yet, or the cost comes another way).
pub async fn standing(hub: &Hub, creditor: &str, notice: &str) -> Result<Option<(Cents, Cents)>, StoreError> {
    let Some(position) = hub.store.position_of_notice(creditor, notice).await? else { return Ok(None) };
    let wanted = position.wanted.map(|wanted| (wanted, position.wanted_cost.unwrap_or(Cents(0))));
    Ok(wanted.or(position.asked.map(|asked| (asked, Cents(0)))))
}

/// The position as its act describes it, for a PT whose contract wants the whole of it back. `None`: nothing is left of the act.
pub async fn described(hub: &Hub, creditor: &str, notice: &str) -> Result<Option<Asked>, StoreError> {
    let Some(position) = hub.store.position_of_notice(creditor, notice).await? else { return Ok(None) };
    Ok(verify::subject(hub, position.id).await.ok().map(|subject| subject.asked))
}

/// The creditor and the notice of a position of that PT, by the PT's own id of it.
pub async fn by_position_id(hub: &Hub, pt: &str, position: &str) -> Result<Option<(String, String)>, StoreError> {
    hub.store.notice_of_pt_id(pt, position).await
}
