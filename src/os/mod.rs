//! Layer: os. Everything the heap asks of the operating system, as one trait.
//!
//! Porting is writing another implementation of [`Os`]. The heap, its fuzzers and its failure
//! injection are generic over it; it is resolved at compile time and has no state of its own
//! (what is found out at start-up is kept by the heap, in its read-only page).
//!
//! Nothing here allocates, panics or uses `std` I/O.

#[cfg(not(loom))]
pub mod linux;

use crate::sync::AtomicU32;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32 as Plain, Ordering::Relaxed};

#[cfg(not(loom))]
pub use linux::Linux;

/// Why a mapping call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// ENOMEM or EAGAIN: memory, address space, the mapping count or a limit ran out.
    Exhausted,
    /// EEXIST: something is mapped there already.
    Occupied,
    /// EINVAL, ENOSYS, EPERM, EACCES: this kernel, filter or mapping does not do that.
    Unsupported,
}

/// A word of the calling thread, which its signal handlers use as well: every access is whole, and
/// where the order matters it is kept by a compiler fence.
#[repr(transparent)]
pub struct Word {
    /// Not a model's: one thread's alone.
    value: Plain,
    /// Neither the word nor a reference to it leaves its thread.
    here: PhantomData<*mut u32>,
}

impl Word {
    /// A word with this value.
    pub const fn new(value: u32) -> Word {
        Word { value: Plain::new(value), here: PhantomData }
    }

    /// Its value.
    #[inline(always)]
    pub fn get(&self) -> u32 {
        self.value.load(Relaxed)
    }

    /// Gives it a value.
    #[inline(always)]
    pub fn set(&self, value: u32) {
        self.value.store(value, Relaxed);
    }

    /// Gives it a value; what it had.
    pub fn replace(&self, value: u32) -> u32 {
        let before = self.get();
        self.set(value);
        before
    }
}

/// The calling thread, as the heap knows it.
#[derive(Clone, Copy)]
pub struct Thread<'t> {
    /// Nonzero, a multiple of 4, and different for every two threads alive at the same time.
    pub identity: usize,
    /// A word in thread-local storage, zero in a new thread. It holds an index and a state,
    /// never a pointer, and is not trusted.
    pub word: &'t Word,
    /// Another such word: the ranks of the locks that the thread holds, see `slab::lock`.
    pub held: &'t Word,
}

/// What the kernel offered when it was asked at start-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// MADV_GUARD_INSTALL works (Linux 6.13).
    pub guards: bool,
    /// `mseal` works (Linux 6.10).
    pub seal: bool,
    /// MADV_WIPEONFORK works (Linux 4.14).
    pub wipe_on_fork: bool,
    /// The CPU has AES instructions that `canary` can use.
    pub aes: bool,
    /// The CPU and the kernel offer AVX2.
    pub avx2: bool,
    /// The program runs under valgrind, which pays with memory for every address reserved.
    pub emulated: bool,
}

/// What happens when a thread ends. A type and not a function pointer, so that none lies in
/// writable memory for an attacker to change.
pub trait ThreadExit {
    /// Runs in the thread that ends.
    fn run();
}

/// What happens around `fork`; a type for the same reason.
pub trait ForkHooks {
    /// Runs before, in the thread that forks.
    fn prepare();
    /// Runs after, in the parent.
    fn parent();
    /// Runs after, in the child, whose only thread is the caller.
    fn child();
}

