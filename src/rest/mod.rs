//! HTTP that others call: each caller has its own paths and credentials. Reads and acts through `service`.

pub mod pt;
