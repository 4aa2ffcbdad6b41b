//! Layer: faces. One value in secret memory.
#![expect(unsafe_code, reason = "a box: a typed pointer to memory that it owns")]

use super::moved::{Moved, take_over};
use super::place::{Place, expect};
use crate::secure::{Policy, Protections, SecureError};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A value in secret memory: locked where the system allows it, between canaries and guards, out
/// of core dumps and forked children, and wiped when it is dropped.
///
/// It is what `secrecy::SecretBox` and `libsodium`'s `sodium_malloc` are used for. `T` may be a
/// sized type, a slice `[T]`, or `str`. Reading asks for [`expose_secret`], so that every place
/// where the secret is touched can be found by its name. There is no `Deref`, no `Display`, no
/// `Clone`; `Debug` shows the type and nothing of the value; `==` takes constant time.
///
/// ```
/// use casemate::secure::SecretBox;
///
/// // Made in place: the key is never on the stack.
/// let key = SecretBox::<[u8; 32]>::random();
/// assert_eq!(key.expose_secret().len(), 32);
/// assert_eq!(format!("{key:?}"), "SecretBox<[u8; 32]>(..)");
///
/// let copy = key.try_clone()?;
/// assert!(copy == key);
/// # Ok::<(), casemate::secure::SecureError>(())
/// ```
///
/// What must not compile:
///
/// ```compile_fail,E0277
/// println!("{}", casemate::secure::SecretBox::new(5)); // no Display
/// ```
/// ```compile_fail,E0599
/// let a = casemate::secure::SecretBox::new(5);
/// let b = a.clone(); // no Clone: `try_clone` says that it may fail
/// ```
/// ```compile_fail,E0614
/// let a = *casemate::secure::SecretBox::new(5); // no Deref
/// ```
///
/// # Where the value has been
///
/// A function argument travels in registers, if it is at most two words, or else in memory of its
/// caller's. [`new`](SecretBox::new) and its relatives wipe that memory, and their own copy. What
/// remains, and no function can reach: the registers and where the caller spilled them; the
/// variable that the value came from, if it is `Copy` (it was copied and not moved); and in any
/// case each place on the caller's stack that the compiler moved it through before the call. An
/// optimised build makes few such moves or none, an unoptimised one makes one for nearly every
/// expression, and there these functions leave one copy of their own, as do those that give a value
/// back ([`into_inner`](SecretBox::into_inner), [`SecretVec::pop`](super::SecretVec::pop)). So prefer what makes the value where it stays: [`init_with`](SecretBox::init_with),
/// [`random`](SecretBox::random), [`zeroed`](SecretBox::zeroed) and, for types that may not be
/// zero, [`new_uninit`](SecretBox::new_uninit). A value that exists already is moved in by
/// [`take_from`](SecretBox::take_from), which leaves zeros; and what a computation left on the
/// stack goes with [`with_wiped_stack`](super::with_wiped_stack).
///
/// # Errors and panics
///
/// Each form named `try_` returns a [`SecureError`]; the one without panics with its text. Without
/// a policy, [`Policy::best_effort`] is asked for: then only exhausted memory is an error, and
/// [`protections`](SecretBox::protections) tells what was obtained.
///
/// # Fork
///
/// A forked child does not have the memory. Dropping the box there does nothing; exposing the
/// value is an error, found before anything is touched.
///
/// # Threads
///
/// `Send` and `Sync` where `T` is, as `Box`: the memory belongs to no thread, is freed from any,
/// and a shared box gives out shared references only.
///
/// [`expose_secret`]: SecretBox::expose_secret
pub struct SecretBox<T: ?Sized> {
    /// Into `place`; valid while that is there.
    value: NonNull<T>,
    place: Place,
    owns: PhantomData<T>,
}

// SAFETY: the box owns its value, as `Box` does; see "Threads".
unsafe impl<T: ?Sized + Send> Send for SecretBox<T> {}
// SAFETY: a shared box gives out `&T` only, which is what `T: Sync` allows.
unsafe impl<T: ?Sized + Sync> Sync for SecretBox<T> {}