/// The operating system. Addresses and lengths are in bytes and multiples of
/// [`page_size`](Os::page_size) unless said otherwise; every call is safe to make at any time
/// from any thread and from signal handlers, except where noted.
///
/// # Safety
/// An implementation must do what each method says: [`reserve`](Os::reserve) and
/// [`map`](Os::map) never touch memory that was mapped before, [`entropy`](Os::entropy) fills the
/// whole buffer or fails, and [`thread`](Os::thread) gives two live threads different identities,
/// which are multiples of 4.
#[expect(unsafe_code, reason = "an unsafe trait: the heap's soundness rests on its mappings")]
pub unsafe trait Os: Send + Sync + 'static {
    /// The page size in force, a power of two.
    fn page_size() -> usize;

    /// Tries every optional kernel feature once, on scratch mappings that it removes again.
    fn probe() -> Features;

    /// Number of usable address bits (47 on x86-64, 39 to 48 on aarch64): found by trying.
    fn address_bits() -> u32;

    /// Reserves `[at, at + len)`: inaccessible, not charged, left out of core dumps, never on top
    /// of another mapping.
    fn reserve(at: usize, len: usize) -> Result<(), MapError>;

    /// Maps `[at, at + len)` readable and writable, zero-filled, never on top of another mapping.
    fn map(at: usize, len: usize) -> Result<(), MapError>;

    /// Removes the mappings in `[at, at + len)`.
    fn unmap(at: usize, len: usize) -> Result<(), MapError>;

    /// Makes mapped memory readable and writable (`mprotect`).
    fn open(at: usize, len: usize) -> Result<(), MapError>;

    /// Makes mapped memory inaccessible (`mprotect`); its contents stay.
    fn close(at: usize, len: usize) -> Result<(), MapError>;

    /// Makes mapped memory of the caller's a reservation again: inaccessible, empty and, unlike what
    /// [`close`](Os::close) leaves, no longer charged. After an error it is as before, as far as
    /// the kernel lets it be.
    fn withdraw(at: usize, len: usize) -> Result<(), MapError>;

    /// Makes mapped memory readable only (`mprotect`).
    fn read_only(at: usize, len: usize) -> Result<(), MapError>;

    /// Forbids any further change of the mapping (`mseal`).
    fn seal(at: usize, len: usize) -> Result<(), MapError>;

    /// Drops the contents of private anonymous memory: it reads as zeros when next touched.
    /// Works on locked memory too (MADV_DONTNEED_LOCKED, Linux 5.18).
    fn discard(at: usize, len: usize) -> Result<(), MapError>;

    /// Installs guards over the range, dropping its contents (MADV_GUARD_INSTALL).
    /// `Unsupported` on locked memory and on older kernels.
    fn guard(at: usize, len: usize) -> Result<(), MapError>;

    /// Removes guards from the range (MADV_GUARD_REMOVE); other pages in it are left alone.
    fn unguard(at: usize, len: usize) -> Result<(), MapError>;

    /// Has the kernel make these pages present in one call (MADV_POPULATE_WRITE, Linux 5.14).
    /// A hint: failure is of no consequence.
    fn populate(at: usize, len: usize);

    /// Moves the pages of `[from, from + len)` to `[to, to + len)`, which must be reserved by the
    /// caller and is replaced; `from` stays mapped and reads as zeros (MREMAP_DONTUNMAP, Linux
    /// 5.7; several mappings since 6.17). Otherwise nothing changes, unless it failed late: then
    /// the error is `Occupied`, and `to` is reserved or unmapped, whatever it was. Of several
    /// mappings some may have been moved then, so their contents are lost: only what is not needed
    /// any more, or is one mapping, should be moved.
    fn move_pages(from: usize, to: usize, len: usize) -> Result<(), MapError>;

    /// The range reads as zeros in a forked child (MADV_WIPEONFORK).
    fn wipe_on_fork(at: usize, len: usize) -> Result<(), MapError>;

    /// The range, of a reservation that was opened, is in core dumps (MADV_DODUMP): what a
    /// reservation holds is left out otherwise. A hint.
    fn dump(at: usize, len: usize);

    /// The range is left out of core dumps (MADV_DONTDUMP).
    fn no_dump(at: usize, len: usize) -> Result<(), MapError>;

    /// Whether another page of address space can be had: tried by mapping one and removing it
    /// again, with no call that a filter which lets a heap grow could forbid.
    fn has_address_space() -> bool;

    /// Whether a mapping can still be split, which takes two more: tried on one of its own. False
    /// where address space or the number of mappings (`vm.max_map_count`) is exhausted.
    fn can_split() -> bool;

    /// RLIMIT_AS in force now, in bytes; `None` if unlimited.
    fn address_space_limit() -> Option<usize>;

    /// The most mappings a process may have (`vm.max_map_count`); 65,530 if it cannot be read.
    fn mapping_limit() -> usize;

    /// Processors that the calling thread may run on, at least 1; 2 if the kernel does not tell.
    fn processors() -> usize;

    /// Page-table memory of this process in bytes (`VmPTE`), if the kernel tells.
    fn page_table_bytes() -> Option<usize>;

    /// Fills `out` with random bytes from the kernel, by the raw system call; falls back to
    /// `/dev/urandom` where the call does not exist. False if neither gave them.
    fn entropy(out: &mut [u8]) -> bool;

    /// Sleeps while `word` holds `value`, or returns at any time for no reason (futex).
    fn wait(word: &AtomicU32, value: u32);

    /// Wakes one sleeper in [`wait`](Os::wait) (futex).
    fn wake(word: &AtomicU32);

    /// Gives up the processor once.
    fn pause();

    /// The calling thread.
    fn thread<'t>() -> Thread<'t>;

    /// Has `H::run` called when the calling thread ends, as late as can be had: after destructors
    /// registered with `__cxa_thread_atexit`, in a late round of pthread keys. May allocate
    /// through the heap itself. False if it could not be arranged. `H` is the same type on every
    /// call in a process.
    fn at_thread_exit<H: ThreadExit>() -> bool;

    /// Has these run around `fork` (`pthread_atfork`). Called once. May allocate through the
    /// heap itself.
    fn at_fork<H: ForkHooks>() -> bool;

    /// Writes `line` to standard error with one `write(2)` (again only after EINTR or a short
    /// write). Keeps `errno`.
    fn report(line: &[u8]);

    /// Ends the process by SIGABRT, whatever handler or mask the program has set; does not
    /// return and runs no exit handlers.
    fn abort() -> !;
}

