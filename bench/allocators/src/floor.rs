//! The workloads on the floor: what an allocator that wipes and checks memory cannot go below.
//!
//! The system allocator with one write of zeros over each object freed and one read of each
//! object allocated, where the pages are not fresh from the kernel.
#![expect(unsafe_code, reason = "an allocator, which wipes and reads raw blocks")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::process::ExitCode;

struct Floor;

#[global_allocator]
static HEAP: Floor = Floor;

/// Whether the block is a mapping of its own, whose pages come from the kernel and go back to it:
/// the second bit of the word before the block, in glibc. Only blocks aligned by 16 at most are
/// asked about.
///
/// # Safety
///
/// `ptr` must be a live block of glibc's heap.
unsafe fn mapped(ptr: *mut u8, layout: Layout) -> bool {
    // SAFETY: glibc keeps the size and three flags in the word before every block.
    layout.align() <= 16 && unsafe { ptr.cast::<usize>().sub(1).read() } & 2 != 0
}

// SAFETY: System's own contract; a block is written only while nobody else owns it.
unsafe impl GlobalAlloc for Floor {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        let ptr = unsafe { System.alloc(layout) };
        // SAFETY: where it is not null the block is live.
        if !ptr.is_null() && !unsafe { mapped(ptr, layout) } {
            // SAFETY: the block has layout.size() bytes. Black_box may have written them for all
            // the compiler knows.
            unsafe { read_pass(black_box(ptr), layout.size()) };
        }
        ptr
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the block is live until the call below.
        if !unsafe { mapped(ptr, layout) } {
            // SAFETY: the caller gives up the block, which has layout.size() bytes.
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(black_box(ptr), layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // What realloc leaves and takes inside the system allocator is not wiped: the floor stays
        // below what is possible.
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// Reads `size` bytes at `ptr`; the compiler makes wide loads of it.
///
/// # Safety
///
/// `ptr` must be readable and initialized for `size` bytes.
unsafe fn read_pass(ptr: *const u8, size: usize) {
    // SAFETY: the caller's.
    let bytes = unsafe { std::slice::from_raw_parts(ptr, size) };
    let (words, rest) = bytes.as_chunks::<32>();
    let mut sums = [0_u8; 32];
    for word in words {
        for (sum, byte) in sums.iter_mut().zip(word) {
            *sum |= byte;
        }
    }
    black_box((sums, rest.iter().fold(0, |sum, byte| sum | byte)));
}

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
