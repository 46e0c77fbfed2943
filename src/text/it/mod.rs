//! Italian.

pub mod amounts;
pub mod backup;
pub mod config;
pub mod exports;
pub mod mail;
pub mod operate;
pub mod outcomes;
pub mod parking;
pub mod privacy;
pub mod problems;
pub mod pt;
pub mod receipts;
pub mod service;
pub mod sftp;
pub mod sftp_refusals;

/// A secret that systemd hands over to the service alone. `command`: what to run in its place.
#[must_use]
pub fn credentials_elsewhere(command: &str) -> String {
    format!(
        "credential: la legge soltanto il servizio, che non risponde. Avviarlo (systemctl start messo) e ripetere; oppure, da root:\n  \
         systemd-run --pipe --wait --collect -p User=messo -p LoadCredential=segreti:/etc/messo/credenziali {command}"
    )
}
