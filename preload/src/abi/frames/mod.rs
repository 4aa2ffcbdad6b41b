//! The functions that an exception may pass, in assembly with unwind information: `operator new` in
//! its four forms, and the loop over the program's new-handler.
//!
//! | | when there is no memory |
//! |---|---|
//! | `or_throw(size, align, again)` | calls the handler and `again` in turn; then throws |
//! | `or_null(size, align, again)` | the same; then null, also if the handler throws |
//! | `forward(size, align, target)` | null if the program's `target` throws |

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::{
    alias, forward, landing, operator, operator_aligned, or_null, or_program, or_program_null,
    or_throw,
};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{
    alias, forward, landing, operator, operator_aligned, or_null, or_program, or_program_null,
    or_throw,
};
