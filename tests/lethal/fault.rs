//! Where a fault happens: the child says where it will be, and its handler says where it was.
#![expect(unsafe_code, reason = "a handler for SIGSEGV")]

use std::io::Write;

/// What the child writes before the access.
pub const WILL: &str = "will fault at ";
/// What its handler writes.
pub const DID: &str = "did fault at ";

/// From now on a fault says where it was on standard output before it kills. The byte at `at`
/// will be the first to fault.
pub fn expect(at: usize) {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero bytes are a valid `sigaction`, which is then given a handler of the
    // signature that SA_SIGINFO promises. RESETHAND: the access is made again afterwards and
    // kills, so the process ends by the signal.
    let status = unsafe {
        let action = action.assume_init_mut();
        action.sa_sigaction = tell as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSEGV, action, std::ptr::null_mut())
    };
    assert_eq!(status, 0, "sigaction");
    let mut out = std::io::stdout();
    let said = writeln!(out, "\n{WILL}{at:016x}").and_then(|()| out.flush());
    assert!(said.is_ok());
}

/// Writes by the system call alone: it interrupts anything.
extern "C" fn tell(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let mut line = [b'\n'; 64];
    let (words, rest) = line[1..].split_at_mut(DID.len());
    words.copy_from_slice(DID.as_bytes());
    // SAFETY: the kernel passes a valid `siginfo_t` of a SIGSEGV, which has an address.
    let at = unsafe { (*info).si_addr() }.addr();
    for (i, digit) in rest[..16].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[at >> (60 - 4 * i) & 15];
    }
    // SAFETY: the line is on this stack; its length is below the array's.
    unsafe { libc::write(libc::STDOUT_FILENO, line.as_ptr().cast(), DID.len() + 18) };
}
