//! The allocators under test, behind one type whose objects only that allocator can free.
#![expect(unsafe_code, reason = "calls GlobalAlloc directly, with raw blocks of memory")]

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};
use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr::NonNull;

use casemate::{Casemate, Full, Light, Strict};
use mimalloc::MiMalloc;
use snmalloc_rs::SnMalloc;

use crate::estimate::Estimate;
use crate::floor::{Floor, read_pass};
use crate::row::Program;

/// One of the allocators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    System,
    Floor,
    Estimate,
    Mimalloc,
    Snmalloc,
    Casemate,
    Light,
    Strict,
}

impl Which {
    /// In the order of the table's columns and of each row's children.
    pub const ALL: &[Which] = &[
        Which::System,
        Which::Floor,
        Which::Estimate,
        Which::Mimalloc,
        Which::Snmalloc,
        Which::Casemate,
        Which::Light,
        Which::Strict,
    ];

    /// The name in the table and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Which::System => "system",
            Which::Floor => "floor",
            Which::Estimate => "estimate",
            Which::Mimalloc => "mimalloc",
            Which::Snmalloc => "snmalloc",
            Which::Casemate => "casemate",
            Which::Light => "light",
            Which::Strict => "strict",
        }
    }

    /// The allocator of this name.
    pub fn parse(name: &str) -> Option<Which> {
        Which::ALL.iter().copied().find(|which| which.name() == name)
    }

    /// Runs `program` on this allocator. Only one Casemate can be started in a process, and it
    /// starts at its first allocation: so a process calls this once.
    pub fn run(self, program: &Program) -> f64 {
        static FULL: Casemate<Full> = Casemate::new();
        static LIGHT: Casemate<Light> = Casemate::new();
        static STRICT: Casemate<Strict> = Casemate::new();
        match self {
            Which::System => program.run(Heap(&System)),
            Which::Floor => program.run(Heap(&Floor)),
            Which::Estimate => program.run(Heap(&Estimate)),
            Which::Mimalloc => program.run(Heap(&MiMalloc)),
            Which::Snmalloc => program.run(Heap(&SnMalloc)),
            Which::Casemate => program.run(Heap(&FULL)),
            Which::Light => program.run(Heap(&LIGHT)),
            Which::Strict => program.run(Heap(&STRICT)),
        }
    }
}

/// An object allocated by the process's only `A`. Dropping it leaks it.
pub struct Object<A> {
    ptr: NonNull<u8>,
    size: usize,
    allocator: PhantomData<fn(A)>,
}

// SAFETY: the object owns its memory, and a GlobalAlloc frees what another thread allocated.
unsafe impl<A> Send for Object<A> {}

/// The process's only `A`: nothing outside this module makes one.
pub struct Heap<A: 'static>(&'static A);

impl<A> Clone for Heap<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Heap<A> {}

impl<A: GlobalAlloc> Heap<A> {
    /// An object of `size` bytes, at least 1, at alignment 8, each byte written.
    #[inline(always)]
    pub fn allocate(self, size: usize) -> Object<A> {
        let layout = layout(size);
        // SAFETY: no caller passes size 0.
        let ptr = unsafe { self.0.alloc(layout) };
        let Some(ptr) = NonNull::new(ptr) else { handle_alloc_error(layout) };
        let object = Object { ptr, size, allocator: PhantomData };
        object.write_from(0);
        object
    }

    /// Frees `object`.
    #[inline(always)]
    pub fn free(self, object: Object<A>) {
        // SAFETY: an Object is only made by the process's one `A`, with this layout, and is gone
        // after this call.
        unsafe { self.0.dealloc(object.ptr.as_ptr(), layout(object.size)) }
    }

    /// Grows `object` to `size` bytes by realloc and writes what is new.
    pub fn grow(self, object: Object<A>, size: usize) -> Object<A> {
        let old = object.size;
        // SAFETY: as in `free`; `size` is not 0 and far below isize::MAX.
        let ptr = unsafe { self.0.realloc(object.ptr.as_ptr(), layout(old), size) };
        let Some(ptr) = NonNull::new(ptr) else { handle_alloc_error(layout(size)) };
        let object = Object { ptr, size, allocator: PhantomData };
        object.write_from(old);
        object
    }
}

impl<A> Object<A> {
    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Reads the whole object.
    #[inline(always)]
    pub fn read(&self) {
        // SAFETY: the object is `size` bytes, all written by `allocate` or `grow`.
        unsafe { read_pass(self.ptr.as_ptr(), self.size) }
    }

    #[inline(always)]
    fn write_from(&self, start: usize) {
        if start < self.size {
            // SAFETY: the object has `size` bytes, so `start..size` is inside it.
            unsafe { self.ptr.as_ptr().add(start).write_bytes(0xA5, self.size - start) };
        }
        black_box(self.ptr);
    }
}

#[inline(always)]
fn layout(size: usize) -> Layout {
    debug_assert!(size > 0 && size <= 1 << 40);
    // SAFETY: 8 is a power of two and no row's size comes near isize::MAX.
    unsafe { Layout::from_size_align_unchecked(size, 8) }
}

/// Frees an snmalloc object twice, to be run in a child that this may well kill: a build with
/// checks stops here.
pub fn double_free_snmalloc() {
    let layout = layout(64);
    // SAFETY: none: the contract is broken on purpose, in a process that does nothing else.
    unsafe {
        let ptr = SnMalloc.alloc(layout);
        let others: Vec<_> = (0..5_000).map(|_| SnMalloc.alloc(layout)).collect();
        SnMalloc.dealloc(ptr, layout);
        SnMalloc.dealloc(black_box(ptr), layout);
        for other in others {
            SnMalloc.dealloc(other, layout);
        }
        for _ in 0..20_000 {
            black_box(SnMalloc.alloc(layout));
        }
    }
}
