//! The forms of `operator new` and `operator delete` that a program may replace by its own, of
//! which the other forms then are made, as C++ says ([new.delete]): who replaces `delete(void*)`
//! alone gets what is deleted with a size, too.
//!
//! For each of these forms there is a word that the loader fills in, with the program's function if
//! it has one, else this library's; and a name of this library's that nobody replaces. Both are the
//! same in nearly every program. `operators.list`, which the linker is given, has the same forms.

use core::arch::global_asm;

/// A word for each form: the one that the loader finds under its name. Under a fuzzer nothing is
/// exported, and what has these names is not ours.
macro_rules! forms {
    ($($symbol:literal as $word:literal, $own:literal;)*) => {
        #[cfg(not(fuzzing))]
        words!($($word, $symbol;)*);
        #[cfg(fuzzing)]
        words!($($word, $own;)*);
    };
}

/// Words and what they hold.
macro_rules! words {
    ($($word:literal, $holds:literal;)*) => {
        global_asm!(
            ".pushsection .data.rel.ro.casemate_replaced,\"aw\",@progbits",
            ".balign 8",
            $(
                concat!(".globl ", $word),
                concat!(".hidden ", $word),
                concat!($word, ": .8byte ", $holds),
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

/// What a word holds, if that is the program's.
macro_rules! program {
    ($word:ident, $own:ident) => {{
        // SAFETY: a word that the loader has filled in and made read-only.
        let word = unsafe { $word };
        (word as usize != $own as *const () as usize).then_some(word)
    }};
}

/// The program's function for one object.
#[inline(always)]
pub(super) fn delete() -> Option<Delete> {
    program!(casemate_word_delete, casemate_own_delete)
}

/// The program's function for an array, or else the one for one object.
#[inline(always)]
pub(super) fn delete_array() -> Option<Delete> {
    program!(casemate_word_delete_array, casemate_own_delete_array).or_else(delete)
}

/// The same as [`delete`], with an alignment.
#[inline(always)]
pub(super) fn delete_aligned() -> Option<DeleteAligned> {
    program!(casemate_word_delete_aligned, casemate_own_delete_aligned)
}

/// The same as [`delete_array`], with an alignment.
#[inline(always)]
pub(super) fn delete_array_aligned() -> Option<DeleteAligned> {
    program!(casemate_word_delete_array_aligned, casemate_own_delete_array_aligned)
        .or_else(delete_aligned)
}
