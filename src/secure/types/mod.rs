//! Layer: faces. The types that people use: values in secure memory.
//!
//! | file | subject |
//! |---|---|
//! | `place` | an owned allocation: what all of them stand on, and whose process it is |
//! | `plain` | which types may be made of zeros or random bytes |
//! | `secret_box`, `in_place`, `secret_slice` | one value; how it is made where it stays; a slice or text of fixed length |
//! | `secret_vec/`, `secret_string` | what grows |
//! | `guarded_box`, `buffer`, `opened` | no access at rest, and the guards that open it |
//! | `into_error` | a conversion that failed gives back what it was given |
//! | `shielded/` | encrypted at rest |
//! | `safe_alloc` | an allocator for collections |
//! | `password`, `read_error` | asking at a terminal |
//! | `equal`, `stack`, `moved` | comparing in constant time, wiping the stack, wiping sources |
//! | `traits`, `with_serde` | what they have in common with other values |

mod buffer;
mod equal;
mod guarded_box;
mod in_place;
mod into_error;
mod moved;
mod opened;
mod password;
mod place;
mod plain;
mod read_error;
#[cfg(feature = "allocator-api2")]
mod safe_alloc;
mod secret_box;
mod secret_slice;
mod secret_string;
mod secret_vec;
#[cfg(feature = "shielded")]
mod shielded;
mod stack;
mod traits;
#[cfg(feature = "serde")]
mod with_serde;

pub use buffer::SafeBuffer;
pub use equal::constant_time_eq;
pub use guarded_box::GuardedBox;
pub use into_error::IntoSecretBoxError;
pub use opened::{Opened, OpenedMut};
pub use password::MAX_PASSWORD;
pub use plain::{Plain, PlainBytes, Zeroable};
pub use read_error::ReadError;
#[cfg(feature = "allocator-api2")]
pub use safe_alloc::SafeAlloc;
pub use secret_box::SecretBox;
pub use secret_slice::SecretSlice;
pub use secret_string::{NotUtf8, SecretString};
pub use secret_vec::SecretVec;
#[cfg(feature = "shielded")]
pub use shielded::{ShieldError, Shieldable, Shielded, ShieldedRef, ShieldedRefMut};
pub use stack::{WIPED_STACK, wipe_stack, with_wiped_stack, with_wiped_stack_of};
#[cfg(feature = "serde")]
pub use with_serde::{Serializable, SerializableSecret, serialize_secret};

#[doc = include_str!("../../../docs/secure.md")]
pub mod guide {}

use crate::secure::SecureError;
use crate::secure::error::ErrorKind;
use core::alloc::Layout;
use zeroize::Zeroize;

/// The layout of `len` elements.
fn array<T>(len: usize) -> Result<Layout, SecureError> {
    Layout::array::<T>(len).map_err(|_| too_large())
}

fn too_large() -> SecureError {
    SecureError::new(ErrorKind::Layout)
}

/// Plain values that are wiped when this is dropped: a source that is moved from.
struct Emptied<'a, T: Plain>(&'a mut [T]);

impl<T: Plain> Drop for Emptied<'_, T> {
    fn drop(&mut self) {
        plain::bytes_mut(self.0).zeroize();
    }
}
