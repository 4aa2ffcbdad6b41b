//! Layer: os. What this kernel and this processor offer, found by trying. Uses `map`, `guard`.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "CPUID and XGETBV"))]

use super::{guard, limits, map};
use crate::os::{Features, MapError};

/// Tries each feature on one scratch page, which is removed again.
pub(super) fn features() -> Features {
    let page = limits::page_size();
    let mut found = Features { seal: seals(), ..cpu::features() };
    if let Ok(at) = map::scratch(page) {
        found.guards = guards(at, page);
        found.wipe_on_fork = map::advise(at, page, libc::MADV_WIPEONFORK).is_ok();
        // The page is not sealed and was mapped here: removing it can only fail for want of
        // memory, and then one empty page stays.
        let _ = map::unmap(at, page);
    }
    found
}

/// Whether guards take effect. An emulator may accept advice that it ignores, so the kernel is
/// asked to write to the page: over a guard that is EFAULT.
fn guards(at: usize, page: usize) -> bool {
    guard::install(at, page).is_ok()
        && map::advise(at, page, libc::MADV_POPULATE_WRITE) == Err(libc::EFAULT)
        && guard::remove(at, page).is_ok()
}

/// Whether `mseal` exists. Sealing nothing is enough to tell, and a sealed page could never be
/// removed.
fn seals() -> bool {
    map::seal(0, 0).is_ok()
}

/// Address bits to try first: what the kernel gives out without being asked for more.
const MOST_BITS: u32 = if cfg!(target_arch = "aarch64") { 48 } else { 47 };
/// Address bits that are taken for granted.
const LEAST_BITS: u32 = 36;

/// Usable address bits: the most for which a page can be had in the upper half.
pub(super) fn address_bits() -> u32 {
    if cfg!(casemate_low) {
        // For `ci/threads-checked`: ThreadSanitizer leaves a program the lowest 512 GiB, little
        // else.
        return 39;
    }
    let page = limits::page_size();
    let mut bits = MOST_BITS;
    while bits > LEAST_BITS {
        // Three quarters up: the stack and libraries live at the very top.
        let at = 3usize << (bits - 2);
        match map::reserve(at, page) {
            Ok(()) => {
                let _ = map::unmap(at, page);
                return bits;
            }
            // Somebody's memory is there, so an address can be.
            Err(MapError::Occupied) if !before_noreplace(page) => return bits,
            Err(_) => bits -= 1,
        }
    }
    LEAST_BITS
}

/// Whether the kernel takes MAP_FIXED_NOREPLACE for a hint (before Linux 4.17): then "occupied"
/// is also its answer to an address that does not exist.
fn before_noreplace(page: usize) -> bool {
    // No address space is this large.
    let at = 1usize << (usize::BITS - 2);
    map::reserve(at, page) == Err(MapError::Occupied)
}

#[cfg(target_arch = "x86_64")]
mod cpu {
    use crate::os::Features;
    use core::arch::asm;
    use core::arch::x86_64::{__cpuid, CpuidResult};

    /// AES-NI, and AVX2 with a kernel that saves the wide registers. Few questions: in a virtual
    /// machine each one costs microseconds.
    pub(super) fn features() -> Features {
        let basic = leaf(1).ecx;
        let (aes, osxsave, avx) = (bit(basic, 25), bit(basic, 27), bit(basic, 28));
        Features {
            aes,
            // Leaf 7 exists: leaf 13 does, without which the kernel does not set OSXSAVE.
            avx2: osxsave && avx && saves_ymm() && bit(leaf(7).ebx, 5),
            emulated: is_valgrind(),
            ..Features::default()
        }
    }

    /// Valgrind's "client request" RUNNING_ON_VALGRIND (`valgrind.h`): rotations that add up to
    /// nothing and an exchange that does nothing, which it takes for a question.
    fn is_valgrind() -> bool {
        let question = [0x1001u64, 0, 0, 0, 0, 0];
        let answer: u64;
        // SAFETY: on a processor the flags change, and RDI and RBX get their own values back;
        // valgrind reads the six words, which outlive the statement, and answers in RDX.
        unsafe {
            asm!("rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
                 in("rax") question.as_ptr(), inout("rdx") 0u64 => answer, inout("rdi") 0u64 => _,
                 options(nostack, readonly));
        }
        answer != 0
    }

    #[allow(unused_unsafe, reason = "a safe function in newer Rust")]
    fn leaf(number: u32) -> CpuidResult {
        // SAFETY: every x86-64 processor has CPUID; it touches no memory.
        unsafe { __cpuid(number) }
    }

    /// Whether the kernel saves the XMM and YMM registers. Only to be called under OSXSAVE.
    fn saves_ymm() -> bool {
        let saved: u32;
        // SAFETY: the one caller has seen OSXSAVE, without which XGETBV is illegal. It reads
        // control register 0, which exists then, and writes EAX and EDX alone.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _,
                 options(nomem, nostack, preserves_flags));
        }
        bit(saved, 1) && bit(saved, 2)
    }

    fn bit(register: u32, number: u32) -> bool {
        (register >> number) & 1 == 1
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod cpu {
    use crate::os::Features;

    pub(super) fn features() -> Features {
        Features::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::os::{Linux, Os};

    #[test]
    fn features_are_stable_and_agree_with_std() {
        let found = Linux::probe();
        assert_eq!(found, Linux::probe());
        #[cfg(target_arch = "x86_64")]
        {
            assert_eq!(found.aes, std::is_x86_feature_detected!("aes"));
            assert_eq!(found.avx2, std::is_x86_feature_detected!("avx2"));
        }
    }

    #[test]
    fn address_bits_are_those_of_the_stack() {
        let bits = Linux::address_bits();
        let local = 0u8;
        let address = core::ptr::from_ref(&local).addr();
        assert!((36..=48).contains(&bits));
        assert!(address >> bits == 0);
    }
}
