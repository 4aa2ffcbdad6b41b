//! The workloads on an estimate of the least that the full policy's work on memory costs, around
//! the fastest peer's heap, or without the feature `mimalloc` the system's.
#![expect(unsafe_code, reason = "an allocator, which wipes raw blocks")]

mod heap;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::process::ExitCode;

use casemate::policy::Set;
#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Peer;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Peer;

/// The peer's large objects, wiped. They are not looked through: which of them are fresh from the
/// kernel is the peer's to know.
struct Large;

#[global_allocator]
static HEAP: heap::Estimate = heap::Estimate;

// SAFETY: the peer's contract; a block is written only while nobody else owns it.
unsafe impl GlobalAlloc for Large {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { Peer.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, freed: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up the block, which has layout.size() bytes.
        unsafe {
            if heap::has(Set::WIPE) {
                freed.write_bytes(0, layout.size());
            }
            Peer.dealloc(black_box(freed), layout);
        }
    }

    #[inline]
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { Peer.realloc(old, layout, size) }
    }
}

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
