//! Layer: faces. The types that people use: values in secure memory.

mod buffer;
mod equal;
mod guarded_box;
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
