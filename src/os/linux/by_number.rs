//! Layer: os. System calls by number, without the C library: what a program calls `syscall` may be
//! a function of its own.
#![expect(unsafe_code, reason = "system calls")]

use core::ffi::{c_int, c_long};

/// Makes a system call: what it gives, or -1 with `errno` set.
///
/// # Safety
/// That of the call.
#[inline(never)]
pub unsafe fn by_number(number: c_long, arguments: [usize; 6]) -> c_long {
    // SAFETY: the caller's.
    let result = unsafe { raw(number, arguments) };
    if (-4095..0).contains(&result) {
        super::set_errno(-result as c_int);
        return -1;
    }
    result
}

/// # Safety
/// That of the call.
#[cfg(target_arch = "x86_64")]
unsafe fn raw(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let result;
    // SAFETY: the caller's; the kernel's convention, which leaves all other registers alone.
    unsafe {
        core::arch::asm!(
            "syscall",
            inout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    result
}

/// # Safety
/// That of the call.
#[cfg(target_arch = "aarch64")]
unsafe fn raw(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let result;
    // SAFETY: the caller's; the kernel's convention, which leaves all other registers alone.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack)
        );
    }
    result
}

/// # Safety
/// That of the call.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn raw(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    // SAFETY: the caller's.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        // The C library's form again.
        -1 => -c_long::from(super::errno()),
        result => result,
    }
}
