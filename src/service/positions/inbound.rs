//! What a PT that asks must be told of a position beside its price, and what it tells that is neither a payment nor an outcome.

use crate::domain::money::Cents;
use crate::domain::position::Asked;
use crate::service::Hub;
use crate::store::StoreError;

/// What is asked for a notice that SEND has not accepted yet: the first step of its rule, without costs.
pub async fn before(_hub: &Hub, _creditor: &str, _notice: &str) -> Result<Option<Cents>, StoreError> {
    Ok(None)
}

/// The position as its act describes it, for a PT whose contract wants the whole of it back.
pub async fn described(_hub: &Hub, _creditor: &str, _notice: &str) -> Result<Option<Asked>, StoreError> {
    Ok(None)
}

/// The creditor and the notice of a position of that PT, by the PT's own id of it.
pub async fn by_position_id(_hub: &Hub, _pt: &str, _position: &str) -> Result<Option<(String, String)>, StoreError> {
    Ok(None)
}
