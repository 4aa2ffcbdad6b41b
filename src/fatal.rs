//! Layer: faces. The end of a process in which misuse was found.

use crate::heap::Plan;
use crate::os::Os;
use crate::violation::{LINE, Violation, line};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

/// Threads on their way to the abort.
static DYING: AtomicU32 = AtomicU32::new(0);

/// Tells the witness, reports a violation in one line on standard error, takes all secrets away,
/// runs the program's hook, and aborts.
///
/// Allocates nothing and takes no lock. A hook that panics ends in the abort, too. Should the hook
/// itself run into a violation, that one is reported too and the hook is not run again. Another
/// thread that runs into one meanwhile does not end the process before the secrets are gone.
#[cold]
#[inline(never)]
pub fn fatal<O: Os>(plan: &Plan, violation: &Violation) -> ! {
    let first = DYING.fetch_add(1, Ordering::AcqRel) == 0;
    if first && let Some(witness) = plan.witness {
        witness(violation);
    }
    let mut text = [0u8; LINE];
    let len = line(violation, plan.addresses, &mut text);
    O::report(text.get(..len).unwrap_or(&text));
    // Another thread's abort must not come before the first has taken all: it waits for that.
    #[cfg(feature = "secure")]
    crate::secure::take_all_away();
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
