//! The misuse programs: what C programs do wrong, with the C library's own functions. They run in
//! processes of their own, started by `trial`.
//!
//! Every one says, if it gets to its end, what came of it: [`HARM`] with the evidence, or
//! [`HARMLESS`]. The functions are called through pointers that the optimiser cannot see through,
//! as it would otherwise leave out what has no effect in a correct program.
#![expect(unsafe_code, reason = "misuses the C heap on purpose")]

use crate::Failure;
use libc::{c_int, c_void};
use std::hint::black_box;
use std::process::ExitCode;

/// Status of a program that was not stopped and did no harm.
pub const HARMLESS: c_int = 40;
/// Status of a program that was not stopped although it did harm.
pub const HARM: c_int = 41;

/// One program.
pub struct Misuse {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    run: fn(&Heap) -> End,
}

/// How a program that was not stopped ended.
enum End {
    Harmless(&'static str),
    Harm(String),
}

fn harm(evidence: impl Into<String>) -> End {
    End::Harm(evidence.into())
}

/// All programs, in the order of the table.
pub const ALL: &[Misuse] = &[
    Misuse { name: "double-free", what: "frees an object twice", run: double_free },
    Misuse { name: "free-a-b-a", what: "frees it again after another", run: free_a_b_a },
    Misuse { name: "overflow-by-one", what: "writes one byte too many", run: overflow_by_one },
    Misuse { name: "string-overflow", what: "copies a long string", run: string_overflow },
    Misuse { name: "underflow", what: "writes before the start", run: underflow },
    Misuse { name: "write-after-free", what: "writes to freed memory", run: write_after_free },
    Misuse { name: "poisoned-list", what: "redirects malloc by a stale write", run: poisoned_list },
    Misuse { name: "stale-alias", what: "changes another's object", run: stale_alias },
    Misuse { name: "read-after-free", what: "reads a freed secret", run: read_after_free },
    Misuse { name: "uninitialised", what: "reads what was there before", run: uninitialised },
    Misuse { name: "free-stack", what: "frees a local variable", run: free_stack },
    Misuse { name: "free-static", what: "frees a constant", run: free_static },
    Misuse { name: "free-interior", what: "frees the middle of an object", run: free_interior },
    Misuse { name: "wrong-size", what: "frees with a wrong size", run: wrong_size },
    Misuse { name: "stale-realloc", what: "resizes a freed object", run: stale_realloc },
    Misuse { name: "large-overflow", what: "runs past a large object", run: large_overflow },
    Misuse { name: "large-stale", what: "uses a freed large object", run: large_stale },
];

/// The program of this name.
pub fn find(name: &str) -> Option<&'static Misuse> {
    ALL.iter().find(|misuse| misuse.name == name)
}

/// Runs one in this very process.
pub fn run(name: &str) -> Result<ExitCode, Failure> {
    if name == "none" {
        // A program that does nothing wrong.
        return Ok(ExitCode::from(finish(correct(&Heap::new()))));
    }
    let misuse = find(name).ok_or_else(|| Failure::new(format!("{name}: no such program")))?;
    Ok(ExitCode::from(finish((misuse.run)(&Heap::new()))))
}

fn finish(end: End) -> u8 {
    match end {
        End::Harmless(what) => {
            println!("{what}");
            HARMLESS as u8
        }
        End::Harm(what) => {
            println!("{what}");
            HARM as u8
        }
    }
}

/// The C library's functions, whichever heap is behind them.
struct Heap {
    malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    realloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
}

impl Heap {
    /// The heap of a program that has run for a moment: it is past its first allocations, which
    /// Casemate serves from a heap shared by young threads.
    fn new() -> Heap {
        let heap = Heap {
            malloc: black_box(libc::malloc),
            free: black_box(libc::free),
            realloc: black_box(libc::realloc),
        };
        // A size that no program below uses.
        let objects: Vec<_> = (0..200).map(|_| heap.malloc(2000)).collect();
        objects.into_iter().for_each(|at| heap.free(at));
        heap
    }

    fn malloc(&self, size: usize) -> *mut u8 {
        // SAFETY: any size may be asked for.
        let at = unsafe { (self.malloc)(size) };
        assert!(!at.is_null(), "no memory");
        black_box(at.cast())
    }

    fn free(&self, at: *mut u8) {
        // SAFETY: none: that is what these programs are about. Whatever the heap makes of it
        // happens to a process that exists for this.
        unsafe { (self.free)(black_box(at.cast())) };
    }

