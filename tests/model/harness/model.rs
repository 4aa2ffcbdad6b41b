//! What must be true of the live objects: they overlap nowhere, they are aligned, and their
//! contents are those last written.

use super::subject::Outcome;
use std::alloc::Layout;
use std::collections::BTreeMap;

/// A live object.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Where it is.
    pub address: usize,
    /// What it was asked for with.
    pub layout: Layout,
    /// What it holds, see [`content`](super::content).
    pub seed: u64,
    /// The thread that allocated or moved it last.
    pub by: usize,
}

/// The live objects.
#[derive(Default)]
pub struct Model {
    objects: Vec<Object>,
    /// Start to end.
    places: BTreeMap<usize, usize>,
    bytes: usize,
}

impl Model {
    /// Adds an object that the heap has handed out.
    pub fn insert(&mut self, object: Object) -> Outcome<()> {
        let start = object.address;
        let end = start
            .checked_add(object.layout.size())
            .filter(|&end| end >> 47 == 0)
            .ok_or_else(|| format!("beyond the address space: {object:x?}"))?;
        if !start.is_multiple_of(object.layout.align()) {
            return Err(format!("not aligned: {object:x?}"));
        }
        if let Some((&other, &other_end)) = self.places.range(..end).next_back()
            && other_end > start
        {
            return Err(format!("{object:x?} overlaps the live {other:#x}..{other_end:#x}"));
        }
        self.places.insert(start, end);
        self.bytes += object.layout.size();
        self.objects.push(object);
        Ok(())
    }

    /// Takes some object out: the heap is about to get it back.
    pub fn take(&mut self, pick: usize) -> Option<Object> {
        let i = pick.checked_rem(self.objects.len())?;
        let object = self.objects.swap_remove(i);
        self.places.remove(&object.address);
        self.bytes -= object.layout.size();
        Some(object)
    }

    /// Objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of all objects.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
