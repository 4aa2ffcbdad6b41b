//! Layer: faces. The keys of a process, kept in pieces of which one missing is all missing.
//!
//! There is one for each set of requirements that its values have: a value whose policy insists is
//! encrypted by a key for which the same holds, and who can do without gets one all the same.

extern crate alloc;

use crate::os::{Linux, Os};
use crate::secure::fork::epoch;
use crate::secure::types::{GuardedBox, SecretBox};
use crate::secure::{ErrorKind, Policy, SecureError};
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
    /// What holds for the shares, and for the key when it is put together.
    policy: Policy,
    /// Inaccessible while no key is put together.
    shares: GuardedBox<[[u8; KEY]; SHARES]>,
    /// An older one of this process.
    next: Option<&'static Keeper>,
}

/// The current process's, or its parent's, or none. Never freed: others may be using them.
static KEEPERS: AtomicPtr<Keeper> = AtomicPtr::new(ptr::null_mut());

/// What holds for the key of values under `policy`: what that requires, and no `memfd_secret` if it
/// allows none. The key is not in children, also where the values are.
fn for_keys(policy: &Policy) -> Policy {
    let own = Policy::require(policy.requirements());
    if policy.allows_memfd_secret() { own } else { own.hibernation_friendly() }
}

/// Runs `f` with the key for values under `policy` of the process numbered `process`. The key
/// exists meanwhile, in secret memory.
///
/// # Errors
/// If this is another process; there is no memory, or not what the policy requires.
pub(super) fn with_key<R>(
    process: u32,
    policy: &Policy,
    f: impl FnOnce(&[u8; KEY]) -> R,
) -> Result<R, SecureError> {
    let keeper = keeper(&for_keys(policy))?;
    if keeper.epoch != process {
        return Err(SecureError::new(ErrorKind::Inherited));
    }
    let mut key = SecretBox::<[u8; KEY]>::try_zeroed_with(&keeper.policy)?;
    let sum = key.try_expose_secret_mut()?;
    for share in keeper.shares.try_borrow_read_only()?.iter() {
        for (sum, byte) in sum.iter_mut().zip(share) {
            *sum ^= byte;
        }
    }
    Ok(f(sum))
}

#[expect(unsafe_code, reason = "a pointer to what is never freed")]
fn keeper(policy: &Policy) -> Result<&'static Keeper, SecureError> {
    let now = epoch()?;
    let mut current = KEEPERS.load(Ordering::Acquire);
    loop {
        // SAFETY: null, or a keeper that was published below and is never freed or changed. The
        // parent's, if there are any, are left: their memory is not here.
        let first = unsafe { current.as_ref() }.filter(|keeper| keeper.epoch == now);
        let mut all = core::iter::successors(first, |keeper| keeper.next);
        if let Some(keeper) = all.find(|keeper| keeper.policy == *policy) {
            return Ok(keeper);
        }
        let fill = |shares: &mut [[u8; KEY]; SHARES]| {
            if Linux::entropy(shares.as_flattened_mut()) {
                return Ok(());
            }
            Err(SecureError::new(ErrorKind::StartUp))
        };
        let shares = GuardedBox::try_init_with_policy(policy, fill)?;
        let keeper = Keeper { epoch: now, policy: *policy, shares, next: first };
        let made = Box::into_raw(Box::new(keeper));
        match KEEPERS.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
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

    const ANY: Policy = Policy::best_effort();

    #[test]
    fn the_key_stays_the_same_and_its_shares_are_closed() {
        let now = epoch().unwrap();
        let first = with_key(now, &ANY, |key| *key).unwrap();
        assert_eq!(with_key(now, &ANY, |key| *key), Ok(first));
        assert_ne!(first, [0; KEY]);
        let access = keeper(&ANY).unwrap().shares.protections().unwrap().access;
        // Another test may be putting the key together at this moment.
        assert!(matches!(access, Access::NoAccess | Access::ReadOnly));
        let other = with_key(now + 1, &ANY, |_| ()).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Inherited);
    }

    #[test]
    fn each_set_of_requirements_has_a_key_that_meets_it() {
        let now = epoch().unwrap();
        let key = |policy: &Policy| with_key(now, policy, |key| *key).unwrap();
        let awake = ANY.hibernation_friendly();
        let [any, friendly, strict] = [ANY, awake, Policy::strict()].map(|policy| key(&policy));
        assert!(any != friendly && any != strict && friendly != strict);
        assert_eq!(
            [key(&ANY.protectable()), key(&ANY.share_with_children()), key(&Policy::strict())],
            [any, friendly, strict]
        );
        let has = |policy: &Policy| keeper(policy).unwrap().shares.protections().unwrap();
        assert!(!has(&awake).is_hidden());
        let required = Policy::strict().requirements();
        assert!(has(&Policy::strict()).satisfied().has(required));
    }
}
