//! Layer: faces. Wiping the stack that a computation with secrets has used.
//!
//! A cipher or a hash leaves round keys and intermediate states in frames that nobody owns any
//! more. They stay until some later call happens to write there; a core dump or an overread finds
//! them.

/// What [`with_wiped_stack`] wipes, in bytes: 64 KiB.
pub const WIPED_STACK: usize = 64 << 10;

/// Overwrites `bytes` bytes of stack below the caller's frame with zeros.
///
/// What lies there are the frames of calls that have returned. The caller's own variables and
/// those above are left alone, as are registers. The number is rounded up to 16; on processors
/// other than x86-64 and aarch64 to some 2 KiB, and a few bytes between may stay.
///
/// The thread must have that much stack left and a page more; else the process ends with the
/// stack overflow's SIGSEGV, as for any call that goes too deep. Threads of `std` have 2 MiB by
/// default, the main thread 8 MiB.
///
/// Inlined, so that there is no frame of its own between the caller's and what is wiped.
#[inline(always)]
pub fn wipe_stack(bytes: usize) {
    if bytes != 0 {
        zeros(bytes.div_ceil(16));
    }
}

/// Pushes `pairs` (at least one) pairs of zero words on the stack and takes them off again. Going
/// down word by word, it meets a guard page before anything behind it.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "stores below the stack pointer")]
#[inline(always)]
fn zeros(pairs: usize) {
    // SAFETY: what is below the stack pointer holds nothing alive: without the option `nostack` the
    // compiler keeps nothing there during the statement. The stack pointer is restored.
    unsafe {
        core::arch::asm!(
            "mov {top}, rsp",
            "2:",
            "push 0",
            "push 0",
            "dec {pairs}",
            "jnz 2b",
            "mov rsp, {top}",
            top = out(reg) _,
            pairs = inout(reg) pairs => _,
        );
    }
}

/// As above.
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "stores below the stack pointer")]
#[inline(always)]
fn zeros(pairs: usize) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "mov {top}, sp",
            "2:",
            "stp xzr, xzr, [sp, #-16]!",
            "subs {pairs}, {pairs}, #1",
            "b.ne 2b",
            "mov sp, {top}",
            top = out(reg) _,
            pairs = inout(reg) pairs => _,
        );
    }
}

/// In calls that each have a frame of zeros. What lies between two frames may not be written.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(never)]
fn zeros(pairs: usize) {
    /// Words in a frame. Below a page, so that a stack that is too short ends at its guard page.
    const FRAME: usize = 256;

    let frame = core::hint::black_box([0u64; FRAME]);
    if let Some(rest @ 1..) = (2 * pairs).checked_sub(FRAME) {
        zeros(rest.div_ceil(2));
    }
    // Still in use here: the call above cannot become a jump that reuses this frame.
    zeroize::optimization_barrier(&frame);
}

/// Runs `f`, then wipes 64 KiB of stack below the caller: what `f` and all that it called have
/// left there. It is wiped too if `f` panics.
///
/// The result comes back through the caller's frame: let `f` write secrets into secret memory and
/// return nothing of them. A closure that owns a secret (`move`) has it in the caller's frame, too,
/// and a build that is not optimised copies it there once or twice more: let it borrow.
///
/// Inlined, as [`wipe_stack`] is, so that nothing of `f` lies between the caller's frame and what is
/// wiped.
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
#[inline(always)]
pub fn with_wiped_stack<R>(f: impl FnOnce() -> R) -> R {
    with_wiped_stack_of(WIPED_STACK, f)
}

/// [`with_wiped_stack`] for a computation that uses more than 64 KiB, or a thread that has less:
/// `bytes` is how much to wipe.
#[inline(always)]
pub fn with_wiped_stack_of<R>(bytes: usize, f: impl FnOnce() -> R) -> R {
    struct Wipe(usize);

    impl Drop for Wipe {
        #[inline(always)]
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

    /// What the closure itself holds is copied to be called, in a build that is not optimised.
    #[test]
    fn a_closure_that_owns_marks_leaves_none() {
        let marks = [black_box(MARK); 512];
        let look = move || {
            black_box(&marks);
        };
        wipe_stack(32 << 10);
        with_wiped_stack(look);
        assert_eq!(marks_below(), 0);
        with_wiped_stack_of(16 << 10, look);
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
