//! Those compared, each used as its documentation says.
#![expect(unsafe_code, reason = "C libraries and raw memory")]

use crate::row::{Row, Secret};
use casemate::secure::{
    Access, AccessGuard, Policy, safe_alloc_with, safe_free, safe_protect, safe_realloc,
};
use std::alloc::Layout;
use std::ptr::NonNull;

const FILL: u8 = 7;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `safe_alloc`: pooled.
    Casemate,
    /// The same in locked anonymous memory instead of `memfd_secret`.
    CasemateAwake,
    /// Pages of its own, no access at rest.
    CasemateOwn,
    /// `sodium_malloc`, no access at rest where it is borrowed.
    Libsodium,
    /// `memsec::malloc_sized`.
    Memsec,
    /// `memsec::memfd_secret_sized`.
    MemsecHidden,
    /// `secrets::SecretVec`, which is always without access at rest.
    Secrets,
    /// `secrecy::SecretBox`: ordinary memory, wiped.
    Secrecy,
}

impl Peer {
    /// In the table's order.
    pub const ALL: &[Peer] = &[
        Peer::Casemate,
        Peer::CasemateAwake,
        Peer::CasemateOwn,
        Peer::Libsodium,
        Peer::Memsec,
        Peer::MemsecHidden,
        Peer::Secrets,
        Peer::Secrecy,
    ];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Casemate => "casemate",
            Peer::CasemateAwake => "c.-mlock",
            Peer::CasemateOwn => "c.-pages",
            Peer::Libsodium => "libsodium",
            Peer::Memsec => "memsec",
            Peer::MemsecHidden => "memsec-fd",
            Peer::Secrets => "secrets",
            Peer::Secrecy => "secrecy",
        }
    }

    /// Reverses [`Peer::name`].
    pub fn parse(name: &str) -> Option<Peer> {
        Self::ALL.iter().copied().find(|peer| peer.name() == name)
    }

    /// Whether the row has a meaning: some keep nothing closed.
    pub fn has(self, row: Row) -> bool {
        let open = matches!(self, Peer::Casemate | Peer::CasemateAwake | Peer::Secrecy);
        // One descriptor each stays open: 10,000 are more than a process may have.
        let descriptors = self == Peer::MemsecHidden;
        !(row == Row::Borrow && open || row == Row::Live && descriptors)
    }

    /// One measurement.
    pub fn measure(self, row: Row) -> Option<Vec<f64>> {
        match self {
            Peer::Casemate => row.measure::<Pooled<false>>(),
            Peer::CasemateAwake => row.measure::<Pooled<true>>(),
            Peer::CasemateOwn => row.measure::<Own>(),
            Peer::Libsodium => row.measure::<Sodium>(),
            Peer::Memsec => row.measure::<Memsec>(),
            Peer::MemsecHidden => row.measure::<MemsecHidden>(),
            Peer::Secrets => row.measure::<Secrets>(),
            Peer::Secrecy => row.measure::<Secrecy>(),
        }
    }
}

fn fill(place: NonNull<[u8]>) {
    // SAFETY: a new buffer of this length, which nobody else knows.
    unsafe { place.cast::<u8>().write_bytes(FILL, place.len()) }
}

fn first(place: NonNull<[u8]>) -> u8 {
    // SAFETY: a live and open buffer of at least one byte.
    unsafe { place.cast::<u8>().read_volatile() }
}

/// Copies from one buffer to another, and gives back the owner of the latter.
fn copy<S>(old: &NonNull<[u8]>, new: NonNull<[u8]>, of: S) -> S {
    let len = old.len().min(new.len());
    // SAFETY: both are live and open, at least this long, and not the same.
    unsafe { new.cast::<u8>().copy_from_nonoverlapping(old.cast(), len) };
    of
}

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len, 1).ok()
}

struct Pooled<const AWAKE: bool>(NonNull<[u8]>);

impl<const AWAKE: bool> Secret for Pooled<AWAKE> {
    fn new(len: usize) -> Option<Self> {
        let policy = Policy::strict();
        let policy = if AWAKE { policy.hibernation_friendly() } else { policy };
        let place = safe_alloc_with(layout(len)?, &policy).ok()?;
        fill(place);
        Some(Pooled(place))
    }

    fn read(&self) -> u8 {
        first(self.0)
    }

    fn grow(self, len: usize) -> Option<Self> {
        let old = std::mem::ManuallyDrop::new(self);
        // SAFETY: live; the old handle is not used again.
        unsafe { safe_realloc(old.0.cast(), layout(len)?) }.ok().map(Pooled)
    }
}

impl<const AWAKE: bool> Drop for Pooled<AWAKE> {
    fn drop(&mut self) {
        // SAFETY: live, and freed once.
        unsafe { safe_free(self.0.cast()) }
    }
}

struct Own(NonNull<[u8]>);

impl Secret for Own {
    fn new(len: usize) -> Option<Self> {
        let place = safe_alloc_with(layout(len)?, &Policy::strict().protectable()).ok()?;
        fill(place);
        // SAFETY: nothing refers to the bytes.
        unsafe { safe_protect(place.cast(), Access::NoAccess) }.ok()?;
        Some(Own(place))
    }

    fn read(&self) -> u8 {
        // SAFETY: live as long as this.
        let guard = unsafe { AccessGuard::read(self.0.cast()) }.expect("a live buffer");
        let byte = first(self.0);
        drop(guard);
        byte
    }

