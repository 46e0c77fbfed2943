//! What gestionali read back: rendered purely, placed whole. Knows no store.

pub mod legal_facts;
pub mod outcomes;
pub mod place;
pub mod receipts;
pub mod rejects;
