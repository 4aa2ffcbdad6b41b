//! Sequences of calls against a model of what each object holds. Shared with the fuzz target
//! `fuzz/fuzz_targets/c_abi.rs`.
//!
//! A sequence is bytes, four a step: which function, which of 64 cells, and a size. Every sequence
//! is a right use; a wrong answer is told, a violation ends the process.

use std::slice::from_raw_parts_mut as bytes_of;

/// The functions under test.
pub struct Abi {
    pub malloc: extern "C" fn(usize) -> *mut u8,
    pub calloc: extern "C" fn(usize, usize) -> *mut u8,
    pub realloc: unsafe extern "C" fn(*mut u8, usize) -> *mut u8,
    pub reallocarray: unsafe extern "C" fn(*mut u8, usize, usize) -> *mut u8,
    pub free: unsafe extern "C" fn(*mut u8),
    pub free_sized: unsafe extern "C" fn(*mut u8, usize),
    pub free_aligned_sized: unsafe extern "C" fn(*mut u8, usize, usize),
    pub posix_memalign: unsafe extern "C" fn(*mut *mut u8, usize, usize) -> i32,
    pub aligned_alloc: extern "C" fn(usize, usize) -> *mut u8,
    pub malloc_usable_size: unsafe extern "C" fn(*mut u8) -> usize,
    pub malloc_object_size: extern "C" fn(*const u8) -> usize,
    pub malloc_trim: extern "C" fn(usize) -> i32,
    pub new: extern "C-unwind" fn(usize) -> *mut u8,
    pub new_aligned: extern "C-unwind" fn(usize, usize) -> *mut u8,
    pub new_array: extern "C-unwind" fn(usize) -> *mut u8,
    pub delete: unsafe extern "C" fn(*mut u8),
    pub delete_sized: unsafe extern "C" fn(*mut u8, usize),
    pub delete_aligned: unsafe extern "C" fn(*mut u8, usize),
    pub delete_aligned_sized: unsafe extern "C" fn(*mut u8, usize, usize),
    pub delete_array: unsafe extern "C" fn(*mut u8),
    pub delete_array_sized: unsafe extern "C" fn(*mut u8, usize),
}

/// What allocated an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Malloc,
    AlignedAlloc(usize),
    Memalign,
    New,
    NewAligned(usize),
    NewArray,
}

#[derive(Clone, Copy)]
struct Object {
    at: *mut u8,
    /// As asked for.
    size: usize,
    /// As it may be used: more after `malloc_usable_size`.
    used: usize,
    by: By,
    seed: u8,
}

impl Object {
    /// Its bytes; not for an object of none.
    fn bytes(&self) -> &'static mut [u8] {
        // SAFETY: the object is live with `used` bytes, and only the model refers to it, one
        // reference at a time.
        unsafe { bytes_of(self.at, self.used) }
    }

    fn fill(&self, from: usize) {
        for (i, byte) in self.bytes().iter_mut().enumerate().skip(from) {
            *byte = self.seed.wrapping_add((i as u8).wrapping_mul(31));
        }
    }

    fn holds(&self, seed: u8, len: usize) -> bool {
        let bytes = self.bytes().iter().take(len).enumerate();
        bytes.clone().all(|(i, &byte)| byte == seed.wrapping_add((i as u8).wrapping_mul(31)))
    }
}

/// The model between two steps.
struct Model<'a> {
    abi: &'a Abi,
    cells: [Option<Object>; 64],
    traits: Traits,
    seed: u8,
}

/// What a policy's library does that the model must know.
#[derive(Clone, Copy)]
pub struct Traits {
    /// It wipes, so that all memory is zero at first.
    pub wipes: bool,
    /// Some small objects are treated as large ones.
    pub samples: bool,
}

/// Runs a sequence, then frees all that is left; how many steps there were.
pub fn run(abi: &Abi, traits: Traits, bytes: &[u8]) -> Result<usize, String> {
    let mut model = Model { abi, cells: [None; 64], traits, seed: 1 };
    let mut steps = 0;
    for step in bytes.chunks_exact(4) {
        let [what, cell, low, high] = [step[0], step[1], step[2], step[3]];
        // Small sizes mostly; some up to 2 MiB.
        let size = match high >> 5 {
            0..=4 => usize::from(low),
            5 | 6 => usize::from(low) * 16 + usize::from(high & 31),
            _ => usize::from(low) << (high & 13),
        };
        let outcome = model.step(what, usize::from(cell & 63), size);
        outcome.map_err(|what| format!("step {steps}: {what}"))?;
        steps += 1;
    }
    for cell in 0..64 {
        model.release(cell, 0)?;
    }
    Ok(steps)
}