/// What memory for secrets needs beyond [`Os`]. Addresses and lengths in bytes, multiples of the
/// page size; an error is the system's number for it. Nothing changes `errno`.
#[cfg(feature = "secure")]
pub trait Secrets: Os {
    /// Replaces a reservation of the caller's by memory that only this process sees
    /// (`memfd_secret`): zero-filled, locked, not dumped. Forked children see it, for writing too,
    /// until [`no_fork`](Secrets::no_fork). No descriptor stays open.
    fn map_secret(at: usize, len: usize) -> Result<(), i32>;

    /// Replaces a reservation of the caller's by readable and writable zeros.
    fn map_over(at: usize, len: usize) -> Result<(), i32>;

    /// Replaces a range of the caller's by inaccessible address space: contents, locks and advice
    /// are gone.
    fn take_away(at: usize, len: usize) -> Result<(), i32>;

    /// Makes new, hidden pages of zeros present, which the kernel does at the first access only:
    /// then a page that is not to be had is an error here instead of a SIGBUS there.
    fn make_present(at: usize, len: usize) -> Result<(), i32>;

    /// Keeps readable and writable pages in memory, and makes them present (`mlock`).
    fn lock(at: usize, len: usize) -> Result<(), i32>;

    /// Keeps the range out of forked children (MADV_DONTFORK).
    fn no_fork(at: usize, len: usize) -> Result<(), i32>;

    /// RLIMIT_MEMLOCK in force now, in bytes; `None` if unlimited.
    fn lock_limit() -> Option<usize>;

    /// Bytes of memory that the machine has, if the kernel tells.
    fn physical_bytes() -> Option<usize>;

    /// Bytes that count against it now (`VmLck`), if the kernel tells.
    fn locked_bytes() -> Option<usize>;
}

/// A pointer to memory that the heap mapped at `address`.
///
/// The heap chooses where its mappings lie and keeps addresses as numbers; this is the one place
/// where a number becomes a pointer. Mappings made by the kernel count as exposed.
#[inline]
pub fn pointer<T>(address: usize) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address)
}
