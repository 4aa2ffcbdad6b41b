//! A seccomp filter that refuses what secure memory asks of the kernel.

use std::io;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const ANSWER: u16 = 0x06; // BPF_RET | BPF_K

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// From now on these calls fail with `errno`.
pub fn refuse(calls: &[libc::c_long], errno: i32) -> io::Result<()> {
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for (i, &call) in calls.iter().enumerate() {
        program.push(step(EQUAL, (calls.len() - i) as u8, 0, call as u32));
    }
    install(program, errno)
}

/// From now on a call fails with `errno` if its argument of this number, from 0, has this value in
/// its lower half.
#[allow(dead_code, reason = "not in every test that includes this file")]
pub fn refuse_if(call: libc::c_long, argument: u32, value: i32, errno: i32) -> io::Result<()> {
    let lower = 16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 };
    let program = vec![
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 2, call as u32),
        step(LOAD, 0, 0, lower),
        step(EQUAL, 1, 0, value as u32),
    ];
    install(program, errno)
}

/// Adds the two ends: go on, and refuse.
fn install(mut program: Vec<libc::sock_filter>, errno: i32) -> io::Result<()> {
    program.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid for the calls, which only take permissions away.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
