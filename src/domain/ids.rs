//! Identifiers of our own: UUIDv7, made by the caller (`clock::new_uuid`), written as the usual 36 characters.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    };
}

id!(
    /// One drop and the batch read from it: given when the file is claimed, before anyone has looked inside.
    BatchId
);
id!(
    /// One act in one submission: the subject of the `notifica` flow.
    ActId
);
id!(
    /// One debt position: a notice of a creditor, shared by the acts and recipients that name it.
    PositionId
);
id!(
    /// One durable job.
    JobId
);
