//! Layer: faces. Secure memory: keys, passwords and tokens that are locked, guarded, kept out of
//! dumps, swap and forked children, wiped, and checked.
//!
//! It works whether or not Casemate is the program's global allocator, and never allocates from
//! that.

mod backing;
mod calls;
mod chunk;
mod error;
mod fork;
mod guard;
pub mod index;
mod margin;
mod pages;
mod policy;
mod pool;
mod protections;
mod root;
pub mod slots;
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
pub use protections::{Backing, ForkView, Protections};
pub use stats::{SecureStats, secure_stats};
pub use types::*;
pub use verify::{SecureVerified, secure_verify};

use calls::end;
pub(crate) use calls::take_all_away;