    fn realloc(&self, at: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: as for `free`.
        black_box(unsafe { (self.realloc)(black_box(at.cast()), size) }.cast())
    }
}

fn write(at: *mut u8, offset: isize, value: u8) {
    // SAFETY: none, as for `free`; volatile, so that it is done.
    unsafe { black_box(at).offset(offset).write_volatile(value) };
}

fn read(at: *const u8, offset: isize) -> u8 {
    // SAFETY: as for `write`.
    unsafe { black_box(at).offset(offset).read_volatile() }
}

fn fill(at: *mut u8, from: &[u8]) {
    for (i, &byte) in from.iter().enumerate() {
        write(at, i as isize, byte);
    }
}

fn copy_out(at: *const u8, length: usize) -> Vec<u8> {
    (0..length).map(|i| read(at, i as isize)).collect()
}

const SECRET: &[u8] = b"................password=hunter2";

fn shows_secret(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|window| window == b"hunter2")
}

fn correct(heap: &Heap) -> End {
    let mut held = Vec::new();
    for i in 0..2000usize {
        let at = heap.malloc(1 + i * 37 % 5000);
        write(at, 0, i as u8);
        held.push((at, i as u8));
    }
    for (at, value) in held {
        assert_eq!(read(at, 0), value);
        heap.free(at);
    }
    End::Harmless("nothing was wrong")
}

fn double_free(heap: &Heap) -> End {
    let at = heap.malloc(40);
    heap.free(at);
    heap.free(at);
    harm("freed twice")
}

fn free_a_b_a(heap: &Heap) -> End {
    // The system's heap keeps seven of a size in a cache with a check of its own.
    let cached: Vec<_> = (0..7).map(|_| heap.malloc(40)).collect();
    let (a, b) = (heap.malloc(40), heap.malloc(40));
    cached.into_iter().for_each(|at| heap.free(at));
    heap.free(a);
    heap.free(b);
    heap.free(a);
    let mut given: Vec<_> = (0..12).map(|_| heap.malloc(40).addr()).collect();
    given.sort_unstable();
    if given.windows(2).any(|pair| pair[0] == pair[1]) {
        return harm("one object was given to two owners");
    }
    harm("freed twice")
}

fn overflow_by_one(heap: &Heap) -> End {
    let objects: Vec<_> = (0..8).map(|_| heap.malloc(24)).collect();
    let last = read(objects[3], 24);
    write(objects[3], 24, last ^ 0x40);
    heap.free(objects[3]);
    harm("the heap's record of the neighbour is damaged")
}

fn string_overflow(heap: &Heap) -> End {
    let objects: Vec<_> = (0..8).map(|_| heap.malloc(24)).collect();
    let long = black_box(c"a name that is longer than the program's author thought");
    // SAFETY: none, as for `write`.
    unsafe { libc::strcpy(objects[3].cast(), long.as_ptr()) };
    let overwritten = objects.iter().enumerate().any(|(i, &at)| i != 3 && read(at, 0) != 0);
    heap.free(objects[3]);
    harm(if overwritten { "another object was overwritten" } else { "copied past the end" })
}

fn underflow(heap: &Heap) -> End {
    let objects: Vec<_> = (0..1000).map(|_| heap.malloc(24)).collect();
    // One that has another right below it.
    let below = |at: &&*mut u8| objects.iter().any(|other| other.addr() + 32 == at.addr());
    let Some(&at) = objects.iter().find(below) else { return End::Harmless("no neighbours") };
    let before = read(at, -8);
    write(at, -8, before ^ 0x40);
    heap.free(at);
    harm("the heap's record of the object was changed")
}

/// Asks for objects of a size until what was freed is bound to have been given out again.
fn churn(heap: &Heap, size: usize) {
    for _ in 0..100 {
        let objects: Vec<_> = (0..3000).map(|_| heap.malloc(size)).collect();
        objects.into_iter().for_each(|at| heap.free(at));
    }
}

fn write_after_free(heap: &Heap) -> End {
    let at = heap.malloc(120);
    let _other = heap.malloc(120);
    heap.free(at);
    // Behind what the system's heap keeps in freed objects.
    write(at, 64, 0x41);
    churn(heap, 120);
    harm("the write went unseen")
}

fn poisoned_list(heap: &Heap) -> End {
    static mut TARGET: [u128; 4] = [0; 4];
    let target = &raw mut TARGET;
    let (a, b) = (heap.malloc(56), heap.malloc(56));
    heap.free(a);
    heap.free(b);
    // The system's heap links freed objects, the link mixed with its own address.
    let link = target.addr() ^ (b.addr() >> 12);
    fill(b, &link.to_ne_bytes());
    for _ in 0..4 {
        if heap.malloc(56).addr() == target.addr() {
            return harm("malloc gave out an address of the attacker's choice");
        }
    }
    churn(heap, 56);
    harm("the write went unseen")
}

