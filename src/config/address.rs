//! Addresses and secrets: where remotes are, and where secrets lie.

use std::net::IpAddr;

use reqwest::Url;

use super::check::{Add, ConfigFault};
use super::{Environment, SecretRef};

/// Whether the host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address of SEND, which must agree with the environment.
pub(super) fn check_send_url(text: &str, environment: Environment, key: &str, add: Add<'_>) {
    let Some(url) = plain_url(text).filter(|url| matches!(url.path(), "" | "/") && url.query().is_none()) else {
        add(key, ConfigFault::Url);
        return;
    };
    let host = url.host_str().unwrap_or_default();
    let wanted = match host {
        "api.notifichedigitali.it" => Some(Environment::Produzione),
        "api.uat.notifichedigitali.it" => Some(Environment::Collaudo),
        host if is_loopback(host) => Some(Environment::Collaudo),
        _ => None,
    };
    if url.scheme() != "https" && !is_loopback(host) {
        add(key, ConfigFault::UrlNotSecure { host: host.to_string() });
    }
    if let Some(wanted) = wanted.filter(|wanted| *wanted != environment) {
        add(key, ConfigFault::EnvironmentAndUrl { host: host.to_string(), wanted });
    }
}

/// The address that gives vouchers.
pub(super) fn check_token_url(text: &str, key: &str, add: Add<'_>) {
    match plain_url(text) {
        None => add(key, ConfigFault::Url),
        Some(url) => {
            let host = url.host_str().unwrap_or_default();
            if url.scheme() != "https" && !is_loopback(host) {
                add(key, ConfigFault::UrlNotSecure { host: host.to_string() });
            }
        }
    }
}

/// http or https, with a host, without credentials or fragment.
fn plain_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (plain && url.host_str().is_some()).then_some(url)
}

/// Only the form: the value may be the secret itself, pasted by mistake, so it is never repeated.
pub(super) fn check_secret(secret: &SecretRef, key: &str, add: Add<'_>) {
    let name = |text: &str, extra: &str| {
        !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c))
    };
    let good = match secret.0.split_once(':') {
        Some(("file", path)) => !path.trim().is_empty() && !path.contains('\0'),
        Some(("env", variable)) => name(variable, ""),
        Some(("credential", credential)) => name(credential, "-."),
        _ => false,
    };
    if !good {
        add(key, ConfigFault::Secret);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_and_the_environment_agree() {
        use Environment::{Collaudo, Produzione};
        let table: &[(&str, Environment, &[&str])] = &[
            ("https://api.notifichedigitali.it", Produzione, &[]),
            ("https://api.notifichedigitali.it/", Produzione, &[]),
            ("https://api.notifichedigitali.it", Collaudo, &["AMBIENTE_E_INDIRIZZO"]),
            ("https://api.uat.notifichedigitali.it", Collaudo, &[]),
            ("https://api.uat.notifichedigitali.it", Produzione, &["AMBIENTE_E_INDIRIZZO"]),
            ("http://api.uat.notifichedigitali.it", Collaudo, &["INDIRIZZO_NON_SICURO"]),
            ("http://127.0.0.1:8080", Collaudo, &[]),
            ("http://localhost:8080", Collaudo, &[]),
            ("http://[::1]:8080", Collaudo, &[]),
            ("http://127.0.0.1:8080", Produzione, &["AMBIENTE_E_INDIRIZZO"]),
            ("https://proxy.comune.esempio.it", Produzione, &[]),
            ("http://proxy.comune.esempio.it", Produzione, &["INDIRIZZO_NON_SICURO"]),
            ("https://api.notifichedigitali.it/delivery", Produzione, &["INDIRIZZO_NON_VALIDO"]),
            ("https://utente:segreto@api.notifichedigitali.it", Produzione, &["INDIRIZZO_NON_VALIDO"]),
            ("ftp://api.notifichedigitali.it", Produzione, &["INDIRIZZO_NON_VALIDO"]),
            ("api.notifichedigitali.it", Produzione, &["INDIRIZZO_NON_VALIDO"]),
        ];
        for (url, environment, want) in table {
            let mut codes = Vec::new();
            check_send_url(url, *environment, "", &mut |_, fault| codes.push(fault.code()));
            assert_eq!(&codes, want, "{url} {environment:?}");
        }
    }

    #[test]
    fn a_secret_is_a_place() {
        let table = [
            ("file:/etc/messo/chiave", true),
            ("env:SEND_KEY", true),
            ("credential:send-key", true),
            ("file:", false),
            ("env:A B", false),
            ("2f6c0b6e-8c1d-4f6e", false),
            ("vault:x", false),
            ("", false),
        ];
        for (text, want) in table {
            let mut faults = 0;
            check_secret(&SecretRef(text.into()), "", &mut |_, _| faults += 1);
            assert_eq!(faults == 0, want, "{text}");
        }
    }
}
