//! Stores filled for `messo bench`: everything in a few statements, nothing lived through.

mod price;

pub use price::PriceSample;
