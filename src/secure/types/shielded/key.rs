//! Layer: faces. The key of a process, kept in pieces of which one missing is all missing.

extern crate alloc;

use crate::os::{Linux, Os};
use crate::secure::fork::epoch;
use crate::secure::types::{GuardedBox, SecretBox};
use crate::secure::{ErrorKind, SecureError};
use alloc::boxed::Box;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Bytes of the key.
const KEY: usize = 32;

/// How many shares the key is split into: 16 KiB of random bytes. Whoever leaks memory by a side
/// channel, a fault in the hardware or an overread must get all of them, and every bit right: the
/// key is the exclusive-or of all, and all but one tell nothing.
const SHARES: usize = 512;

/// See the module.
struct Keeper {
    /// The process whose key it is.
    epoch: u32,
    /// Inaccessible while no key is put together.
    shares: GuardedBox<[[u8; KEY]; SHARES]>,
}

/// The current process's, or its parent's, or none. Never freed: others may be using it.
static KEEPER: AtomicPtr<Keeper> = AtomicPtr::new(ptr::null_mut());

/// Runs `f` with the key of the process numbered `process`. The key exists meanwhile, in secret
/// memory.
///
/// # Errors
/// If this is another process, or there is no memory.
pub(super) fn with_key<R>(process: u32, f: impl FnOnce(&[u8; KEY]) -> R) -> Result<R, SecureError> {
    let keeper = keeper()?;
    if keeper.epoch != process {
        return Err(SecureError::new(ErrorKind::Inherited));
    }
    let mut key = SecretBox::<[u8; KEY]>::try_zeroed_with(&crate::secure::Policy::best_effort())?;
    let sum = key.try_expose_secret_mut()?;
    for share in keeper.shares.try_borrow_read_only()?.iter() {
        for (sum, byte) in sum.iter_mut().zip(share) {
            *sum ^= byte;
        }
    }
    Ok(f(sum))
}

#[expect(unsafe_code, reason = "a pointer to what is never freed")]
fn keeper() -> Result<&'static Keeper, SecureError> {
    let now = epoch()?;
    let mut current = KEEPER.load(Ordering::Acquire);
    loop {
        // SAFETY: null, or a keeper that was published below and is never freed or changed.
        if let Some(keeper) = unsafe { current.as_ref() }
            && keeper.epoch == now
        {
            return Ok(keeper);
        }
        let shares = GuardedBox::try_init_with(|shares: &mut [[u8; KEY]; SHARES]| {
            if Linux::entropy(shares.as_flattened_mut()) {
                return Ok(());
            }
            Err(SecureError::new(ErrorKind::StartUp))
        })?;
        let made = Box::into_raw(Box::new(Keeper { epoch: now, shares }));
        match KEEPER.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
            // The parent's, if there was one, is left: its memory is not here.
            Ok(_) => current = made,
            Err(other) => {
                // SAFETY: it was not published, so it is this thread's alone.
                drop(unsafe { Box::from_raw(made) });
                current = other;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::Access;

    #[test]
    fn the_key_stays_the_same_and_its_shares_are_closed() {
        let now = epoch().unwrap();
        let first = with_key(now, |key| *key).unwrap();
        assert_eq!(with_key(now, |key| *key), Ok(first));
        assert_ne!(first, [0; KEY]);
        let access = keeper().unwrap().shares.protections().unwrap().access;
        // Another test may be putting the key together at this moment.
        assert!(matches!(access, Access::NoAccess | Access::ReadOnly));
        let other = with_key(now + 1, |_| ()).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Inherited);
    }
}
