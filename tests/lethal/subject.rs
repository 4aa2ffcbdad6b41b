//! The allocators under test, by name: one for every policy, and those with options.
#![expect(unsafe_code, reason = "forwards GlobalAlloc")]

use casemate::policy::{Set, Without};
use casemate::{Casemate, Full, Light, Policy, Strict, Violation};
use std::alloc::{GlobalAlloc, Layout};

/// A `Casemate` of any policy. One small table of functions, so that cases are compiled once.
pub trait Subject: Sync {
    fn alloc(&self, layout: Layout) -> *mut u8;

    /// # Safety
    /// That of `GlobalAlloc::dealloc`, which the cases break: the process is made to die of it.
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout);

    /// # Safety
    /// As for [`dealloc`](Subject::dealloc).
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8;
}

impl<P: Policy> Subject for Casemate<P> {
    fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no layout of this binary has size zero.
        unsafe { GlobalAlloc::alloc(self, layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { GlobalAlloc::dealloc(self, at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { GlobalAlloc::realloc(self, at, layout, size) }
    }
}

static FULL: Casemate<Full> = Casemate::new();
static LIGHT: Casemate<Light> = Casemate::new();
static STRICT: Casemate<Strict> = Casemate::new();
static HOOK: Casemate<Full> = Casemate::new().with_hook(say);
static MISUSING_HOOK: Casemate<Full> = Casemate::new().with_hook(misuse_again);
static PANICKING_HOOK: Casemate<Full> = Casemate::new().with_hook(say_and_unwind);
static ADDRESSES: Casemate<Full> = Casemate::new().with_addresses();

/// What the hook writes.
pub const HOOK_SAID: &str = "the hook ran\n";

fn say(_: &Violation) {
    // SAFETY: writes a constant to a descriptor of this process.
    unsafe { libc::write(libc::STDERR_FILENO, HOOK_SAID.as_ptr().cast(), HOOK_SAID.len()) };
}

/// A hook that unwinds, as one does that prints to a broken pipe.
fn say_and_unwind(violation: &Violation) {
    say(violation);
    std::panic::resume_unwind(Box::new(()));
}

/// A hook that itself frees what was never allocated.
fn misuse_again(violation: &Violation) {
    say(violation);
    let nothing = std::ptr::without_provenance_mut(16);
    // SAFETY: none, deliberately.
    unsafe { Subject::dealloc(&MISUSING_HOOK, nothing, Layout::new::<u64>()) };
    say(violation);
}

/// The control for a protection: the full policy without it.
pub fn without(protection: &str) -> Option<&'static dyn Subject> {
    macro_rules! one {
        ($name:ident, $key:literal) => {
            if protection == $key {
                static HEAP: Casemate<Without<{ Set::$name.bits() }>> = Casemate::new();
                return Some(&HEAP);
            }
        };
    }
    casemate::for_each_protection!(one);
    None
}

/// The subject of this name.
pub fn named(policy: &str) -> &'static dyn Subject {
    match policy {
        "full" => &FULL,
        "light" => &LIGHT,
        "strict" => &STRICT,
        "hook" => &HOOK,
        "misusing hook" => &MISUSING_HOOK,
        "panicking hook" => &PANICKING_HOOK,
        "addresses" => &ADDRESSES,
        _ => without(policy).expect(policy),
    }
}
