//! Layer: faces. The functions: from a pointer and a layout to what pool and pages do.
#![expect(unsafe_code, reason = "the interface is raw memory")]

use super::error::{ErrorKind, SecureError};
use super::pages::{Entry, MOST_ALIGN};
use super::policy::{Access, Policy, Requirements};
use super::protections::Protections;
use super::root::{started, with};
use super::state::State;
use crate::os::{Linux, Secrets};
use crate::violation::{Kind, Place, Violation};
use core::alloc::Layout;
use core::ptr::NonNull;

/// What [`try_safe_free`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// The buffer was wiped and is gone.
    Wiped,
    /// The buffer is the parent process's, not this one's: nothing was done.
    Inherited,
}

/// Allocates zeroed secret memory under [`Policy::best_effort`].
///
/// The slice is exactly `layout.size()` bytes long, aligned to `layout.align()`, and all zero.
/// Small ones come from the pool, larger ones (or with an alignment above 256) have pages of their
/// own and end at a guard page. Zero bytes are an address of their own that must be freed.
///
/// # Errors
/// [`ErrorKind::Layout`] for alignments above 1 MiB and sizes beyond the address space,
/// [`ErrorKind::OutOfMemory`], [`ErrorKind::TooMany`], [`ErrorKind::Reentered`] in a signal
/// handler that interrupted one of these functions, [`ErrorKind::StartUp`].
///
/// # What ends the process
/// A write to freed secret memory, found when it is about to be handed out again.
///
/// ```
/// use casemate::secure::{safe_alloc, safe_free};
/// use std::alloc::Layout;
///
/// let key = safe_alloc(Layout::new::<[u8; 32]>())?;
/// // SAFETY: 32 bytes of this program's own, freed once.
/// unsafe {
///     assert_eq!(key.as_ref(), [0; 32]);
///     safe_free(key.cast());
/// }
/// # Ok::<(), casemate::secure::SecureError>(())
/// ```
pub fn safe_alloc(layout: Layout) -> Result<NonNull<[u8]>, SecureError> {
    safe_alloc_with(layout, &Policy::best_effort())
}

/// Allocates zeroed secret memory under a policy. See [`safe_alloc`].
///
/// # Errors
/// Beyond those of [`safe_alloc`]: [`ErrorKind::LockedMemoryLimit`], [`ErrorKind::Unsupported`]
/// and [`ErrorKind::Contradiction`], if the policy requires what is not to be had.
pub fn safe_alloc_with(layout: Layout, policy: &Policy) -> Result<NonNull<[u8]>, SecureError> {
    with(|fixed, state| allocate(fixed, state, layout, policy)).map_err(or_end)
}

fn allocate(
    fixed: &'static super::root::Fixed,
    state: &mut State,
    layout: Layout,
    policy: &Policy,
) -> Result<NonNull<[u8]>, SecureError> {
    if let Some(found) = state.pool_table(fixed).allocate(layout, policy)? {
        return Ok(found);
    }
    allocate_pages(fixed, state, layout, policy)
}

/// A buffer with pages of its own, whatever its size.
fn allocate_pages(
    fixed: &'static super::root::Fixed,
    state: &mut State,
    layout: Layout,
    policy: &Policy,
) -> Result<NonNull<[u8]>, SecureError> {
    if layout.align() > MOST_ALIGN {
        return Err(SecureError::new(ErrorKind::Layout));
    }
    // What the pool holds for nobody may be what is missing; a policy that could do without
    // locked memory has it first all the same.
    let empty = state.pool.empty_bytes(fixed.page);
    if empty != 0 {
        let in_use = state.supply.locked.saturating_sub(empty);
        match state.table(fixed).allocate(layout, policy, Requirements::LOCKED) {
            Err(error) if could_do(&error, in_use) => {
                state.pool_table(fixed).reclaim(true)?;
            }
            Err(_) => {}
            done => return done,
        }
    }
    state.table(fixed).allocate(layout, policy, Requirements::NONE)
}

/// Whether what was refused could be had, were no more than this locked: a request that could not
/// ends no wait in the pool.
fn could_do(error: &SecureError, in_use: usize) -> bool {
    match error.kind() {
        ErrorKind::LockedMemoryLimit { needed, limit } => needed <= limit.saturating_sub(in_use),
        ErrorKind::OutOfMemory { needed } => {
            Linux::physical_bytes().is_none_or(|all| needed <= all)
        }
        _ => false,
    }
}