fn stale_alias(heap: &Heap) -> End {
    let stale = heap.malloc(200);
    heap.free(stale);
    let fresh = heap.malloc(200);
    fill(fresh, b"user=guest");
    fill(stale, b"user=admin");
    if copy_out(fresh, 10) == b"user=admin" {
        return harm("a stale pointer changed another's object");
    }
    churn(heap, 200);
    harm("the write went unseen")
}

fn read_after_free(heap: &Heap) -> End {
    let at = heap.malloc(200);
    fill(at, SECRET);
    heap.free(at);
    if shows_secret(&copy_out(at, SECRET.len())) {
        return harm("the secret was still there: hunter2");
    }
    End::Harmless("it was wiped")
}

fn uninitialised(heap: &Heap) -> End {
    let at = heap.malloc(200);
    fill(at, SECRET);
    heap.free(at);
    for _ in 0..10_000 {
        let next = heap.malloc(200);
        let shown = shows_secret(&copy_out(next, 200));
        heap.free(next);
        if shown {
            return harm("new memory held an old secret: hunter2");
        }
    }
    End::Harmless("new memory is all zero")
}

fn free_stack(heap: &Heap) -> End {
    let mut local = [0u64; 16];
    let at: *mut u8 = local.as_mut_ptr().cast();
    heap.free(at.wrapping_add(32));
    harm("accepted")
}

fn free_static(heap: &Heap) -> End {
    static CONSTANT: [u64; 16] = [0x41; 16];
    heap.free((&raw const CONSTANT).cast_mut().cast::<u8>().wrapping_add(32));
    harm("accepted")
}

fn free_interior(heap: &Heap) -> End {
    let at = heap.malloc(256);
    // What looks like the head of an object, as an attacker would put it there.
    fill(at.wrapping_add(56), &0x41usize.to_ne_bytes());
    heap.free(at.wrapping_add(64));
    if heap.malloc(48).addr() == at.addr() + 64 {
        return harm("the middle of an object was given to another");
    }
    harm("accepted")
}

fn wrong_size(heap: &Heap) -> End {
    let at = heap.malloc(200);
    // SAFETY: asks for a function by name; null if there is none.
    let sized = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"free_sized".as_ptr()) };
    if sized.is_null() {
        // Before C23 the size is not told, and not checked.
        heap.free(at);
        return harm("the size was not looked at");
    }
    // SAFETY: C23's function of that name; the size is wrong on purpose.
    unsafe {
        let sized: unsafe extern "C" fn(*mut c_void, usize) = std::mem::transmute(sized);
        sized(at.cast(), black_box(40));
    }
    harm("the size was not looked at")
}

fn stale_realloc(heap: &Heap) -> End {
    let at = heap.malloc(1000);
    let _other = heap.malloc(1000);
    heap.free(at);
    let grown = heap.realloc(at, 1010);
    if heap.malloc(1000) == grown {
        return harm("the same memory was given to two owners");
    }
    harm("accepted")
}

const LARGE: usize = 4 << 20;

fn large_overflow(heap: &Heap) -> End {
    let objects: Vec<_> = (0..3).map(|_| heap.malloc(LARGE)).collect();
    objects.iter().for_each(|&at| write(at, 0, 1));
    // On page after page, as a copy with a wrong length does.
    for i in 0..LARGE as isize / 4096 {
        let at = objects[1];
        write(at, LARGE as isize + i * 4096, 0x41);
    }
    harm("another object was overwritten")
}

fn large_stale(heap: &Heap) -> End {
    // The system's heap unmaps the first large object and from then on keeps its like.
    heap.free(heap.malloc(LARGE));
    let at = heap.malloc(LARGE);
    let _other = heap.malloc(64);
    fill(at.wrapping_add(LARGE / 2), SECRET);
    heap.free(at);
    if shows_secret(&copy_out(at.wrapping_add(LARGE / 2), SECRET.len())) {
        return harm("the secret was still there: hunter2");
    }
    harm("freed memory could be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for misuse in ALL {
            assert_eq!(find(misuse.name).unwrap().what, misuse.what);
            assert_eq!(ALL.iter().filter(|other| other.name == misuse.name).count(), 1);
        }
        assert!(ALL.len() >= 12 && find("none").is_none());
    }
}
