//! Layer: faces. Secure memory: keys, passwords and tokens that are locked, guarded, kept out of
//! dumps, swap and forked children, wiped, and checked.
//!
//! It works whether or not Casemate is the program's global allocator, and never allocates from
//! that. Programs use the types ([`SecretBox`], [`SecretVec`], [`SecretString`], [`SafeBuffer`]);
//! they stand on the functions described here, which take layouts and give raw memory.
//!
//! | function | does |
//! |---|---|
//! | [`safe_alloc`], [`safe_alloc_with`] | zeroed memory, under a [`Policy`] |
//! | [`safe_realloc`] | a new place, a copy, the old one wiped |
//! | [`safe_free`], [`try_safe_free`] | checks, wipes, frees; ends the process on misuse, or returns it |
//! | [`safe_protect`], [`AccessGuard`] | no access, read-only, read-write; opened by counted guards |
//! | [`safe_query`] | the [`Protections`] that a buffer really has |
//! | [`secure_stats`], [`secure_verify`], [`secure_trim`] | numbers, self-check, giving memory back |
//!
//! # Where a buffer lies
//!
//! ```text
//! small: up to 5,440 bytes (less for alignments above 8, at most 256), not protectable or shared
//!
//! | guard | block of slots | block of slots | ... | guard |      records: elsewhere, guarded
//!           | canary | secret | canary | canary | secret ...
//!
//! all others: pages of their own
//!
//! | guard | canary (16 bytes to a page) | secret | canary (less than the alignment) | guard |
//! ```
//!
//! A 32-byte key takes 48 bytes of locked memory and 60 with all that the pool holds in reserve,
//! so 100,000 fit the usual 8 MiB; allocating and freeing one makes no system call. A buffer with
//! pages of its own ends at its guard, as near as its alignment allows, so one byte too far faults
//! or, in the alignment's gap, is found when it is freed.
//!
//! # What it is made of
//!
//! For each buffer the best that machine, limit and policy allow:
//!
//! | backing | in swap | in core dumps | in a child | read by `/proc/PID/mem` |
//! |---|---|---|---|---|
//! | `memfd_secret` (Linux 5.14, on by default since 6.5) | no | no | no | no |
//! | locked anonymous memory | no | no | no | by those who may |
//! | anonymous memory, where policy allows it; counted as degraded | yes | no | no | by those who may |
//!
//! [`Policy::strict`] refuses the last; [`Policy::require`] refuses whatever lacks what it names;
//! the error tells what is missing, for the limit its value and how to raise it. Locked memory is
//! not encrypted memory: a machine that hibernates writes it to disk, which is why the kernel does
//! not hibernate while `memfd_secret` memory exists ([`Policy::hibernation_friendly`]).
//!
//! # What is found, and when
//!
//! | misuse | found | how it ends |
//! |---|---|---|
//! | a second free; a free of a foreign or interior pointer | then | one line, SIGABRT |
//! | one byte or more written next to a buffer | at its free, resize or [`secure_verify`] | one line, SIGABRT |
//! | a write far from it, or one byte past pages of its own | at once | SIGSEGV |
//! | a write to a freed pooled buffer | when the slot is reused or given back | one line, SIGABRT |
//! | an access to freed pages | at once, until 16 younger ones were freed | SIGSEGV |
//!
//! A pooled slot waits until 32 KiB of younger frees of its size are behind it, at least 8 and at
//! most 256 of them; when memory is refused, 8 are enough. Which of up to 64 that are ready is
//! handed out is random. Before the process ends, every secret is taken away from it: neither
//! another thread nor the program's violation hook nor a dump sees one. The lines are those of
//! [`Kind`](crate::Kind).
//!
//! # Forks
//!
//! In a forked child the parent's secrets are not there, whether it was made by `fork`, `_Fork` or
//! a raw `clone`: reading one faults, [`safe_query`] says `None`, freeing one does nothing
//! ([`Freed::Inherited`]), opening one is an error. After `fork` nothing else can come to lie at
//! their addresses in the child. The child's own secrets work as usual.
//! [`Policy::share_with_children`] gives children copies. A child of `vfork` works on its parent's
//! memory, as it does with all else.
//!
//! # Threads and signals
//!
//! Everything may be called from any thread; one lock, held for less than a microsecond unless the
//! kernel is asked, orders the calls. A signal handler that interrupts one of them is refused
//! ([`ErrorKind::Reentered`]) instead of waiting for itself.
//!
//! # Limits
//!
//! Linux. Registers, stack copies that the compiler makes, and what the kernel copies on a
//! program's behalf (pipes, sockets) are out of reach. An attacker who runs code in the process
//! reads what the process reads. Pooled neighbours share pages: opening one means that all of its
//! chunk is readable. One byte overwritten by the value that was there is not a change.

mod backing;
mod calls;
#[cfg(test)]
pub(crate) mod controls;
mod error;
mod fork;
mod guard;
pub mod index;
mod last;
mod margin;
mod pages;
mod policy;
mod pool;
mod protection;
mod protections;
mod root;
mod state;
mod stats;
mod types;
mod verify;

pub use calls::{
    Freed, safe_alloc, safe_alloc_with, safe_free, safe_protect, safe_query, safe_realloc,
    secure_trim, try_safe_free,
};
pub use error::{ErrorKind, SecureError};
pub use guard::AccessGuard;
pub use policy::{Access, Policy, Requirements};
pub use pool::slots;
pub use protections::{Backing, ForkView, Protections};
pub use stats::{SecureStats, secure_stats};
pub use types::*;
pub use verify::{SecureVerified, secure_verify};

use calls::end;
pub(crate) use last::take_all_away;