/// Gives a buffer another size or alignment: a new buffer under the same policy, the contents
/// copied as far as both go, the rest zero, the old one wiped and freed. It never stays in place,
/// and no third copy exists.
///
/// A buffer with pages of its own keeps its access without guards, whatever it is; one whose access
/// is not [`Access::ReadWrite`] keeps pages of its own for that, however small it becomes and
/// whether or not its policy is [`protectable`](Policy::protectable).
///
/// # Errors
/// As for [`safe_alloc_with`], [`ErrorKind::Protect`] if the kernel refuses to open the old buffer
/// or to close the new one, and [`ErrorKind::Inherited`] in a forked child. There is no new buffer
/// then, and the old one is as it was: its address, its contents, its guards, and its access,
/// unless the kernel does not let it be closed again either
/// ([`SecureStats::unclosed`](super::SecureStats::unclosed)).
///
/// # What ends the process
/// Misuse, as for [`safe_free`].
///
/// # Safety
/// `ptr` is a live secure buffer's, nothing refers to its bytes, and it is not used afterwards if
/// this succeeds.
pub unsafe fn safe_realloc(ptr: NonNull<u8>, new: Layout) -> Result<NonNull<[u8]>, SecureError> {
    let at = ptr.as_ptr().expose_provenance();
    let moved = with(|fixed, state| {
        let mut pool = state.pool_table(fixed);
        if pool.holds(at) {
            let (size, policy) = pool.look(at)?;
            let to = allocate(fixed, state, new, &policy)?;
            copy(ptr, size, to);
            state.pool_table(fixed).free(at)?;
            return Ok(to);
        }
        let mut table = state.table(fixed);
        let number = table.live(at)?;
        let Some(&old) = table.entry(number) else {
            return Err(SecureError::new(ErrorKind::NotABuffer));
        };
        table.check(number)?;
        // All that can fail comes before the old buffer is touched.
        match move_pages(fixed, state, ptr, &old, new) {
            Ok(to) => state.table(fixed).free(at).map(|()| to),
            Err(error) => {
                state.table(fixed).close_again(number, old.now);
                Err(error)
            }
        }
    });
    moved.map_err(or_end)
}

/// A copy of a buffer with pages of its own, which is open: of its policy, and with its access
/// without guards. On an error there is no copy.
fn move_pages(
    fixed: &'static super::root::Fixed,
    state: &mut State,
    from: NonNull<u8>,
    old: &Entry,
    new: Layout,
) -> Result<NonNull<[u8]>, SecureError> {
    if old.rest == Access::ReadWrite {
        let to = allocate(fixed, state, new, &old.policy)?;
        copy(from, old.size, to);
        return Ok(to);
    }
    // Not from the pool, whose buffers are always readable and writable.
    let to = allocate_pages(fixed, state, new, &old.policy)?;
    copy(from, old.size, to);
    let at = address(to.cast());
    let mut table = state.table(fixed);
    if let Err(error) = table.protect(at, old.rest) {
        // It is as it was made: open, and nobody else knows it.
        table.free(at)?;
        return Err(error);
    }
    Ok(to)
}

fn copy(from: NonNull<u8>, size: usize, to: NonNull<[u8]>) {
    // SAFETY: the old buffer is live and open, `size` bytes long; the new one is another, just
    // made, and nobody refers to either.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(from, size.min(to.len())) }
}

fn address(at: NonNull<u8>) -> usize {
    at.as_ptr().expose_provenance()
}