impl<T: ?Sized> SecretBox<T> {
    /// Takes over memory that holds a value.
    ///
    /// # Safety
    /// `value` points to an initialised value at the start of `place`, and nothing else owns it.
    pub(super) unsafe fn from_parts(value: NonNull<T>, place: Place) -> SecretBox<T> {
        SecretBox { value, place, owns: PhantomData }
    }

    /// The value's place and its memory; the value is not dropped.
    pub(super) fn into_parts(self) -> (NonNull<T>, Place) {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped again, so its memory has one owner.
        (this.value, unsafe { core::ptr::read(&this.place) })
    }

    /// The policy that the memory was asked for with.
    pub(super) fn policy(&self) -> &Policy {
        self.place.policy()
    }

    /// The value's place, for reading and writing.
    #[cfg(feature = "shielded")]
    pub(super) fn pointer(&self) -> NonNull<T> {
        self.value
    }

    /// The value, to be read.
    ///
    /// # Panics
    /// In a forked child, where the value is not.
    #[inline]
    #[track_caller]
    pub fn expose_secret(&self) -> &T {
        expect(self.try_expose_secret())
    }

    /// The value, to be changed in place.
    ///
    /// # Panics
    /// In a forked child, where the value is not.
    #[inline]
    #[track_caller]
    pub fn expose_secret_mut(&mut self) -> &mut T {
        expect(self.try_expose_secret_mut())
    }

    /// The value, to be read.
    ///
    /// # Errors
    /// In a forked child, where the value is not.
    #[inline]
    pub fn try_expose_secret(&self) -> Result<&T, SecureError> {
        self.place.check()?;
        // SAFETY: the value is initialised and borrowed as the box is.
        Ok(unsafe { self.value.as_ref() })
    }

    /// The value, to be changed in place.
    ///
    /// # Errors
    /// In a forked child, where the value is not.
    #[inline]
    pub fn try_expose_secret_mut(&mut self) -> Result<&mut T, SecureError> {
        self.place.check()?;
        // SAFETY: the value is initialised and borrowed as the box is, exclusively.
        Ok(unsafe { self.value.as_mut() })
    }

    /// What protects the value; `None` for a value of zero bytes and in a forked child.
    #[must_use]
    pub fn protections(&self) -> Option<Protections> {
        self.place.protections()
    }

    /// The value's address. The value must not be moved out.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> *const T {
        self.value.as_ptr()
    }
}

impl<T> SecretBox<T> {
    /// Moves a value into secret memory and wipes the argument's bytes.
    ///
    /// See [where the value has been](SecretBox#where-the-value-has-been).
    ///
    /// # Panics
    /// If there is no memory; the value is then dropped and its bytes are wiped.
    #[track_caller]
    #[inline]
    pub fn new(mut value: T) -> SecretBox<T> {
        take_over!(value as moved);
        expect(SecretBox::adopt(&mut moved, &Policy::best_effort()))
    }

    /// Moves a value into secret memory and wipes the argument's bytes.
    ///
    /// # Errors
    /// If there is no memory; the value is then dropped and its bytes are wiped.
    #[inline]
    pub fn try_new(mut value: T) -> Result<SecretBox<T>, SecureError> {
        take_over!(value as moved);
        SecretBox::adopt(&mut moved, &Policy::best_effort())
    }

    /// Moves a value into secret memory with the protections that `policy` asks for.
    ///
    /// # Errors
    /// If there is no memory or not that protection; the value is dropped and its bytes are wiped.
    #[inline]
    pub fn try_new_with(mut value: T, policy: &Policy) -> Result<SecretBox<T>, SecureError> {
        take_over!(value as moved);
        SecretBox::adopt(&mut moved, policy)
    }

