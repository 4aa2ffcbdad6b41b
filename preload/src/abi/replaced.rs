//! The forms of `operator new` and `operator delete` that a program may replace by its own, of which
//! the other forms then are made, as C++ says ([new.delete]): who replaces `delete(void*)` alone gets
//! what is deleted with a size, too.
//!
//! For each of these forms there is a word that the loader fills in, with the program's function if it
//! has one, else this library's; and a name of this library's that nobody replaces. Both are the same
//! in nearly every program. `operators.list`, which the linker is given, has the same forms.

use core::arch::global_asm;

/// A word for each form, and its two names.
macro_rules! forms {
    ($($symbol:literal as $word:literal, $own:literal;)*) => {
        #[cfg(not(fuzzing))]
        global_asm!(
            ".pushsection .data.rel.ro.casemate_replaced,\"aw\",@progbits",
            ".balign 8",
            $(
                concat!(".globl ", $word),
                concat!(".hidden ", $word),
                concat!($word, ": .8byte ", $symbol),
            )*
            ".popsection",
        );
        // There nothing is exported, and what has these names is not ours.
        #[cfg(fuzzing)]
        global_asm!(
            ".pushsection .data.rel.ro.casemate_replaced,\"aw\",@progbits",
            ".balign 8",
            $(
                concat!(".globl ", $word),
                concat!(".hidden ", $word),
                concat!($word, ": .8byte ", $own),
            )*
            ".popsection",
        );
    };
}

forms! {
    "_Znwm" as "casemate_word_new", "casemate_own_new";
    "_Znam" as "casemate_word_new_array", "casemate_own_new_array";
    "_ZnwmSt11align_val_t" as "casemate_word_new_aligned", "casemate_own_new_aligned";
    "_ZnamSt11align_val_t" as "casemate_word_new_array_aligned", "casemate_own_new_array_aligned";
    "_ZdlPv" as "casemate_word_delete", "casemate_own_delete";
    "_ZdaPv" as "casemate_word_delete_array", "casemate_own_delete_array";
    "_ZdlPvSt11align_val_t" as "casemate_word_delete_aligned", "casemate_own_delete_aligned";
    "_ZdaPvSt11align_val_t" as "casemate_word_delete_array_aligned",
        "casemate_own_delete_array_aligned";
}

/// `operator delete(void*)` or `operator delete[](void*)`.
type Delete = unsafe extern "C" fn(*mut u8);
/// The same with an alignment.
type DeleteAligned = unsafe extern "C" fn(*mut u8, usize);

unsafe extern "C" {
    static casemate_word_delete: Delete;
    static casemate_word_delete_array: Delete;
    static casemate_word_delete_aligned: DeleteAligned;
    static casemate_word_delete_array_aligned: DeleteAligned;
    safe fn casemate_own_delete(object: *mut u8);
    safe fn casemate_own_delete_array(object: *mut u8);
    safe fn casemate_own_delete_aligned(object: *mut u8, align: usize);
    safe fn casemate_own_delete_array_aligned(object: *mut u8, align: usize);
}

/// The program's function for one object.
#[inline(always)]
pub(super) fn delete() -> Option<Delete> {
    // SAFETY: a word that the loader has filled in and made read-only.
    let word = unsafe { casemate_word_delete };
    (word as usize != casemate_own_delete as *const () as usize).then_some(word)
}

/// The program's function for an array, or else the one for one object.
#[inline(always)]
pub(super) fn delete_array() -> Option<Delete> {
    // SAFETY: as in `delete`.
    let word = unsafe { casemate_word_delete_array };
    if word as usize != casemate_own_delete_array as *const () as usize {
        Some(word)
    } else {
        delete()
    }
}

/// The same with an alignment.
#[inline(always)]
pub(super) fn delete_aligned() -> Option<DeleteAligned> {
    // SAFETY: as in `delete`.
    let word = unsafe { casemate_word_delete_aligned };
    (word as usize != casemate_own_delete_aligned as *const () as usize).then_some(word)
}

/// The same with an alignment.
#[inline(always)]
pub(super) fn delete_array_aligned() -> Option<DeleteAligned> {
    // SAFETY: as in `delete`.
    let word = unsafe { casemate_word_delete_array_aligned };
    let own = casemate_own_delete_array_aligned as *const () as usize;
    if word as usize != own { Some(word) } else { delete_aligned() }
}
