//! The table's file and its mapping. The launcher makes it; the library takes only a descriptor
//! that shows every sign of being one.
#![expect(unsafe_code, reason = "system calls; a reference to shared memory")]

use crate::calls;
use crate::layout::{BYTES, MAGIC, Record, Table, VERSION};
use casemate::inside::page_size;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Release};
use libc::c_int;

/// Neither longer nor shorter, and no further seals: what the launcher sets. Shared memory that
/// was not made by `memfd_create` with sealing allowed cannot have these.
pub const SEALS: c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// F_SEAL_EXEC (Linux 6.3), with which the file may come.
const SEAL_EXEC: c_int = 0x20;

/// Makes the file: a descriptor that is closed on exec, with a valid, empty table.
///
/// # Errors
/// The `errno` of the call that failed.
pub fn create() -> Result<c_int, c_int> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let make = |flags| {
        // SAFETY: a constant name that ends in 0; the descriptor is this function's own.
        unsafe { libc::memfd_create(c"casemate-report".as_ptr(), flags) }
    };
    // Some systems allow no other than files that cannot be executed; kernels before Linux 6.3 do
    // not know these.
    let mut file = make(flags | libc::MFD_NOEXEC_SEAL);
    if file < 0 && errno() == libc::EINVAL {
        file = make(flags);
    }
    if file < 0 {
        return Err(errno());
    }
    // SAFETY: numbers, on the descriptor just made.
    let sealed = set_length(file) && unsafe { libc::fcntl(file, libc::F_ADD_SEALS, SEALS) == 0 };
    if sealed && let Some(table) = map(file) {
        table.header.version.store(VERSION, Release);
        table.header.record_bytes.store(size_of::<Record>() as u32, Release);
        table.header.magic.store(MAGIC, Release);
        // SAFETY: made here, and the reference ends here.
        unsafe { calls::munmap(ptr::from_ref(table).cast_mut().cast(), BYTES) };
        return Ok(file);
    }
    let error = errno();
    // SAFETY: this function's own descriptor.
    unsafe { libc::close(file) };
    Err(error)
}

/// Sets the file's length. Limits of file sizes bind memory files, too: this one is raised as far as
/// it may be for the call, and where that is not far enough the call fails with EFBIG; the SIGXFSZ
/// that comes with it, and would end the process without a word, is ignored.
fn set_length(file: c_int) -> bool {
    // SAFETY: zeros are valid for these structures, which are borrowed for the calls; numbers
    // otherwise, on the caller's descriptor.
    unsafe {
        let mut limit: libc::rlimit = core::mem::zeroed();
        let mut action: libc::sigaction = core::mem::zeroed();
        let ignore = libc::sigaction { sa_sigaction: libc::SIG_IGN, ..action };
        libc::sigaction(libc::SIGXFSZ, &raw const ignore, &raw mut action);
        let limited = libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) == 0;
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        let limited = limited && libc::setrlimit(libc::RLIMIT_FSIZE, &raw const raised) == 0;
        let done = libc::ftruncate(file, BYTES as libc::off_t) == 0;
        let error = errno();
        if limited {
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
        }
        libc::sigaction(libc::SIGXFSZ, &raw const action, ptr::null_mut());
        *libc::__errno_location() = error;
        done
    }
}

/// The table behind a descriptor, for good; `None` if it is anything else. Whatever the
/// descriptor is, it is not changed, nor is anything read from a file that is not a sealed memory
/// file of exactly the right length.
pub fn open(file: c_int) -> Option<&'static Table> {
    let mut about = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: numbers, and a structure that is borrowed for the call; zeros are a valid `stat`.
    let fits = unsafe {
        calls::seals(file) & !SEAL_EXEC == SEALS
            && calls::fstat(file, about.as_mut_ptr()) == 0
            && is_ours(&about.assume_init())
    };
    if !fits {
        return None;
    }
    let table = map(file)?;
    let header = &table.header;
    let valid = header.magic.load(Acquire) == MAGIC
        && header.version.load(Acquire) == VERSION
        && header.record_bytes.load(Acquire) as usize == size_of::<Record>();
    if !valid {
        // SAFETY: made by `map` just now, and the reference is not used any more.
        unsafe { calls::munmap(ptr::from_ref(table).cast_mut().cast(), BYTES) };
        return None;
    }
    Some(table)
}