/// Wipes and frees a buffer. In a forked child, freeing a buffer of the parent's does nothing.
///
/// An [`AccessGuard`](super::AccessGuard) that was leaked (`mem::forget`) is no obstacle; one that
/// is dropped afterwards ends the process as a second free would.
///
/// A buffer without access that the kernel does not let be opened cannot be looked at or wiped: its
/// pages are then given back as they are, to the kernel, which clears them, and inaccessible
/// address space takes their place. Its margins are not checked, and it is counted
/// ([`SecureStats::unchecked`](super::SecureStats::unchecked)). If the kernel refuses that too, the
/// buffer stays as it is, inaccessible, for good
/// ([`SecureStats::abandoned`](super::SecureStats::abandoned)); so does one that a signal handler
/// frees that interrupted one of these functions. Who wants to try again calls [`try_safe_free`].
///
/// # What ends the process
///
/// One line on standard error names what is wrong, all secrets are taken away, the process is
/// aborted: a second free, a pointer that is no secure buffer's or points into one, and bytes
/// before or behind the buffer that were overwritten.
///
/// # Safety
/// `ptr` came from these functions, was not freed, and nothing refers to its bytes. (What breaks
/// this is looked for and ends the process, but a reference to memory that is gone cannot be seen.)
pub unsafe fn safe_free(ptr: NonNull<u8>) {
    // SAFETY: the caller's.
    let freed = unsafe { try_safe_free(ptr) };
    let Err(error) = freed.map_err(or_end) else { return };
    let unseen = error.kind() == ErrorKind::Protect && {
        let at = address(ptr);
        with(|fixed, state| state.table(fixed).free_unseen(at)).map_err(or_end).is_ok()
    };
    if !unseen {
        ABANDONED.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Buffers that could not be freed: by a signal handler, or because the kernel refuses everything.
pub(super) static ABANDONED: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// [`safe_free`] that returns what it found instead of ending the process. After an error the
/// buffer, if there is one, is as it was: neither wiped nor freed.
///
/// # Errors
/// [`ErrorKind::Misuse`] with what was found, [`ErrorKind::NotABuffer`], [`ErrorKind::Protect`] if
/// the kernel does not let a buffer without access be opened, [`ErrorKind::Reentered`].
///
/// # Safety
/// Nothing refers to the bytes of the buffer.
pub unsafe fn try_safe_free(ptr: NonNull<u8>) -> Result<Freed, SecureError> {
    let at = address(ptr);
    let done = with(|fixed, state| {
        let mut pool = state.pool_table(fixed);
        if pool.holds(at) {
            return pool.free(at);
        }
        state.table(fixed).free(at)
    });
    match done {
        Ok(()) => Ok(Freed::Wiped),
        Err(error) if error.kind() == ErrorKind::Inherited => Ok(Freed::Inherited),
        Err(error) => Err(error),
    }
}

/// Sets what may be done with a buffer's bytes while no [`AccessGuard`](super::AccessGuard) holds
/// it open.
///
/// # Errors
/// [`ErrorKind::Pooled`] for a buffer without pages of its own (see
/// [`Policy::protectable`]), [`ErrorKind::Borrowed`] while a guard holds it open,
/// [`ErrorKind::Inherited`] in a forked child, [`ErrorKind::Protect`] if the kernel refuses,
/// [`ErrorKind::NotABuffer`] and [`ErrorKind::Misuse`] for what is no live buffer's pointer.
///
/// # Safety
/// Nothing that refers to the bytes is used in a way that the new access forbids.
pub unsafe fn safe_protect(ptr: NonNull<u8>, access: Access) -> Result<(), SecureError> {
    let at = address(ptr);
    with(|fixed, state| {
        let mut pool = state.pool_table(fixed);
        if pool.holds(at) {
            pool.size(at)?;
            return Err(SecureError::new(ErrorKind::Pooled));
        }
        state.table(fixed).protect(at, access)
    })
}

/// [`safe_protect`] for an owner whose guards, if any are counted, were leaked: they are forgotten.
///
/// # Errors
/// As there, except that no guard is in the way. Those that are counted still are then.
///
/// # Safety
/// As there, and no guard of the buffer's is used or dropped after this.
pub(super) unsafe fn protect_alone(ptr: NonNull<u8>, access: Access) -> Result<(), SecureError> {
    let at = address(ptr);
    with(|fixed, state| state.table(fixed).protect_alone(at, access))
}

/// What the buffer that starts at `ptr`, or that `ptr` points into, really has. `None` if there is
/// none: for a freed buffer, a foreign pointer, and in a forked child for the parent's buffers.
///
/// It reads nothing at `ptr`, so any pointer is a good question. A pointer to a buffer's start is
/// found at once, one into a buffer with pages of its own by a search of all of them.
#[must_use]
pub fn safe_query(ptr: *const u8) -> Option<Protections> {
    started()?;
    let at = ptr.expose_provenance();
    with(|fixed, state| {
        let mut pool = state.pool_table(fixed);
        if pool.holds(at) {
            return Ok(pool.query(at));
        }
        let mut table = state.table(fixed);
        let found = table.find(at).or_else(|| {
            table.surrounding(at).filter(|&number| {
                table.entry(number).is_some_and(|e| at.wrapping_sub(e.start) < e.size)
            })
        });
        Ok(found.and_then(|number| table.query(number)))
    })
    .ok()
    .flatten()
}

/// Gives memory of the pool that no buffer uses back to the kernel, and to the limit on locked
/// memory; true if there was any. Happens on its own when memory is refused. What was freed there
/// may be handed out again without younger frees.
///
/// # What ends the process
/// A write to freed secret memory, found in what is given back.
pub fn secure_trim() -> bool {
    if started().is_none() {
        return false;
    }
    with(|fixed, state| state.pool_table(fixed).reclaim(true)).map_err(or_end).unwrap_or(false)
}

/// Misuse ends the process; other errors go on.
fn or_end(error: SecureError) -> SecureError {
    match error.kind() {
        ErrorKind::Misuse(violation) => end(&violation),
        ErrorKind::NotABuffer => {
            end(&Violation::new(Kind::SecretForeign).at(Place::Unknown, 0));
        }
        _ => error,
    }
}

/// The end of the process for a violation.
pub(super) fn end(violation: &Violation) -> ! {
    crate::fatal::fatal::<Linux>(crate::process::frozen().plan(), violation)
}
