//! `copy-data`: a piece at a time, so that a long copy holds up neither the worker nor the end of the session.

use super::{Executor, MAX_OFFSET, Progress};
use crate::intake::sftp::home::Refused;
use crate::intake::sftp::protocol::Handle;

/// Bytes per call of the home.
const PIECE: usize = 256 << 10;
/// Pieces between two looks at the session.
const PIECES: usize = 4;

/// A copy under way.
pub struct Copying {
    done: u64,
    buffer: Vec<u8>,
}

impl Executor {
    /// Copies some more; a `length` of 0 is up to the end.
    pub(super) fn copy_some(
        &mut self,
        from: Handle,
        from_offset: u64,
        length: u64,
        to: Handle,
        to_offset: u64,
    ) -> Result<Progress, Refused> {
        let source = self.handles.readable(from)?.path.clone();
        // A file copied into itself would never end.
        if from == to || source == self.handles.writable(to)?.path {
            return Err(Refused::BadMessage);
        }
        let mut copying = self.copying.take().unwrap_or_else(|| Copying { done: 0, buffer: vec![0; PIECE] });
        for _ in 0..PIECES {
            let left = if length == 0 { u64::MAX } else { length - copying.done };
            let read_at = from_offset.saturating_add(copying.done);
            let write_at = to_offset.saturating_add(copying.done);
            if left == 0 || read_at >= MAX_OFFSET {
                return Ok(Progress::Done);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
            let into = copying.buffer.get_mut(..most).unwrap_or_default();
            let read = self.handles.readable(from)?.file.read_at(read_at, into)?;
            if read == 0 {
                return Ok(Progress::Done);
            }
            let piece = copying.buffer.get(..read).unwrap_or_default();
            if write_at.saturating_add(read as u64) > MAX_OFFSET {
                return Err(Refused::TooLarge);
            }
            let target = self.handles.writable(to)?;
            target.file.write_at(&[(write_at, piece)]).map_err(|(_, why)| why)?;
            target.written.add(write_at, read as u64);
            target.bytes_in += read as u64;
            copying.done += read as u64;
        }
        self.copying = Some(copying);
        Ok(Progress::Again)
    }
}
