//! Layer: faces. Raw bytes in secret memory, with access states.
#![expect(unsafe_code, reason = "makes slices of memory that it owns, and changes access to it")]

use super::opened::{Opened, OpenedMut};
use super::place::{Place, expect};
use crate::secure::{Access, ErrorKind, Policy, Protections, SecureError};
use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

/// Zeroed bytes in secret memory of any size and alignment:
/// [`safe_alloc`](crate::secure::safe_alloc) with an owner.
///
/// For what has no type of its own: blocks of a key derivation, pages for another library. What may
/// be done with the bytes while nobody has them borrowed is the buffer's access at rest:
/// read-write at first, and for buffers with pages of their own
/// ([`protectable`](SafeBuffer::protectable)) whatever [`set_rest`](SafeBuffer::set_rest) says.
/// [`borrow`](SafeBuffer::borrow) and [`borrow_mut`](SafeBuffer::borrow_mut) open it until the last
/// guard is dropped. Guards of a pooled buffer cost a look-up.
///
/// ```
/// use casemate::secure::{Access, SafeBuffer};
///
/// let mut seed = SafeBuffer::protectable(4096)?;
/// seed.borrow_mut().fill(7);
/// seed.set_rest(Access::ReadOnly)?; // sealed: a stray write faults
/// assert!(seed.try_borrow_mut().is_err());
/// assert_eq!(seed.borrow()[4095], 7);
/// seed.set_rest(Access::NoAccess)?; // a read faults too, but through a guard
/// assert_eq!(seed.borrow()[4095], 7);
/// # Ok::<(), casemate::secure::SecureError>(())
/// ```
///
/// Wiped when dropped, `Debug` without contents, no `Display`, no `Clone`, `Send` and `Sync`.
pub struct SafeBuffer {
    place: Place,
    /// What may be done with it when no guard exists.
    rest: Access,
}

impl SafeBuffer {
    /// `len` bytes.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn new(len: usize) -> Result<SafeBuffer, SecureError> {
        SafeBuffer::with_layout(super::array::<u8>(len)?, &Policy::best_effort())
    }

    /// `len` bytes on pages of their own, whose access can be changed.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn protectable(len: usize) -> Result<SafeBuffer, SecureError> {
        let policy = Policy::best_effort().protectable();
        SafeBuffer::with_layout(super::array::<u8>(len)?, &policy)
    }

    /// Bytes of any size, aligned to up to 1 MiB, with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection or alignment.
    pub fn with_layout(layout: Layout, policy: &Policy) -> Result<SafeBuffer, SecureError> {
        Ok(SafeBuffer { place: Place::new(layout, policy)?, rest: Access::ReadWrite })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.place.bytes()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first byte's address; for a library that takes pointers. Reading or writing there needs
    /// the access that the buffer has at that moment.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.place.at().as_ptr()
    }

    /// What protects the bytes; `None` for none and in a forked child.
    #[must_use]
    pub fn protections(&self) -> Option<Protections> {
        self.place.protections()
    }

    /// What may be done with the bytes while no guard exists.
    #[must_use]
    pub fn rest(&self) -> Access {
        self.rest
    }

    /// Sets what may be done with the bytes while no guard exists.
    ///
    /// [`Access::ReadOnly`] seals: [`borrow_mut`](SafeBuffer::borrow_mut) is then refused until
    /// another access is set.
    ///
    /// # Errors
    /// [`ErrorKind::Pooled`] for a buffer without pages of its own, [`ErrorKind::Protect`] if the
    /// kernel refuses, [`ErrorKind::Inherited`] in a forked child, [`ErrorKind::Borrowed`] if a
    /// guard was leaked.
    pub fn set_rest(&mut self, rest: Access) -> Result<(), SecureError> {
        // SAFETY: `self` is borrowed exclusively, so there is no guard and no reference.
        unsafe { self.place.protect(rest)? };
        self.rest = rest;
        Ok(())
    }

    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.place.at(), self.place.bytes())
    }

    /// Opens the bytes for reading.
    ///
    /// # Panics
    /// As [`try_borrow`](SafeBuffer::try_borrow) gives errors.
    #[track_caller]
    pub fn borrow(&self) -> Opened<'_, [u8]> {
        expect(self.try_borrow())
    }

    /// Opens the bytes for reading.
    ///
    /// # Errors
    /// In a forked child, where they are not; if the kernel refuses to open the pages.
    pub fn try_borrow(&self) -> Result<Opened<'_, [u8]>, SecureError> {
        // SAFETY: the bytes are initialised, and not written while `self` is shared.
        unsafe { Opened::read_only(self.bytes(), &self.place) }
    }

    /// Opens the bytes for reading and writing.
    ///
    /// # Panics
    /// As [`try_borrow_mut`](SafeBuffer::try_borrow_mut) gives errors.
    #[track_caller]
    pub fn borrow_mut(&mut self) -> OpenedMut<'_, [u8]> {
        expect(self.try_borrow_mut())
    }

    /// Opens the bytes for reading and writing.
    ///
    /// # Errors
    /// [`ErrorKind::Protect`] if the buffer is sealed; in a forked child, where the bytes are not;
    /// if the kernel refuses to open the pages.
    pub fn try_borrow_mut(&mut self) -> Result<OpenedMut<'_, [u8]>, SecureError> {
        if self.rest == Access::ReadOnly {
            return Err(SecureError::new(ErrorKind::Protect));
        }
        // SAFETY: the bytes are initialised, and borrowed exclusively.
        unsafe { OpenedMut::new(self.bytes(), &self.place) }
    }
}

impl fmt::Debug for SafeBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafeBuffer({} bytes, {:?} at rest)", self.len(), self.rest)
    }
}

impl zeroize::ZeroizeOnDrop for SafeBuffer {}
impl<T: ?Sized> zeroize::ZeroizeOnDrop for super::GuardedBox<T> {}
