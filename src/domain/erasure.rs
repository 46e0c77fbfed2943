//! What was deleted because a person asked for it: ids and an instant, nobody's name. It is known in two places, so that a data
//! folder put back from an older copy can be told.

use jiff::Timestamp;

use super::ids::{ActId, BatchId};

/// Whose personal data went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Act(ActId),
    Batch(BatchId),
}

impl Subject {
    /// As stored and written: never renamed.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Subject::Act(_) => "notifica",
            Subject::Batch(_) => "lotto",
        }
    }

    #[must_use]
    pub fn id(self) -> uuid::Uuid {
        match self {
            Subject::Act(act) => act.0,
            Subject::Batch(batch) => batch.0,
        }
    }

    /// The reverse of [`Subject::kind`].
    #[must_use]
    pub fn of(kind: &str, id: uuid::Uuid) -> Option<Subject> {
        match kind {
            "notifica" => Some(Subject::Act(ActId(id))),
            "lotto" => Some(Subject::Batch(BatchId(id))),
            _ => None,
        }
    }
}

/// A deletion that a person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub at: Timestamp,
    pub subject: Subject,
}
