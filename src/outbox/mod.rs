//! What gestionali read back: rendered purely, placed whole. Knows no store.
//!
//! [`receipts`], [`outcomes`], [`rejects`] and [`legal_facts`] turn values into bytes and names, given every date from
//! outside, so that the same rows give the same bytes after a crash; [`place`] alone touches the disk.

pub mod asked;
mod cells;
pub mod exports;
pub mod legal_facts;
pub mod mail;
pub mod marks;
mod names;
pub mod outcomes;
pub mod place;
pub mod receipts;
pub mod rejects;
pub mod verify;
mod wrap;
mod xml;
