//! Layer: os. Handlers around `fork`. Uses `libc`.
//!
//! `_Fork`, `vfork` and a raw `clone` run no handlers; the heap finds out about those by a word
//! that is wiped in the child.
#![expect(unsafe_code, reason = "pthread_atfork")]

use super::kernel;
use crate::os::ForkHooks;

/// Has the three hooks run around every later `fork`, for good.
pub(super) fn register<H: ForkHooks>() -> bool {
    let (before, parent, child) = (prepare::<H>, in_parent::<H>, in_child::<H>);
    // SAFETY: the three functions take nothing. They stay loaded as long as this crate's code,
    // which must not be unloaded; see `thread::key`.
    unsafe { kernel::pthread_atfork(Some(before), Some(parent), Some(child)) == 0 }
}

unsafe extern "C" fn prepare<H: ForkHooks>() {
    H::prepare();
}

unsafe extern "C" fn in_parent<H: ForkHooks>() {
    H::parent();
}

unsafe extern "C" fn in_child<H: ForkHooks>() {
    H::child();
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited};
    use crate::os::{ForkHooks, Linux, Os};
    use core::sync::atomic::{AtomicU32, Ordering};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    struct Record;
    impl ForkHooks for Record {
        fn prepare() {
            SEEN.fetch_add(1, Ordering::SeqCst);
        }
        fn parent() {
            SEEN.fetch_add(10, Ordering::SeqCst);
        }
        fn child() {
            SEEN.fetch_add(100, Ordering::SeqCst);
        }
    }

    #[test]
    fn hooks_run_on_both_sides() {
        // In a child, so that the other tests fork without these hooks.
        let status = child(|| {
            assert!(Linux::at_fork::<Record>());
            assert_eq!(exited(child(|| assert_eq!(SEEN.load(Ordering::SeqCst), 101))), 0);
            assert_eq!(SEEN.load(Ordering::SeqCst), 11);
        });
        assert_eq!(exited(status), 0);
    }
}