    /// A value that is here, in secret memory; on an error it stays here.
    pub(super) fn adopt(
        moved: &mut Moved<T>,
        policy: &Policy,
    ) -> Result<SecretBox<T>, SecureError> {
        let made = SecretBox::<T>::try_new_uninit_with(policy)?;
        // SAFETY: a value is here, by the macro that made the variable; the memory is for a `T`,
        // writable and holds none yet; then it holds one.
        unsafe {
            moved.put(made.value.cast());
            Ok(made.assume_init())
        }
    }

    /// Memory for a value that is still to be written.
    ///
    /// For types that are not [`Zeroable`](super::Zeroable). The bytes are zero.
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    #[must_use]
    pub fn new_uninit() -> SecretBox<MaybeUninit<T>> {
        expect(SecretBox::try_new_uninit_with(&Policy::best_effort()))
    }

    /// Memory for a value that is still to be written, with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection.
    pub fn try_new_uninit_with(policy: &Policy) -> Result<SecretBox<MaybeUninit<T>>, SecureError> {
        let place = Place::new(Layout::new::<T>(), policy)?;
        let value = place.at().cast();
        // SAFETY: the memory has the layout of `T`; uninitialised memory is a `MaybeUninit`.
        Ok(unsafe { SecretBox::from_parts(value, place) })
    }

    /// Takes the value out; the memory that it was in is wiped.
    ///
    /// # Panics
    /// In a forked child, where the value is not.
    #[track_caller]
    #[must_use]
    pub fn into_inner(self) -> T {
        expect(self.place.check());
        let (value, _place) = self.into_parts();
        // SAFETY: the value is initialised and not used there again: `_place` only wipes and frees.
        unsafe { value.as_ptr().read() }
    }
}

impl<T> SecretBox<MaybeUninit<T>> {
    /// Writes the value, and wipes the argument's bytes.
    ///
    /// # Panics
    /// In a forked child, where the memory is not.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn write(self, mut value: T) -> SecretBox<T> {
        take_over!(value as moved);
        expect(self.place.check());
        // SAFETY: the memory is for a `T`, writable, and holds none to be dropped; then it has one.
        unsafe {
            moved.put(self.value.cast());
            self.assume_init()
        }
    }

    /// Takes the memory for a value.
    ///
    /// # Safety
    /// It holds one: written through [`expose_secret_mut`](SecretBox::expose_secret_mut), or all
    /// zero bytes, as the memory comes, are a value of `T`.
    #[must_use]
    pub unsafe fn assume_init(self) -> SecretBox<T> {
        let (value, place) = self.into_parts();
        // SAFETY: the caller's word that it is initialised.
        unsafe { SecretBox::from_parts(value.cast(), place) }
    }
}

impl<T: Copy> SecretBox<T> {
    /// A second box with the same value, copied from one secret memory to the other.
    ///
    /// The copy has the same policy. For a `T` that is not `Copy`, and so has parts elsewhere
    /// or a destructor: `SecretBox::try_new(secret.expose_secret().clone())`.
    ///
    /// # Errors
    /// If there is no memory; in a forked child.
    pub fn try_clone(&self) -> Result<SecretBox<T>, SecureError> {
        let from = self.try_expose_secret()?;
        let made = SecretBox::<T>::try_new_uninit_with(self.place.policy())?;
        // SAFETY: two different places for a `T`, which is `Copy`; then the new one is initialised.
        unsafe {
            core::ptr::copy_nonoverlapping(from, made.value.cast().as_ptr(), 1);
            Ok(made.assume_init())
        }
    }
}

impl<T: ?Sized> Drop for SecretBox<T> {
    fn drop(&mut self) {
        // In a forked child there is no value. Afterwards, or if the destructor panics, the memory
        // is wiped and freed by the field's own drop.
        if core::mem::needs_drop::<T>() && self.place.check().is_ok() {
            // SAFETY: the value is initialised, there, and dropped once.
            unsafe { self.value.drop_in_place() }
        }
    }
}

impl<T: ?Sized> fmt::Debug for SecretBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBox<{}>(..)", core::any::type_name::<T>())
    }
}
