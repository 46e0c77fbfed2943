//! Which bytes of a file were written. Clients keep dozens of writes under way, and they do not come in order.

/// Sorted, disjoint, not touching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

/// Most pieces with holes between them: no client has so many writes under way.
const MAX: usize = 4096;

impl Ranges {
    /// Everything up to `size`.
    pub fn up_to(size: u64) -> Ranges {
        Ranges(if size == 0 { Vec::new() } else { vec![(0, size)] })
    }

    /// Whether one more piece can be remembered.
    pub fn has_room(&self) -> bool {
        self.0.len() < MAX
    }

    /// Adds `start..end`.
    pub fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        // Almost always: what follows the last piece.
        if let Some(last) = self.0.last_mut()
            && last.0 <= start
            && start <= last.1
        {
            last.1 = last.1.max(end);
            return;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let after = self.0.partition_point(|range| range.0 <= end);
        let touched = self.0.get(first..after).unwrap_or_default();
        let from = touched.first().map_or(start, |range| range.0.min(start));
        let to = touched.last().map_or(end, |range| range.1.max(end));
        self.0.splice(first..after.max(first), [(from, to)]);
    }

    /// Takes `start..end` out.
    pub fn remove(&mut self, start: u64, end: u64) {
        if start >= end || self.0.iter().all(|range| range.1 <= start || end <= range.0) {
            return;
        }
        let left = self.0.iter().flat_map(|range| [(range.0, range.1.min(start)), (range.0.max(end), range.1)]);
        self.0 = left.filter(|range| range.0 < range.1).collect();
    }

    /// Where the first begins.
    pub fn start(&self) -> Option<u64> {
        self.0.first().map(|range| range.0)
    }

    /// Forgets what lies past `size`.
    pub fn cut(&mut self, size: u64) {
        self.0.retain(|range| range.0 < size);
        if let Some(last) = self.0.last_mut() {
            last.1 = last.1.min(size);
        }
    }

    /// How far it is written without a hole.
    pub fn prefix(&self) -> u64 {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }

    /// Whether nothing is missing of a file of that size.
    pub fn is_whole(&self, size: u64) -> bool {
        self.prefix() == size && self.0.len() <= 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_set_of_bytes_would_be(writes in prop::collection::vec((0u64..60, 0u64..12), 0..40), taken in prop::collection::vec((0u64..60, 0u64..12), 0..9), cut in 0u64..80) {
            let mut ranges = Ranges::default();
            let mut bytes = std::collections::BTreeSet::new();
            for (start, len) in writes {
                ranges.add(start, start + len);
                bytes.extend(start..start + len);
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
                prop_assert_eq!(ranges.0.iter().flat_map(|range| range.0..range.1).collect::<Vec<_>>(), bytes.iter().copied().collect::<Vec<_>>());
                let size = bytes.last().map_or(0, |last| last + 1);
                prop_assert_eq!(ranges.is_whole(size), bytes.len() as u64 == size);
                prop_assert_eq!(ranges.prefix(), (0..).find(|byte| !bytes.contains(byte)).unwrap_or_default());
            }
            for (start, len) in taken {
                ranges.remove(start, start + len);
                bytes.retain(|byte| !(start..start + len).contains(byte));
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
                prop_assert_eq!(ranges.0.iter().flat_map(|range| range.0..range.1).collect::<Vec<_>>(), bytes.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(ranges.start(), bytes.first().copied());
            }
            ranges.cut(cut);
            bytes.retain(|byte| *byte < cut);
            prop_assert_eq!(ranges.0.iter().flat_map(|range| range.0..range.1).collect::<Vec<_>>(), bytes.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn up_to_a_size_is_whole() {
        assert!(Ranges::up_to(0).is_whole(0) && Ranges::up_to(9).is_whole(9) && !Ranges::up_to(9).is_whole(10));
        assert!(Ranges::default().is_whole(0));
    }
}
