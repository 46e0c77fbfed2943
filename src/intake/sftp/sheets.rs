//! Buffers of answers that are used again: the pieces of a download are neither asked of the system nor filled with zeros one by one.
//!
//! A [`Sheet`] comes from the [`Stock`] of its session and goes back there when the last of its bytes was sent. While nothing is under
//! way the stock is closed and keeps nothing: a session that waits holds no buffer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Smaller buffers are not worth keeping.
const WORTH: usize = 16 << 10;
/// Most buffers that are kept: more are never on their way at once.
const MOST: usize = 8;

/// Where the buffers of one session lie between two uses. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stock(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    open: bool,
    buffers: Vec<Vec<u8>>,
}

impl Stock {
    fn with<T>(&self, act: impl FnOnce(&mut Shelf) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What comes back from now on is kept.
    pub fn open(&self) {
        self.with(|shelf| shelf.open = true);
    }

    /// Nothing is kept any more, neither what is there nor what comes back.
    pub fn close(&self) {
        let buffers = self.with(|shelf| {
            shelf.open = false;
            std::mem::take(&mut shelf.buffers)
        });
        drop(buffers);
    }

    /// An empty sheet with room for so many bytes.
    #[must_use]
    pub fn sheet(&self, bytes: usize) -> Sheet {
        if bytes < WORTH {
            return Sheet { bytes: Vec::with_capacity(bytes), used: 0, stock: None };
        }
        // One that is too small was for other requests: it makes place.
        let kept = self.with(|shelf| shelf.buffers.pop()).filter(|kept| kept.len() >= bytes);
        Sheet { bytes: kept.unwrap_or_else(|| vec![0; bytes]), used: 0, stock: Some(self.clone()) }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        self.with(|shelf| {
            if shelf.open && shelf.buffers.len() < MOST {
                shelf.buffers.push(bytes);
            }
        });
    }
}

/// Bytes that are being written, one after the other. Behind them may lie what an earlier use left: nobody sees it.
#[derive(Debug, Default)]
pub struct Sheet {
    bytes: Vec<u8>,
    used: usize,
    /// Where it goes afterwards.
    stock: Option<Stock>,
}

impl Sheet {
    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Memory that it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds bytes.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        match self.bytes.get_mut(self.used..end) {
            Some(into) => into.copy_from_slice(bytes),
            None => {
                self.bytes.truncate(self.used);
                self.bytes.extend_from_slice(bytes);
            }
        }
        self.used = end;
    }

    pub fn put_u8(&mut self, number: u8) {
        self.put_slice(&[number]);
    }

    pub fn put_u32(&mut self, number: u32) {
        self.put_slice(&number.to_be_bytes());
    }

    pub fn put_u64(&mut self, number: u64) {
        self.put_slice(&number.to_be_bytes());
    }

    /// Adds `most` bytes to be overwritten, whatever is in them: what is not must be taken back with [`Sheet::truncate`].
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        let (start, end) = (self.used, self.used + most);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.used = end;
        self.bytes.get_mut(start..end).unwrap_or_default()
    }

    /// Forgets all but the first bytes.
    pub fn truncate(&mut self, bytes: usize) {
        self.used = self.used.min(bytes);
    }

    /// What was written, to be corrected.
    pub fn written(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.used).unwrap_or_default()
    }
}

impl fmt::Write for Sheet {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put_slice(text.as_bytes());
        Ok(())
    }
}

impl AsRef<[u8]> for Sheet {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        if let Some(stock) = self.stock.take() {
            stock.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_only_what_was_written_in_this_use() {
        let stock = Stock::default();
        stock.open();
        let mut first = stock.sheet(2 * WORTH);
        first.room(2 * WORTH).fill(7);
        let place = first.as_ref().as_ptr();
        drop(first);
        let mut again = stock.sheet(2 * WORTH - 1_000);
        assert!(again.as_ref().is_empty() && again.is_empty());
        again.put_u32(1);
        again.room(10).fill(9);
        again.truncate(6);
        again.put_u8(2);
        assert_eq!(again.as_ref(), [0, 0, 0, 1, 9, 9, 2]);
        again.written()[0] = 5;
        assert_eq!(again.as_ref()[0], 5);
        assert_eq!(again.as_ref().as_ptr(), place, "the same memory");
        again.put_slice(&[3; 2 * WORTH]);
        assert_eq!((again.len(), again.as_ref()[7..].iter().all(|byte| *byte == 3)), (7 + 2 * WORTH, true), "it grows");
    }

    #[test]
    fn a_closed_stock_keeps_nothing_and_an_open_one_not_much() {
        let stock = Stock::default();
        let kept = |stock: &Stock| stock.with(|shelf| shelf.buffers.len());
        drop(stock.sheet(WORTH));
        assert_eq!(kept(&stock), 0);
        stock.open();
        drop((0..20).map(|_| stock.sheet(WORTH)).collect::<Vec<_>>());
        assert_eq!(kept(&stock), MOST);
        drop(stock.sheet(100));
        assert_eq!(kept(&stock), MOST, "a small one is nobody's");
        let late = stock.sheet(WORTH);
        stock.close();
        drop(late);
        assert_eq!(kept(&stock), 0);
    }
}
