//! What may change while the hub runs: read where it is used, each time, and put in place as a whole by `service::reload`.
//!
//! Who reads keeps what it read: a batch being judged keeps its flow, a call under way its channel, although another has taken
//! their place.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// One value, swapped as a whole.
pub struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    #[must_use]
    pub fn new(value: T) -> Live<T> {
        Live(RwLock::new(Arc::new(value)))
    }

    /// The value of now.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place. Who has read the old one keeps it.
    pub fn put(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// Things by name, as a map that is swapped as a whole.
pub struct Shelf<T>(Live<BTreeMap<String, Arc<T>>>);

impl<T> Shelf<T> {
    #[must_use]
    pub fn new(things: BTreeMap<String, Arc<T>>) -> Shelf<T> {
        Shelf(Live::new(things))
    }

    /// All of now: one picture, for who needs more than one of them.
    #[must_use]
    pub fn all(&self) -> Arc<BTreeMap<String, Arc<T>>> {
        self.0.get()
    }

    /// Puts these in the place of all.
    pub fn put(&self, things: BTreeMap<String, Arc<T>>) {
        self.0.put(things);
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        self.all().get(name).cloned()
    }

    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.all().contains_key(name)
    }

    pub fn keys(&self) -> impl Iterator<Item = String> + use<T> {
        self.all().keys().cloned().collect::<Vec<_>>().into_iter()
    }

    pub fn values(&self) -> impl Iterator<Item = Arc<T>> + use<T> {
        self.all().values().cloned().collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_read_keeps_what_it_read() {
        let shelf = Shelf::new(BTreeMap::from([("a".to_owned(), Arc::new(1))]));
        let (one, all) = (shelf.get("a").unwrap(), shelf.all());
        shelf.put(BTreeMap::from([("a".to_owned(), Arc::new(2)), ("b".to_owned(), Arc::new(3))]));
        assert_eq!((*one, all.len(), shelf.get("a").as_deref()), (1, 1, Some(&2)));
        assert_eq!(shelf.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(shelf.values().map(|value| *value).sum::<i32>(), 5);
        assert!(!all.contains_key("b") && shelf.contains_key("b"));
    }
}
