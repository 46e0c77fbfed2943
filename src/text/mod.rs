//! Every sentence that a person reads: Italian, by code. Turns lower types into sentences, decides nothing.

pub mod it;
