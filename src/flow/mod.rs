//! The engine, pure: states, facts, orders, effects, and what follows from them. No clock, no I/O.

pub mod definition;
pub mod effect;
pub mod event;
pub mod forecast;
pub mod position;
pub mod prepare;
pub mod retry;
pub mod shape;
pub mod state;
pub mod step;
pub mod timeline;
