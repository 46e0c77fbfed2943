//! The partners that speak SOAP: connector, official contract in the middle, simulator. `soap_proxy.py` judges MyPay by
//! `pa-per-ente.wsdl` and PiemontePAY by its two WSDLs, one for each direction; `rest_proxy.py` judges epayapi; xmllint judges the
//! documents that MyPay hides in base64.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "pt_contract_soap/mypay.rs"]
mod mypay;
#[path = "pt_contract_soap/piemontepay.rs"]
mod piemontepay;
#[path = "pt_contract_soap/prices.rs"]
mod prices;
#[path = "pt_contract_soap/world.rs"]
mod world;
