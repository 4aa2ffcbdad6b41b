//! Seccomp filters; one that refuses guard markers, as an older kernel or a sandbox would.

use std::io;

/// `MADV_GUARD_INSTALL` and `MADV_GUARD_REMOVE`.
const MARKERS: [u32; 2] = [102, 103];

/// Loads a word of what a filter sees.
pub const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
/// Compares it.
pub const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
/// Decides.
pub const ANSWER: u16 = 0x06; // BPF_RET | BPF_K

/// An instruction.
pub const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// From now on, in all threads made later and in what is executed, `madvise` with either advice
/// fails with `errno`.
pub fn refuse_markers(errno: i32) -> io::Result<()> {
    // Offsets into `struct seccomp_data`: the number, and the low half of the third argument.
    let third = 16 + 2 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let refusal = libc::SECCOMP_RET_ERRNO | errno as u32;
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 4, libc::SYS_madvise as u32),
        step(LOAD, 0, 0, third),
        step(EQUAL, 1, 0, MARKERS[0]),
        step(EQUAL, 0, 1, MARKERS[1]),
        step(ANSWER, 0, 0, refusal),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program)
}

/// For this thread and all that it makes and executes later.
pub fn install(program: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid for the calls, which only take permissions away.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether this kernel, under this process's filters, has guard markers.
pub fn markers_work() -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a page of our own, which nothing refers to, made and removed here.
    unsafe {
        let len = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let at = libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        let works = MARKERS.iter().all(|&advice| libc::madvise(at, len, advice as i32) == 0);
        libc::munmap(at, len);
        works
    }
}
