//! Layer: faces. Wiping the stack that a computation with secrets has used.
//!
//! A cipher or a hash leaves round keys and intermediate states in frames that nobody owns any
//! more. They stay until some later call happens to write there; a core dump or an overread finds
//! them.

use crate::wipe::wipe_long;

/// What [`with_wiped_stack`] wipes, in bytes: 64 KiB.
pub const WIPED_STACK: usize = 64 << 10;

/// One frame of the wipe, in bytes. Below a page, so that a stack that is too short ends at its
/// guard page and not behind it.
const FRAME: usize = 2048;

/// Overwrites at least `bytes` bytes of stack below the caller's frame with zeros.
///
/// What lies there are the frames of calls that have returned. The caller's own variables and
/// those above are left alone, as are registers. A frame is up to 2 KiB, so up to that much more
/// is written.
///
/// The thread must have that much stack left and some 4 KiB more; else the process ends with the
/// stack overflow's SIGSEGV, as for any call that goes too deep. Threads of `std` have 2 MiB by
/// default, the main thread 8 MiB.
#[inline(never)]
pub fn wipe_stack(bytes: usize) {
    frames(bytes.div_ceil(FRAME));
}

#[inline(never)]
fn frames(count: usize) {
    if count == 0 {
        return;
    }
    let mut frame = [0u8; FRAME];
    clear(&mut frame);
    frames(count - 1);
    // Still in use here: the call above cannot become a jump that reuses this frame.
    zeroize::optimization_barrier(&frame);
}

#[expect(unsafe_code, reason = "the wipe takes a pointer")]
fn clear(frame: &mut [u8]) {
    // SAFETY: the bytes are borrowed exclusively.
    unsafe { wipe_long(frame.as_mut_ptr(), frame.len()) }
}

/// Runs `f`, then wipes 64 KiB of stack below the caller: what `f` and all that it called have
/// left there. It is wiped too if `f` panics.
///
/// The result comes back through the caller's frame: let `f` write secrets into secret memory and
/// return nothing of them.
///
/// ```
/// use casemate::secure::{SecretBox, with_wiped_stack};
///
/// let mut key = SecretBox::<[u8; 32]>::zeroed();
/// with_wiped_stack(|| {
///     let mut state = [7u8; 200]; // a sponge, say: gone afterwards
///     state.rotate_left(3);
///     key.expose_secret_mut().copy_from_slice(&state[..32]);
/// });
/// assert_eq!(key.expose_secret(), &[7; 32]);
/// ```
pub fn with_wiped_stack<R>(f: impl FnOnce() -> R) -> R {
    with_wiped_stack_of(WIPED_STACK, f)
}

/// [`with_wiped_stack`] for a computation that uses more than 64 KiB, or a thread that has less:
/// `bytes` is how much to wipe.
pub fn with_wiped_stack_of<R>(bytes: usize, f: impl FnOnce() -> R) -> R {
    struct Wipe(usize);

    impl Drop for Wipe {
        fn drop(&mut self) {
            wipe_stack(self.0);
        }
    }

    /// A frame of its own for `f`: inlined, its variables would lie in the caller's.
    #[inline(never)]
    fn below<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    let _wipe = Wipe(bytes);
    below(f)
}

#[cfg(test)]
#[expect(unsafe_code, reason = "looks at dead stack frames")]
mod tests {
    use super::*;
    use core::hint::black_box;
    use std::panic::catch_unwind;

    const MARK: u64 = 0x6d61_726b_5f6f_6e5f;

    #[inline(never)]
    fn leave_marks() {
        let mut frame = [0u64; 512];
        for word in &mut frame {
            *word = black_box(MARK);
        }
        black_box(&frame);
    }

    /// How many marks the 16 KiB below this frame hold. Reads the running thread's own stack,
    /// which the frames below made present.
    #[inline(never)]
    fn marks_below() -> usize {
        let here = 0u64;
        let top = core::ptr::from_ref(black_box(&here));
        (1..2048)
            .filter(|i| {
                // SAFETY: `leave_marks` and `wipe_stack` have gone deeper than this, so the
                // addresses are stack of this thread; nothing else writes there.
                unsafe { top.wrapping_sub(*i).read_volatile() == MARK }
            })
            .count()
    }

    #[test]
    fn what_a_call_left_is_wiped() {
        wipe_stack(32 << 10);
        leave_marks();
        assert!(marks_below() > 256, "the control: without wiping the marks are there");
        wipe_stack(16 << 10);
        assert_eq!(marks_below(), 0);
        with_wiped_stack(leave_marks);
        assert_eq!(marks_below(), 0);
    }

    #[test]
    fn a_panic_wipes_too() {
        wipe_stack(32 << 10);
        let unwound = catch_unwind(|| {
            with_wiped_stack(|| {
                leave_marks();
                std::panic::resume_unwind(std::boxed::Box::new(()));
            });
        });
        assert!(unwound.is_err());
        assert_eq!(marks_below(), 0);
    }

    #[test]
    fn results_come_through() {
        assert_eq!(with_wiped_stack_of(0, || 5), 5);
        assert_eq!(with_wiped_stack_of(1, || "x"), "x");
    }
}
