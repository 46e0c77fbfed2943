//! Which bytes of a file were given or taken, as ranges that do not touch.

/// A client that writes every other byte must not fill the memory: past this many ranges a file is never again whole.
const MOST: usize = 1_024;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Sorted, disjoint, not touching: (first, past the last).
    ranges: Vec<(u64, u64)>,
    lost: bool,
}

impl Ranges {
    /// Adds `length` bytes from `start`.
    pub fn add(&mut self, start: u64, length: u64) {
        let end = start.saturating_add(length);
        if length == 0 || self.lost {
            return;
        }
        // Nearly always: what follows the last range.
        if let Some(last) = self.ranges.last_mut().filter(|last| last.0 <= start && start <= last.1) {
            last.1 = last.1.max(end);
            return;
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let past = self.ranges.partition_point(|range| range.0 <= end);
        let touched = self.ranges.get(first..past).unwrap_or_default();
        let merged = touched.iter().fold((start, end), |all, range| (all.0.min(range.0), all.1.max(range.1)));
        self.ranges.splice(first..past.max(first), [merged]);
        if self.ranges.len() > MOST {
            self.lost = true;
            self.ranges = Vec::new();
        }
    }

    /// Whether every byte from `start` up to `end` is there.
    pub fn cover(&self, start: u64, end: u64) -> bool {
        start >= end || self.ranges.iter().any(|range| range.0 <= start && end <= range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_in_any_order() {
        type Pieces = &'static [(u64, u64)];
        let table: &[(Pieces, Pieces)] = &[
            (&[(0, 10), (10, 10)], &[(0, 20)]),
            (&[(10, 10), (0, 10)], &[(0, 20)]),
            (&[(0, 10), (20, 10), (10, 10)], &[(0, 30)]),
            (&[(0, 10), (20, 10)], &[(0, 10), (20, 30)]),
            (&[(20, 10), (0, 10), (40, 5), (5, 38)], &[(0, 45)]),
            (&[(5, 5), (0, 20)], &[(0, 20)]),
            (&[(0, 20), (5, 5)], &[(0, 20)]),
            (&[(3, 0)], &[]),
            (&[(u64::MAX - 1, 10)], &[(u64::MAX - 1, u64::MAX)]),
        ];
        for (adds, want) in table {
            let mut ranges = Ranges::default();
            adds.iter().for_each(|(start, length)| ranges.add(*start, *length));
            assert_eq!(ranges.ranges, *want, "{adds:?}");
        }
    }

    #[test]
    fn too_many_holes_cost_no_memory() {
        let mut ranges = Ranges::default();
        (0..100_000).for_each(|byte| ranges.add(byte * 2, 1));
        assert_eq!(ranges.ranges.capacity(), 0);
        ranges.add(0, 200_000);
        assert!(!ranges.cover(0, 10), "what was lost is not known to be there");
    }
}
