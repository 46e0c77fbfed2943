//! Ground floor: values and rules of the trade. No I/O, no async, no clock, no file format.

pub mod act;
pub mod address;
pub mod alert;
mod amount_days;
pub mod amount_due;
pub mod amount_presets;
pub mod amount_rule;
pub mod calendar;
pub mod daily;
pub mod digest;
pub mod erasure;
pub mod expectation;
pub mod fiscal_code;
pub mod ids;
pub mod italy;
pub mod iun;
pub mod letters;
pub mod money;
pub mod notice_code;
pub mod notice_qr;
pub mod outcome;
pub mod position;
pub mod send;
pub mod standing;
pub mod taxonomy;
