//! Open files as the engine holds them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::inbox::{Outcome, attributes};
use super::shared::Shared;
use super::upload::Upload;
use super::{Deed, Witness};
use crate::intake::sftp::home::{Attributes, Ending, OpenFile, Refused};

/// A file that is written, and perhaps read.
pub struct WriteHandle {
    pub shared: Arc<Shared>,
    pub upload: Arc<Upload>,
    pub witness: Option<Arc<dyn Witness>>,
    /// As the client sees it.
    pub path: String,
    pub reads: bool,
    pub ended: bool,
}

impl WriteHandle {
    fn end(&mut self, ending: Ending) -> Result<(), Refused> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let path = self.path.as_str();
        let (deed, answer) = match self.shared.finish(&self.upload, ending) {
            Ok(Outcome::Whole { size, sha256 }) => (Deed::Uploaded { path, size, sha256 }, Ok(())),
            // Who said CLOSE believes that all of it is there.
            Ok(Outcome::Partial { size, why }) => {
                (Deed::Interrupted { path, size }, if ending == Ending::Closed { Err(why) } else { Ok(()) })
            }
            Ok(Outcome::Nothing) => return Ok(()),
            // Nobody was told that it is there.
            Err(why) => (Deed::Interrupted { path, size: self.upload.told().0 }, Err(why)),
        };
        if let Some(witness) = &self.witness {
            witness.saw(&deed);
        }
        answer
    }
}

impl OpenFile for WriteHandle {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
        if !self.reads {
            return Err(Refused::WrongMode);
        }
        self.upload.read_at(offset, into)
    }

    fn write_at(&mut self, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        self.upload.write_at(&self.shared, pieces)
    }

    fn stat(&self) -> Result<Attributes, Refused> {
        self.shared.stat_inbox(&self.upload.rel)
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Refused> {
        if let Some(size) = attributes.size {
            self.upload.set_size(&self.shared, size)?;
        }
        if let Some(times) = attributes.times {
            self.upload.set_times(times);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Refused> {
        self.upload.sync()
    }

    fn rest(&mut self) {
        self.upload.flush_ahead(&self.shared);
    }

    fn finish(mut self: Box<Self>, ending: Ending) -> Result<(), Refused> {
        self.end(ending)
    }
}

impl Drop for WriteHandle {
    fn drop(&mut self) {
        // Nobody is left to be told of an error.
        let _ = self.end(Ending::Dropped);
    }
}

/// A file that is only read.
pub struct ReadHandle {
    pub file: File,
    pub witness: Option<Arc<dyn Witness>>,
    pub path: String,
    pub bytes: u64,
}

impl OpenFile for ReadHandle {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
        if offset > i64::MAX as u64 {
            return Ok(0);
        }
        let read = self.file.read_at(into, offset).map_err(|_| Refused::Io)?;
        self.bytes += read as u64;
        Ok(read)
    }

    fn write_at(&mut self, _pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        Err((0, Refused::WrongMode))
    }

    fn stat(&self) -> Result<Attributes, Refused> {
        rustix::fs::fstat(&self.file).map(|stat| attributes(&stat)).map_err(|_| Refused::Io)
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Refused> {
        // Times and modes are accepted everywhere; a size would be writing.
        if attributes.size.is_some() { Err(Refused::WrongMode) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    fn finish(self: Box<Self>, _ending: Ending) -> Result<(), Refused> {
        if let Some(witness) = &self.witness {
            let size = self.file.metadata().map_or(0, |found| found.len());
            witness.saw(&Deed::Downloaded { path: &self.path, bytes: self.bytes, size });
        }
        Ok(())
    }
}
