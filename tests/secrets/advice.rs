//! What the kernel or a sandbox may refuse: single advices, and locked memory.

use std::io;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const ANSWER: u16 = 0x06; // BPF_RET | BPF_K

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// From now on `madvise` with this advice fails with EPERM.
pub fn refuse_advice(advice: i32) -> io::Result<()> {
    // Offsets into `struct seccomp_data`: the number, and the low half of the third argument.
    let third = 16 + 2 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 3, libc::SYS_madvise as u32),
        step(LOAD, 0, 0, third),
        step(EQUAL, 0, 1, advice as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid for the calls, which only take permissions away.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes all capabilities and all room for locked memory away from this process, and shows it.
pub fn lock_nothing() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // Version 3, for the calling thread; all three sets empty.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0u32; 6];
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let byte = 0u8;
    // SAFETY: valid structures; the calls take permissions away, and lock nothing.
    let done = unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) == 0
            && libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) == 0
            && libc::mlock((&raw const byte).cast(), 1) != 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
