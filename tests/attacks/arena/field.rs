//! What an attack has at hand: the heap, the program's own variables, and a way to say that it has
//! reached its goal.
#![expect(unsafe_code, reason = "writes its report and ends the process")]

use super::heap::{CASEMATE, Heap, LIGHT, STRICT};
use super::memory::{get, put};
use std::alloc::Layout;
use std::cell::UnsafeCell;

/// What a child exits with where nothing kills it. None is one that a shell or a panic uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The program ran to its end.
    Ran = 60,
    /// The attack could not even be tried.
    SetUp = 61,
}

/// What a child writes to standard output when the attack has reached its goal.
pub const EFFECT: &[u8] = b"effect\n";

/// Words of the program's variables.
const WORDS: usize = 1024;

#[repr(align(64))]
struct Variables(UnsafeCell<[usize; WORDS]>);
// SAFETY: accessed by address and volatile only, as an attacker does.
unsafe impl Sync for Variables {}

static VARIABLES: Variables = Variables(UnsafeCell::new([0; WORDS]));

/// The address of a word of the program's static variables. All are zero at first; number 0 is
/// aligned to 64.
pub fn variable(i: usize) -> usize {
    assert!(i < WORDS);
    VARIABLES.0.get().expose_provenance() + i * 8
}

/// Whether an address is among the program's variables.
pub fn is_variable(at: usize) -> bool {
    at.wrapping_sub(variable(0)) < WORDS * 8
}

/// An attack's heap.
#[derive(Clone, Copy)]
pub struct Field {
    heap: &'static dyn Heap,
    goes_on: bool,
}

impl Field {
    /// A heap by its name, ready.
    pub fn new(name: &str, heap: &'static dyn Heap) -> Field {
        heap.prepare();
        Field { heap, goes_on: [CASEMATE, LIGHT, STRICT].contains(&name) }
    }

    /// An object. Ends the process if there is none.
    pub fn take(&self, size: usize) -> usize {
        match self.heap.allocate(size) {
            0 => leave(Exit::SetUp),
            at => at,
        }
    }

    /// An object, or 0.
    pub fn try_take(&self, size: usize) -> usize {
        self.heap.allocate(size)
    }

    /// Objects, in the order of allocation. Kept on the stack, since a vector would be the heap's.
    pub fn take_many<const N: usize>(&self, size: usize) -> [usize; N] {
        std::array::from_fn(|_| self.take(size))
    }

    /// Frees.
    pub fn free(&self, at: usize) {
        self.heap.free(at);
    }

    /// Frees, naming a size.
    pub fn free_sized(&self, at: usize, size: usize) {
        self.heap.free_sized(at, size);
    }

    /// An object as a Rust program asks for it. Ends the process if there is none.
    pub fn take_layout(&self, layout: Layout) -> usize {
        match self.heap.allocate_layout(layout) {
            0 => leave(Exit::SetUp),
            at => at,
        }
    }

    /// The same, or 0.
    pub fn try_take_layout(&self, layout: Layout) -> usize {
        self.heap.allocate_layout(layout)
    }

    /// Frees as a Rust program does.
    pub fn free_layout(&self, at: usize, layout: Layout) {
        self.heap.free_layout(at, layout);
    }

    /// Frees many.
    pub fn free_all(&self, all: &[usize]) {
        all.iter().for_each(|&at| self.free(at));
    }

    /// Resizes. Ends the process if there is no memory.
    pub fn resize(&self, at: usize, size: usize) -> usize {
        match self.heap.resize(at, size) {
            0 => leave(Exit::SetUp),
            at => at,
        }
    }

    /// The program goes on with objects of this size, through several times the longest wait that a
    /// freed object of Casemate's has.
    pub fn go_on(&self, size: usize) {
        for _ in 0..((4 << 20) / size.max(1)).clamp(200, 60_000) {
            self.free(self.take(size));
        }
    }

    /// Tells whether the goal was reached. A heap whose records the attack has destroyed is then
    /// left alone; the subject goes on, to see what it finds afterwards.
    pub fn goal(&self, reached: bool) {
        if !reached {
            return;
        }
        // SAFETY: writes a constant to a descriptor of this process.
        unsafe { libc::write(libc::STDOUT_FILENO, EFFECT.as_ptr().cast(), EFFECT.len()) };
        if !self.goes_on {
            leave(Exit::Ran);
        }
    }

    /// Whether two objects share a byte.
    pub fn overlap(one: (usize, usize), other: (usize, usize)) -> bool {
        one.0 < other.0 + other.1 && other.0 < one.0 + one.1
    }

    /// The start of this object's chunk in a heap with boundary tags.
    pub fn chunk(object: usize) -> usize {
        object - 16
    }

    /// What a freed object's first word is combined with in glibc, learnt from an object that was
    /// the first of its list (its link is null); 0 elsewhere.
    pub fn mask(first_freed: usize) -> usize {
        get(first_freed)
    }

    /// Writes words one after the other, as a linear overflow does.
    pub fn put_all(at: usize, words: &[usize]) {
        words.iter().enumerate().for_each(|(i, &word)| put(at + i * 8, word));
    }
}

/// Ends the child here and now.
pub fn leave(exit: Exit) -> ! {
    // SAFETY: ends the process; takes no memory.
    unsafe { libc::_exit(exit as i32) }
}