fn is_ours(about: &libc::stat) -> bool {
    // A memory file has no name left in any directory.
    about.st_mode & libc::S_IFMT == libc::S_IFREG
        && about.st_size == BYTES as libc::off_t
        && about.st_nlink == 0
}

/// Maps the file between two inaccessible pages, so that no write that runs on reaches it.
fn map(file: c_int) -> Option<&'static Table> {
    let page = page_size();
    let data = BYTES.next_multiple_of(page);
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping wherever the kernel likes.
    let around =
        unsafe { calls::mmap(ptr::null_mut(), data + 2 * page, libc::PROT_NONE, private, -1) };
    if around == libc::MAP_FAILED {
        return None;
    }
    let at = around.wrapping_byte_add(page);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: replaces the inner part of the mapping just made, which nobody else knows.
    let inner = unsafe { calls::mmap(at, BYTES, access, libc::MAP_SHARED | libc::MAP_FIXED, file) };
    if inner == libc::MAP_FAILED {
        // SAFETY: as above.
        unsafe { calls::munmap(around, data + 2 * page) };
        return None;
    }
    // SAFETY: `BYTES` readable and writable bytes at a page boundary, which the seals keep there:
    // the file cannot shrink. They stay mapped for good unless the caller unmaps them. `Table`
    // consists of atomics, for which any bytes are valid and writes of others are defined.
    Some(unsafe { &*inner.cast::<Table>() })
}

fn errno() -> c_int {
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering::Relaxed;

    fn memory_file(bytes: usize, seals: c_int) -> c_int {
        // SAFETY: a constant name and numbers, on a descriptor of this test's own.
        unsafe {
            let file = libc::memfd_create(c"test".as_ptr(), libc::MFD_ALLOW_SEALING);
            assert!(file >= 0 && libc::ftruncate(file, bytes as libc::off_t) == 0);
            assert_eq!(libc::fcntl(file, libc::F_ADD_SEALS, seals), 0);
            file
        }
    }

    fn write(file: c_int, bytes: &[u8]) {
        // SAFETY: the bytes are borrowed for the call.
        let count = unsafe { libc::pwrite(file, bytes.as_ptr().cast(), bytes.len(), 0) };
        assert_eq!(count, bytes.len() as isize);
    }

    #[test]
    fn a_table_is_shared_by_all_that_open_it() {
        let file = create().expect("a file");
        let (one, other) = (open(file).expect("a table"), open(file).expect("again"));
        assert_ne!(ptr::from_ref(one), ptr::from_ref(other));
        one.record[17].pid.store(4711, Relaxed);
        assert_eq!(other.record[17].pid.load(Relaxed), 4711);
    }

    #[test]
    fn nobody_can_cut_it_off() {
        let file = create().expect("a file");
        // SAFETY: numbers.
        unsafe {
            assert_eq!(libc::ftruncate(file, 0), -1);
            assert_eq!(libc::ftruncate(file, 2 * BYTES as libc::off_t), -1);
            assert_eq!(libc::fcntl(file, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE), -1);
        }
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        let mut head = [0; 16];
        head[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        head[8..12].copy_from_slice(&VERSION.to_ne_bytes());
        head[12..].copy_from_slice(&(size_of::<Record>() as u32).to_ne_bytes());
        // Right but for one thing each; the last is right.
        for (bytes, seals, head, taken) in [
            (BYTES - 1, SEALS, &head[..], false),
            (BYTES + 1, SEALS, &head, false),
            (BYTES, SEALS & !libc::F_SEAL_SHRINK, &head, false),
            (BYTES, SEALS & !libc::F_SEAL_SEAL, &head, false),
            (BYTES, SEALS, &head[..12], false),
            (BYTES, SEALS, b"CASEMATF", false),
            (BYTES, SEALS, &head, true),
        ] {
            let file = memory_file(bytes, seals);
            write(file, head);
            assert_eq!(open(file).is_some(), taken, "{bytes} {seals} {head:?}");
        }
        for file in [-1, 0, 1, 2, 1 << 20] {
            assert!(open(file).is_none());
        }
        // An ordinary file of the right length and content, even opened for writing.
        let path = std::env::temp_dir().join(std::format!("casemate-{}", std::process::id()));
        std::fs::write(&path, head).expect("a file");
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
        file.set_len(BYTES as u64).expect("longer");
        std::fs::remove_file(&path).expect("removed");
        assert!(open(std::os::fd::AsRawFd::as_raw_fd(&file)).is_none());
    }
}
