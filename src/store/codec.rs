//! How values lie in columns: instants as milliseconds, ids as 16 bytes, digests as 32.

use jiff::Timestamp;
use rusqlite::Row;
use uuid::Uuid;

use super::StoreError;
use crate::domain::digest::Sha256;
use crate::domain::ids::{ActId, BatchId};

/// Milliseconds of an instant.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The instant of a column.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn digest(bytes: Vec<u8>) -> Option<Sha256> {
    bytes.try_into().ok().map(Sha256::from_bytes)
}

pub(super) fn uuid_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    let bytes: Vec<u8> = row.get(index)?;
    Uuid::from_slice(&bytes).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Blob, Box::new(error)))
}

pub(super) fn act_at(row: &Row<'_>, index: usize) -> rusqlite::Result<ActId> {
    uuid_at(row, index).map(ActId)
}

pub(super) fn batch_at(row: &Row<'_>, index: usize) -> rusqlite::Result<BatchId> {
    uuid_at(row, index).map(BatchId)
}

/// A word of one of our vocabularies.
pub(super) fn word<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("{what} `{text}`")))
}

/// The first 16 bytes of the SHA-256 of the parts, each ended by a zero byte.
pub(super) fn key_of(parts: &[&str]) -> Vec<u8> {
    let mut hasher = crate::domain::digest::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finish().as_bytes().iter().copied().take(16).collect()
}

/// The first row, or nothing.
pub(super) fn optional<T>(result: rusqlite::Result<T>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
