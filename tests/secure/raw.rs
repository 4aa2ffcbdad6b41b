//! Buffers as addresses, so that tests can do what must not be done.

use casemate::secure::{
    Access, Freed, Policy, Protections, SecureError, safe_alloc_with, safe_free, safe_protect,
    safe_query, safe_realloc, try_safe_free,
};
use std::alloc::Layout;
use std::ptr::{NonNull, with_exposed_provenance, with_exposed_provenance_mut};

/// Everything that a small buffer may be.
pub const POOL: Policy = Policy::best_effort();
/// Pages of the buffer's own.
pub const OWN: Policy = Policy::best_effort().protectable();

pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

pub fn alloc(size: usize, align: usize, policy: &Policy) -> Result<usize, SecureError> {
    let got = safe_alloc_with(layout(size, align), policy)?;
    assert_eq!(got.len(), size);
    let at = got.cast::<u8>().as_ptr().expose_provenance();
    assert_eq!(at % align, 0);
    Ok(at)
}

pub fn take(size: usize, policy: &Policy) -> usize {
    alloc(size, 1, policy).expect("secure memory")
}

fn pointer(at: usize) -> NonNull<u8> {
    NonNull::new(with_exposed_provenance_mut(at)).expect("an address")
}

pub fn free(at: usize) {
    // SAFETY: none where it matters: the cases free what must not be freed.
    unsafe { safe_free(pointer(at)) }
}

pub fn try_free(at: usize) -> Result<Freed, SecureError> {
    // SAFETY: as for `free`.
    unsafe { try_safe_free(pointer(at)) }
}

pub fn resize(at: usize, size: usize, align: usize) -> Result<usize, SecureError> {
    // SAFETY: as for `free`.
    let got = unsafe { safe_realloc(pointer(at), layout(size, align)) }?;
    assert_eq!(got.len(), size);
    Ok(got.cast::<u8>().as_ptr().expose_provenance())
}

pub fn protect(at: usize, access: Access) -> Result<(), SecureError> {
    // SAFETY: no reference to the bytes exists in these tests.
    unsafe { safe_protect(pointer(at), access) }
}

pub fn query(at: usize) -> Option<Protections> {
    safe_query(with_exposed_provenance(at))
}

pub fn non_null(at: usize) -> NonNull<u8> {
    pointer(at)
}

pub fn read(at: usize) -> u8 {
    // SAFETY: a live buffer's byte, or a fault that the case wants, in a child.
    unsafe { with_exposed_provenance::<u8>(at).read_volatile() }
}

/// Reads for the fault it gives.
pub fn touch(at: usize) {
    let _ = read(at);
}

pub fn write(at: usize, value: u8) {
    // SAFETY: as for `read`; or the damage that the case is about, in a child.
    unsafe { with_exposed_provenance_mut::<u8>(at).write_volatile(value) }
}

pub fn fill(at: usize, size: usize, value: u8) {
    (at..at + size).for_each(|at| write(at, value));
}

pub fn is_all(at: usize, size: usize, value: u8) -> bool {
    (at..at + size).all(|at| read(at) == value)
}

/// The kernel's answer: whether the byte is there to be read.
pub fn is_mapped(at: usize) -> bool {
    let mut ends = [0; 2];
    // SAFETY: the kernel reads one byte at the address or refuses to; a pipe of our own.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let wrote = libc::write(ends[1], std::ptr::without_provenance(at), 1);
        libc::close(ends[0]);
        libc::close(ends[1]);
        wrote == 1
    }
}