    fn grow(self, len: usize) -> Option<Self> {
        let old = std::mem::ManuallyDrop::new(self);
        // SAFETY: live; the old handle is not used again.
        unsafe { safe_realloc(old.0.cast(), layout(len)?) }.ok().map(Own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: live, and freed once.
        unsafe { safe_free(self.0.cast()) }
    }
}

struct Sodium(NonNull<[u8]>);

impl Sodium {
    fn allocate(len: usize) -> Option<Self> {
        // SAFETY: may be called any number of times; the result is checked.
        let at = unsafe {
            if libsodium_sys::sodium_init() < 0 {
                return None;
            }
            NonNull::new(libsodium_sys::sodium_malloc(len).cast::<u8>())?
        };
        Some(Sodium(NonNull::slice_from_raw_parts(at, len)))
    }

    fn at(&self) -> *mut libc::c_void {
        self.0.cast().as_ptr()
    }
}

impl Secret for Sodium {
    fn new(len: usize) -> Option<Self> {
        let secret = Sodium::allocate(len)?;
        fill(secret.0);
        Some(secret)
    }

    fn read(&self) -> u8 {
        // SAFETY: a live buffer of the library's. Closed afterwards; the first time it was open.
        unsafe {
            libsodium_sys::sodium_mprotect_readonly(self.at());
            let byte = first(self.0);
            libsodium_sys::sodium_mprotect_noaccess(self.at());
            byte
        }
    }

    fn grow(self, len: usize) -> Option<Self> {
        let new = Sodium::allocate(len)?;
        Some(copy(&self.0, new.0, new))
    }
}

impl Drop for Sodium {
    fn drop(&mut self) {
        // SAFETY: live, and freed once. The library opens what is closed.
        unsafe { libsodium_sys::sodium_free(self.at()) }
    }
}

struct Memsec(NonNull<[u8]>);

impl Secret for Memsec {
    fn new(len: usize) -> Option<Self> {
        // SAFETY: the result is checked by the library.
        let place = unsafe { memsec::malloc_sized(len) }?;
        fill(place);
        Some(Memsec(place))
    }

    fn read(&self) -> u8 {
        // SAFETY: a live buffer of the library's.
        unsafe {
            memsec::mprotect(self.0, memsec::Prot::ReadOnly);
            let byte = first(self.0);
            memsec::mprotect(self.0, memsec::Prot::NoAccess);
            byte
        }
    }

    fn grow(self, len: usize) -> Option<Self> {
        // SAFETY: as in `new`.
        let new = Memsec(unsafe { memsec::malloc_sized(len) }?);
        Some(copy(&self.0, new.0, new))
    }
}

impl Drop for Memsec {
    fn drop(&mut self) {
        // SAFETY: live, and freed once; opened first, for the library does not.
        unsafe {
            memsec::mprotect(self.0, memsec::Prot::ReadWrite);
            memsec::free(self.0);
        }
    }
}

struct MemsecHidden(NonNull<[u8]>);

impl Secret for MemsecHidden {
    fn new(len: usize) -> Option<Self> {
        // SAFETY: the result is checked by the library.
        let place = unsafe { memsec::memfd_secret_sized(len) }?;
        fill(place);
        Some(MemsecHidden(place))
    }

    fn read(&self) -> u8 {
        // SAFETY: a live buffer of the library's.
        unsafe {
            memsec::mprotect(self.0, memsec::Prot::ReadOnly);
            let byte = first(self.0);
            memsec::mprotect(self.0, memsec::Prot::NoAccess);
            byte
        }
    }

    fn grow(self, len: usize) -> Option<Self> {
        // SAFETY: as in `new`.
        let new = MemsecHidden(unsafe { memsec::memfd_secret_sized(len) }?);
        Some(copy(&self.0, new.0, new))
    }
}

impl Drop for MemsecHidden {
    fn drop(&mut self) {
        // SAFETY: live, and freed once.
        unsafe {
            memsec::mprotect(self.0, memsec::Prot::ReadWrite);
            memsec::free_memfd_secret(self.0);
        }
    }
}

struct Secrets(secrets::SecretVec<u8>);

impl Secret for Secrets {
    fn new(len: usize) -> Option<Self> {
        Some(Secrets(secrets::SecretVec::new(len, |bytes| bytes.fill(FILL))))
    }

    fn read(&self) -> u8 {
        self.0.borrow()[0]
    }

    fn grow(self, len: usize) -> Option<Self> {
        let old = self.0.borrow();
        let new = secrets::SecretVec::new(len, |bytes| bytes[..old.len()].copy_from_slice(&old));
        drop(old);
        Some(Secrets(new))
    }
}

struct Secrecy(secrecy::SecretBox<[u8]>);

impl Secret for Secrecy {
    fn new(len: usize) -> Option<Self> {
        Some(Secrecy(secrecy::SecretBox::new(vec![FILL; len].into_boxed_slice())))
    }

    fn read(&self) -> u8 {
        secrecy::ExposeSecret::expose_secret(&self.0)[0]
    }

    fn grow(self, len: usize) -> Option<Self> {
        let old = secrecy::ExposeSecret::expose_secret(&self.0);
        let mut bytes = vec![0; len].into_boxed_slice();
        bytes[..old.len()].copy_from_slice(old);
        Some(Secrecy(secrecy::SecretBox::new(bytes)))
    }
}
