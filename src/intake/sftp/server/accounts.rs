//! Who may come in: the accounts of the configuration, replaced as a whole when it is read again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use jiff::civil::Date;
use russh::keys::PublicKey;

use crate::config::sftp::{is_password_hash, read_public_key};
use crate::config::{Network, SftpAccount};

/// One gestionale that may come in.
#[derive(Debug)]
pub struct Account {
    /// Name of the gestionale.
    pub name: String,
    /// What it logs in as.
    pub user: String,
    keys: Vec<PublicKey>,
    password: Option<Arc<str>>,
    addresses: Vec<Network>,
    /// Sessions at one time.
    pub sessions: u32,
    expires: Option<Date>,
}

/// Why an account of the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("{account}: {reason}")]
    Secret { account: String, reason: String },
    #[error("{account}: neither a hash of argon2id nor the place of one")]
    NotAHash { account: String },
}

/// Why an account may not come in now, although it knows its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    Expired,
    Address,
}

impl Denied {
    /// As the audit keeps it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Denied::Expired => "ACCOUNT_SCADUTO",
            Denied::Address => "INDIRIZZO_NON_AMMESSO",
        }
    }
}

impl Account {
    /// Reads an account of the configuration; opens the secret that holds its password. Blocks.
    ///
    /// # Errors
    /// See [`AccountError`].
    pub fn read(name: &str, config: &SftpAccount) -> Result<Account, AccountError> {
        let password = match (config.password_place(), &config.password) {
            (Some(place), _) => {
                let secret = place.resolve();
                let secret = secret.map_err(|error| AccountError::Secret { account: name.to_owned(), reason: error.to_string() })?;
                Some(Arc::from(secret.expose()))
            }
            (None, hash) => hash.as_deref().map(Arc::from),
        };
        if password.as_deref().is_some_and(|hash| !is_password_hash(hash)) {
            return Err(AccountError::NotAHash { account: name.to_owned() });
        }
        Ok(Account {
            name: name.to_owned(),
            user: config.user.clone(),
            keys: config.keys.iter().filter_map(|line| read_public_key(line)).collect(),
            password,
            addresses: config.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            sessions: config.sessions,
            expires: config.expires.as_ref().and_then(|date| date.parse().ok()),
        })
    }

    /// Whether it has that key.
    #[must_use]
    pub fn has_key(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|own| own.key_data() == key.key_data())
    }

    /// Hash of its password, when it has one.
    #[must_use]
    pub fn password(&self) -> Option<Arc<str>> {
        self.password.clone()
    }

    /// Whether it may come in from there, then.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn admits(&self, address: IpAddr, now: Timestamp) -> Result<(), Denied> {
        if !self.addresses.is_empty() && !self.addresses.iter().any(|network| network.holds(address)) {
            return Err(Denied::Address);
        }
        let zone = jiff::tz::TimeZone::get("Europe/Rome").unwrap_or(jiff::tz::TimeZone::UTC);
        match self.expires {
            Some(last) if now.to_zoned(zone).date() > last => Err(Denied::Expired),
            _ => Ok(()),
        }
    }
}

/// All accounts. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    by_user: Arc<RwLock<HashMap<String, Arc<Account>>>>,
}

impl Accounts {
    /// Puts these in the place of all.
    pub fn replace(&self, accounts: Vec<Account>) {
        let accounts = accounts.into_iter().map(|account| (account.user.clone(), Arc::new(account))).collect();
        *self.by_user.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// Who logs in with that name.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Option<Arc<Account>> {
        self.by_user.read().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SftpAccount {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let text = format!("user = \"pl\"\nkeys = [\"{key}\"]\naddresses = [\"10.0.0.0/8\"]\nexpires = \"2026-12-31\"\n");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn an_account_comes_from_its_networks_until_its_last_day() {
        let account = Account::read("polizia", &config()).unwrap();
        let table = [
            ("10.2.3.4", "2026-12-31T22:59:59Z", Ok(())),
            ("10.2.3.4", "2026-12-31T23:00:01Z", Err(Denied::Expired)),
            ("::ffff:10.2.3.4", "2026-11-22T10:00:00Z", Ok(())),
            ("11.2.3.4", "2026-11-22T10:00:00Z", Err(Denied::Address)),
        ];
        for (address, now, want) in table {
            assert_eq!(account.admits(address.parse().unwrap(), now.parse().unwrap()), want, "{address} {now}");
        }
    }

    #[test]
    fn passwords_come_from_their_place_and_are_hashes() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("password");
        let mut account = config();
        account.password = Some(format!("file:{}", path.display()));
        assert!(matches!(Account::read("a", &account), Err(AccountError::Secret { .. })));
        std::fs::write(&path, "segreto\n").unwrap();
        assert_eq!(Account::read("a", &account).unwrap_err(), AccountError::NotAHash { account: "a".into() });
        std::fs::write(&path, super::super::password::hash("segreto").unwrap() + "\n").unwrap();
        assert!(Account::read("a", &account).unwrap().password().is_some());
        let accounts = Accounts::default();
        accounts.replace(vec![Account::read("a", &account).unwrap()]);
        assert!(accounts.of_user("pl").is_some() && accounts.of_user("a").is_none());
        accounts.replace(Vec::new());
        assert!(accounts.of_user("pl").is_none());
    }
}
