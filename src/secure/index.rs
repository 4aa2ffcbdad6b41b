//! Layer: pure. From an address to a number: open addressing with linear probing.
//!
//! The cells hold numbers plus one; the keys are where the numbers lead. A removed cell is closed
//! up by moving later ones back, so no marks of the removed ones are left to slow down look-ups.

/// A table over cells that somebody else keeps: a power of two of them, zero where empty.
pub struct Index<'c> {
    cells: &'c mut [u32],
}

/// Spreads addresses, whose low bits say little.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl<'c> Index<'c> {
    /// The table over these cells.
    pub fn new(cells: &'c mut [u32]) -> Self {
        debug_assert!(cells.len().is_power_of_two());
        Index { cells }
    }

    fn mask(&self) -> usize {
        self.cells.len().wrapping_sub(1)
    }

    fn home(&self, key: usize) -> usize {
        ((key as u64).wrapping_mul(SPREAD) >> 32) as usize & self.mask()
    }

    fn cell(&self, at: usize) -> Option<u32> {
        self.cells.get(at & self.mask()).and_then(|cell| cell.checked_sub(1))
    }

    fn set(&mut self, at: usize, cell: u32) {
        let at = at & self.mask();
        if let Some(place) = self.cells.get_mut(at) {
            *place = cell;
        }
    }

    /// Where the key's cell is.
    fn place(&self, key: usize, key_of: &impl Fn(u32) -> usize) -> Option<usize> {
        let home = self.home(key);
        for at in home..home + self.cells.len() {
            if key_of(self.cell(at)?) == key {
                return Some(at);
            }
        }
        None
    }

    /// The number of this key.
    #[inline]
    pub fn find(&self, key: usize, key_of: impl Fn(u32) -> usize) -> Option<u32> {
        self.place(key, &key_of).and_then(|at| self.cell(at))
    }

    /// Adds a number whose key is not in the table. False if the table is full.
    pub fn insert(&mut self, key: usize, number: u32) -> bool {
        let home = self.home(key);
        for at in home..home + self.cells.len() {
            if self.cell(at).is_none() {
                self.set(at, number.wrapping_add(1));
                return true;
            }
        }
        false
    }

    /// Removes a key and its number.
    pub fn remove(&mut self, key: usize, key_of: impl Fn(u32) -> usize) -> Option<u32> {
        let mut hole = self.place(key, &key_of)?;
        let removed = self.cell(hole);
        self.set(hole, 0);
        let first = hole + 1;
        for at in first..first + self.cells.len() {
            let Some(number) = self.cell(at) else { break };
            // It may move back if the hole is not before its home.
            let home = self.home(key_of(number));
            if at.wrapping_sub(home) & self.mask() >= at.wrapping_sub(hole) & self.mask() {
                self.set(hole, number.wrapping_add(1));
                self.set(at, 0);
                hole = at;
            }
        }
        removed
    }

    /// Empties the table.
    pub fn clear(&mut self) {
        self.cells.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    proptest! {
        /// Few homes, so that runs collide and wrap around the end.
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((0usize..3, 0usize..40), 0..300)) {
            let mut cells = [0u32; 32];
            let mut keys: Vec<usize> = Vec::new();
            let mut model = HashMap::new();
            for (what, key) in steps {
                let key = key << 12;
                let mut index = Index::new(&mut cells);
                let key_of = |number: u32| keys[number as usize];
                match what {
                    0 if !model.contains_key(&key) && model.len() < 24 => {
                        keys.push(key);
                        let number = keys.len() as u32 - 1;
                        prop_assert!(index.insert(key, number));
                        model.insert(key, number);
                    }
                    1 => prop_assert_eq!(index.remove(key, key_of), model.remove(&key)),
                    _ => prop_assert_eq!(index.find(key, key_of), model.get(&key).copied()),
                }
            }
            let index = Index::new(&mut cells);
            for (&key, &number) in &model {
                prop_assert_eq!(index.find(key, |n| keys[n as usize]), Some(number));
            }
            prop_assert_eq!(cells.iter().filter(|&&cell| cell != 0).count(), model.len());
        }
    }

    #[test]
    fn a_full_table_refuses_and_ends_its_searches() {
        let mut cells = [0u32; 4];
        let mut index = Index::new(&mut cells);
        for number in 0..4 {
            assert!(index.insert(number as usize, number));
        }
        assert!(!index.insert(9, 9));
        assert_eq!(index.find(9, |number| number as usize), None);
        assert_eq!(index.find(3, |number| number as usize), Some(3));
    }
}