impl Model<'_> {
    fn step(&mut self, what: u8, cell: usize, size: usize) -> Result<(), String> {
        let how = what >> 4;
        match what & 15 {
            0..=7 => self.renew(cell, size, what),
            8 | 9 => self.release(cell, how),
            10..=12 => self.resize(cell, size, how),
            13 => self.use_all(cell),
            14 => self.look(cell, size),
            // Rarely: it empties all that makes the steps quick.
            _ if cell != 0 => self.look(cell, 0),
            _ => {
                (self.abi.malloc_trim)(0);
                Ok(())
            }
        }
    }

    fn renew(&mut self, cell: usize, size: usize, what: u8) -> Result<(), String> {
        self.release(cell, what)?;
        let abi = self.abi;
        let align = 8usize << ((what >> 4) % 12);
        let (at, by) = match what & 7 {
            0 | 1 => ((abi.malloc)(size), By::Malloc),
            2 => ((abi.calloc)(size, 1), By::Malloc),
            3 => {
                let mut at = std::ptr::null_mut();
                // SAFETY: a place for the pointer.
                let error = unsafe { (abi.posix_memalign)(&raw mut at, align, size) };
                if error != 0 {
                    return Err(format!("posix_memalign({align}, {size}): {error}"));
                }
                (at, By::Memalign)
            }
            4 => ((abi.aligned_alloc)(align, size), By::AlignedAlloc(align)),
            5 => ((abi.new)(size), By::New),
            6 => ((abi.new_aligned)(size, align), By::NewAligned(align)),
            _ => ((abi.new_array)(size), By::NewArray),
        };
        let least = match by {
            By::AlignedAlloc(align) | By::NewAligned(align) => align,
            By::Memalign => align,
            _ => 16,
        };
        if at.is_null() || at.addr() % least != 0 {
            return Err(format!("{by:?} of {size} bytes gave {at:?}"));
        }
        self.place(cell, at, size, by, 0)
    }

    /// Puts an object of which the first bytes are known into a cell.
    fn place(
        &mut self,
        cell: usize,
        at: *mut u8,
        size: usize,
        by: By,
        known: usize,
    ) -> Result<(), String> {
        self.seed = self.seed.wrapping_mul(5).wrapping_add(77);
        let object = Object { at, size, used: size, by, seed: self.seed };
        for other in self.cells.iter().flatten() {
            let (a, b) = (at.addr(), other.at.addr());
            if a < b + other.used.max(1) && b < a + size.max(1) {
                return Err(format!("{size} bytes at {a:#x} overlap {} at {b:#x}", other.used));
            }
        }
        if self.traits.wipes
            && size != 0
            && object.bytes()[known.min(size)..].iter().any(|&b| b != 0)
        {
            return Err(format!("{by:?} of {size} bytes is not zero behind {known}"));
        }
        if size != 0 {
            object.fill(0);
        }
        self.cells[cell] = Some(object);
        Ok(())
    }

    fn check(&self, object: &Object) -> Result<(), String> {
        if object.used == 0 || object.holds(object.seed, object.used) {
            return Ok(());
        }
        Err(format!("{:?} of {} bytes does not hold what it held", object.by, object.size))
    }

    fn release(&mut self, cell: usize, how: u8) -> Result<(), String> {
        let Some(object) = self.cells[cell].take() else { return Ok(()) };
        self.check(&object)?;
        let Object { at, size, by, .. } = object;
        let (abi, sized) = (self.abi, how & 1 != 0);
        // SAFETY: live, the model's alone, and allocated as the function wants it.
        unsafe {
            match by {
                By::Malloc if sized => (abi.free_sized)(at, size),
                By::AlignedAlloc(align) if sized => (abi.free_aligned_sized)(at, align, size),
                By::Malloc | By::AlignedAlloc(_) | By::Memalign => (abi.free)(at),
                By::New if sized => (abi.delete_sized)(at, size),
                By::New => (abi.delete)(at),
                By::NewAligned(align) if sized => (abi.delete_aligned_sized)(at, size, align),
                By::NewAligned(align) => (abi.delete_aligned)(at, align),
                By::NewArray if sized => (abi.delete_array_sized)(at, size),
                By::NewArray => (abi.delete_array)(at),
            }
        }
        Ok(())
    }

    fn resize(&mut self, cell: usize, size: usize, how: u8) -> Result<(), String> {
        let Some(object) = self.cells[cell] else { return self.renew(cell, size, 0) };
        if !matches!(object.by, By::Malloc | By::Memalign | By::AlignedAlloc(_)) {
            return self.release(cell, how);
        }
        self.check(&object)?;
        self.cells[cell] = None;
        // SAFETY: live and the model's alone.
        let at = unsafe {
            if how & 1 == 0 {
                (self.abi.realloc)(object.at, size)
            } else {
                (self.abi.reallocarray)(object.at, 1, size)
            }
        };
        if size == 0 {
            return if at.is_null() { Ok(()) } else { Err(String::from("realloc to nothing")) };
        }
        let kept = object.used.min(size);
        let moved = Object { at, size, used: size, by: By::Malloc, seed: object.seed };
        if at.is_null() || !moved.holds(object.seed, kept) {
            return Err(format!("realloc from {} to {size} bytes", object.used));
        }
        self.place(cell, at, size, By::Malloc, kept)
    }

    /// Takes over all of the object.
    fn use_all(&mut self, cell: usize) -> Result<(), String> {
        let Some(object) = &mut self.cells[cell] else { return Ok(()) };
        // SAFETY: live.
        let usable = unsafe { (self.abi.malloc_usable_size)(object.at) };
        if usable < object.used || (object.size == 0) != (usable == 0) {
            return Err(format!("{} of {} bytes are usable", usable, object.used));
        }
        let from = object.used;
        object.used = usable;
        if usable != 0 {
            object.fill(from);
        }
        Ok(())
    }

    /// Asks what lies behind a pointer into the object.
    fn look(&mut self, cell: usize, offset: usize) -> Result<(), String> {
        let Some(object) = self.cells[cell] else { return Ok(()) };
        let offset = offset % (object.used + 1);
        let known = (self.abi.malloc_object_size)(object.at.wrapping_add(offset));
        // Large objects are known by their starts; under the strict policy some small ones are
        // such.
        let wide =
            matches!(object.by, By::AlignedAlloc(align) | By::NewAligned(align) if align >= 4096);
        let may_be_large =
            object.used > 900_000 || wide || object.by == By::Memalign || self.traits.samples;
        if known == object.used - offset || (may_be_large && known == usize::MAX) {
            return self.check(&object);
        }
        Err(format!("{known} bytes behind {offset} of {}", object.used))
    }
}
