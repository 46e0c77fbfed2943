//! What operators ask of the SFTP door: the addresses it does not let in, how many are there.

use super::{OperateError, Operator};
use crate::intake::sftp::server::{defender, real_now};
use crate::service::report::{BanEntry, DefenderReport, SftpReport};
use crate::service::who::Who;

impl Operator {
    /// Addresses that are not let in now.
    pub async fn bans(&self) -> Result<DefenderReport, OperateError> {
        let bans = match &self.door {
            Some(desk) => desk.handle.bans().into_iter().map(BanEntry::from).collect(),
            None => self.store.door_bans(real_now()).await?.into_iter().map(BanEntry::from).collect(),
        };
        Ok(DefenderReport { bans })
    }

    /// Lets an address in again. Answers those that are left.
    pub async fn lift_ban(&self, address: &str, who: &Who) -> Result<DefenderReport, OperateError> {
        let Some(ip) = defender::read(address) else { return Err(OperateError::NotAnAddress { text: address.to_owned() }) };
        let shown = defender::shown(ip);
        let kept = self.store.lift_ban(&shown, real_now()).await?;
        let held = self.door.as_ref().is_some_and(|desk| desk.handle.lift(ip));
        if !kept && !held {
            return Err(OperateError::NotBanned { address: shown });
        }
        tracing::info!(address = shown, who = who.as_str(), "blocco di indirizzo tolto");
        self.bans().await
    }

    /// Who listens, and how many are there.
    pub fn sftp(&self) -> Result<SftpReport, OperateError> {
        let desk = self.door.as_ref().ok_or(OperateError::NoDoor)?;
        let counts = desk.handle.counts();
        Ok(SftpReport {
            listening: desk.listening.iter().map(ToString::to_string).collect(),
            keys: desk.keys.clone(),
            connections: counts.connections,
            strangers: counts.strangers,
            sessions: counts.sessions,
            channels: counts.channels,
            workers: counts.workers,
        })
    }
}
