//! Layer: faces. The end of a process in which misuse was found.

use crate::heap::Plan;
use crate::os::Os;
use crate::violation::{LINE, Violation, line};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The identity of the thread that is on its way to the abort, or 0.
static DYING: AtomicUsize = AtomicUsize::new(0);
/// 1 once all secrets are gone.
static GONE: AtomicU32 = AtomicU32::new(0);
/// How often another thread gives up the processor for that, before it goes on. In a child of a fork
/// the one that was at it is not there.
const PATIENCE: usize = 1 << 22;

/// Reports a violation in one line on standard error, takes all secrets away, runs the program's
/// hook, and aborts.
///
/// Allocates nothing and takes no lock. A hook that panics ends in the abort, too. Should the hook itself run into a violation, that one is
/// reported too and the hook is not run again. Another thread that runs into one meanwhile does not
/// end the process before the secrets are gone.
#[cold]
#[inline(never)]
pub fn fatal<O: Os>(plan: &Plan, violation: &Violation) -> ! {
    let mut text = [0u8; LINE];
    let len = line(violation, plan.addresses, &mut text);
    O::report(text.get(..len).unwrap_or(&text));
    let me = O::thread().identity;
    let first = match DYING.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            #[cfg(feature = "secure")]
            crate::secure::take_all_away();
            GONE.store(1, Ordering::Release);
            true
        }
        Err(who) => {
            let gone = || GONE.load(Ordering::Acquire) != 0;
            // A violation on the way there does not wait for itself.
            for _ in 0..if who == me { 0 } else { PATIENCE } {
                if gone() {
                    break;
                }
                O::pause();
            }
            false
        }
    };
    let _end = End::<O>(PhantomData);
    if first && let Some(hook) = plan.hook {
        hook(violation);
    }
    O::abort()
}

/// Aborts when dropped: a hook that panics does not lead back into the program.
struct End<O: Os>(PhantomData<O>);

impl<O: Os> Drop for End<O> {
    fn drop(&mut self) {
        O::abort()
    }
}

#[cfg(test)]
mod tests {
    #![expect(unsafe_code, reason = "a child that is to die")]

    use super::*;
    use crate::heap::alone_at;
    use crate::os::Linux;
    use crate::violation::Kind;
    use std::time::Duration;

    fn end() -> ! {
        fatal::<Linux>(&Plan::EMPTY, &Violation::new(Kind::Metadata))
    }

    /// Runs it in a child, which writes a byte when it comes to the end of `body`: whether it did,
    /// and whether it then died by an abort.
    fn in_a_child(body: impl FnOnce()) -> (bool, bool) {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors; the child uses nothing of other threads' and leaves.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let child = libc::fork();
            if child == 0 {
                libc::alarm(60);
                body();
                libc::write(ends[1], c"x".as_ptr().cast(), 1);
                // Once this is seen the other thread ends the process.
                GONE.store(1, Ordering::Release);
                std::thread::sleep(Duration::from_secs(50));
                libc::_exit(0);
            }
            let (mut status, mut byte) = (0, 0u8);
            libc::waitpid(child, &raw mut status, 0);
            libc::close(ends[1]);
            let came = libc::read(ends[0], (&raw mut byte).cast(), 1) == 1;
            libc::close(ends[0]);
            (came, libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT)
        }
    }

    #[test]
    fn another_thread_does_not_end_the_process_before_the_secrets_are_gone() {
        let path = "fatal::tests::\
                    another_thread_does_not_end_the_process_before_the_secrets_are_gone";
        alone_at(path, || {
            let done = in_a_child(|| {
                // This thread is at it.
                DYING.store(Linux::thread().identity, Ordering::SeqCst);
                std::thread::spawn(|| end());
                std::thread::sleep(Duration::from_millis(50));
            });
            assert_eq!(done, (true, true));
        });
    }

    #[test]
    fn a_violation_on_the_way_there_waits_for_nobody() {
        alone_at("fatal::tests::a_violation_on_the_way_there_waits_for_nobody", || {
            let done = in_a_child(|| {
                DYING.store(Linux::thread().identity, Ordering::SeqCst);
                end();
            });
            assert_eq!(done, (false, true));
        });
    }
}
