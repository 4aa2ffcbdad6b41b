//! Layer: os. The heap's words in thread-local storage: constant at first, without a destructor,
//! there from a thread's first instruction to its last.
//!
//! In an executable `thread_local!` is a fixed distance from the thread pointer. In a shared object
//! it is a call of `__tls_get_addr`, a third of an allocation; with the feature `initial-exec` the
//! words are 16 bytes of static thread-local storage, of which the loader has some left for
//! libraries that come later, at a distance that it writes down once.
//!
//! Otherwise this is the only file that names `std`: its `thread_local!` is the one stable way to
//! thread-local storage that is not a call into libc.

use crate::os::Word;

/// The words of a thread. Its address is the thread's identity.
#[repr(C, align(16))]
pub(super) struct Words {
    /// The heap's word.
    pub(super) word: Word,
    /// The ranks of the heap's locks that the thread holds.
    pub(super) held: Word,
    /// How often this thread's exit destructor was called.
    pub(super) rounds: Word,
    _pad: Word,
}

const _: () = assert!(size_of::<Words>() == 16);

/// The calling thread's words.
#[inline(always)]
pub(super) fn words() -> *const Words {
    place::words()
}

#[cfg(all(feature = "initial-exec", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod place {
    #![expect(unsafe_code, reason = "defines and addresses a thread-local symbol by assembly")]

    use super::Words;
    use core::arch::{asm, global_asm};

    // Two versions of this crate in one program have words of their own.
    macro_rules! symbol {
        () => {
            concat!(
                "casemate_words_",
                env!("CARGO_PKG_VERSION_MAJOR"),
                "_",
                env!("CARGO_PKG_VERSION_MINOR"),
                "_",
                env!("CARGO_PKG_VERSION_PATCH")
            )
        };
    }

    global_asm!(
        ".pushsection .tbss.casemate_words,\"awT\",@nobits",
        ".balign 16",
        concat!(".globl ", symbol!()),
        concat!(".hidden ", symbol!()),
        concat!(".type ", symbol!(), ",@object"),
        concat!(".size ", symbol!(), ", 16"),
        concat!(symbol!(), ":"),
        ".zero 16",
        ".popsection",
    );

    #[inline(always)]
    pub(super) fn words() -> *const Words {
        let at: *const Words;
        // SAFETY: adds the distance, which the loader (or the linker, in an executable) wrote into
        // the global offset table, to the thread pointer, which both architectures' ABIs keep where
        // it is read from. Reads constant memory only, so `pure` and `nomem` hold: within a thread
        // the result is always the same.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!(
                concat!("mov {at}, qword ptr [rip + ", symbol!(), "@GOTTPOFF]"),
                "add {at}, qword ptr fs:[0]",
                at = out(reg) at,
                options(pure, nomem, nostack)
            );
            #[cfg(target_arch = "aarch64")]
            asm!(
                "mrs {thread}, tpidr_el0",
                concat!("adrp {at}, :gottprel:", symbol!()),
                concat!("ldr {at}, [{at}, :gottprel_lo12:", symbol!(), "]"),
                "add {at}, {at}, {thread}",
                at = out(reg) at,
                thread = out(reg) _,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        at
    }
}

#[cfg(not(all(feature = "initial-exec", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod place {
    extern crate std;

    use super::super::report;
    use super::Words;
    use crate::os::Word;

    std::thread_local! {
        static WORDS: Words = const {
            Words {
                word: Word::new(0),
                held: Word::new(0),
                rounds: Word::new(0),
                _pad: Word::new(0),
            }
        };
    }

    #[inline(always)]
    pub(super) fn words() -> *const Words {
        match WORDS.try_with(core::ptr::from_ref) {
            Ok(words) => words,
            // Compiled away: nothing here has a destructor.
            Err(_) => report::abort(),
        }
    }
}
