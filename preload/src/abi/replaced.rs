//! The forms of `operator new` and `operator delete` that a program may replace by its own, of
//! which the other forms then are made, as C++ says ([new.delete]): who replaces `delete(void*)`
//! alone gets what is deleted with a size, too.
//!
//! For each of these forms there is a word that the loader fills in with what it finds under the
//! name, and a name of this library's that nobody replaces. Both are the same in nearly every program,
//! and then nothing more is asked. Where they differ, the program may still have no function of its
//! own: an executable with fixed addresses that takes the address of one has an entry for it under
//! which all find it, a jump to this library's. Only for calls does the loader look further, so what
//! the library itself would call decides: its procedure linkage slots, which `-z now` has it fill in
//! with the words. They are found by the library's dynamic section, without a lock or a call, in
//! resolvers and before constructors too. `operators.list`, which the linker is given, has the same
//! forms.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A word for each form: the one that the loader finds under its name. Under a fuzzer nothing is
/// exported, and what has these names is not ours.
macro_rules! forms {
    ($($symbol:literal as $word:literal, $own:literal;)*) => {
        #[cfg(not(fuzzing))]
        words!($($word, $symbol, $own;)*);
        #[cfg(fuzzing)]
        words!($($word, $own, $own;)*);

        const FORMS: usize = [$($symbol),*].len();
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! call {
    ($symbol:literal) => {
        concat!("jmp ", $symbol, "@PLT")
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! call {
    ($symbol:literal) => {
        concat!("b ", $symbol)
    };
}

/// Words and what they hold. The calls by their names are never made: for them the linker makes the
/// slots. The last is [`is_replaced`] for assembly.
macro_rules! words {
    ($($word:literal, $holds:literal, $own:literal;)*) => {
        global_asm!(
            ".pushsection .text.casemate_calls,\"ax\",@progbits",
            "casemate_calls:",
            $(call!($holds),)*
            ".globl casemate_is_replaced",
            ".hidden casemate_is_replaced",
            "casemate_is_replaced:",
            call!("{is_replaced}"),
            ".popsection",
            ".pushsection .data.rel.ro.casemate_replaced,\"aw\",@progbits",
            ".balign 8",
            ".globl casemate_forms",
            ".hidden casemate_forms",
            "casemate_forms:",
            $(
                concat!(".globl ", $word),
                concat!(".hidden ", $word),
                concat!($word, ": .8byte ", $holds),
                concat!(".8byte ", $own),
            )*
            ".globl casemate_image",
            ".hidden casemate_image",
            ".hidden __ehdr_start",
            ".hidden _DYNAMIC",
            "casemate_image: .8byte __ehdr_start, _DYNAMIC, casemate_calls",
            ".popsection",
            is_replaced = sym is_replaced,
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

/// A form in the table of words: what the loader found, and this library's own.
#[repr(C)]
struct Form {
    found: usize,
    own: usize,
}

/// Where this library is: its first byte and its dynamic section. The third word keeps the calls in
/// the link.
#[repr(C)]
struct Image {
    start: *const u8,
    dynamic: *const Dynamic,
    _calls: *const u8,
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    tag: usize,
    value: usize,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: usize,
    kind: u32,
    symbol: u32,
    _addend: usize,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    _name: u32,
    _kind: [u16; 2],
    value: usize,
    _size: usize,
}

#[cfg(target_arch = "x86_64")]
const JUMP_SLOT: u32 = 7;
#[cfg(target_arch = "aarch64")]
const JUMP_SLOT: u32 = 1026;

unsafe extern "C" {
    static casemate_forms: [Form; FORMS];
    static casemate_image: Image;
    static casemate_word_delete: Delete;
    static casemate_word_delete_array: Delete;
    static casemate_word_delete_aligned: DeleteAligned;
    static casemate_word_delete_array_aligned: DeleteAligned;
    safe fn casemate_own_delete(object: *mut u8);
    safe fn casemate_own_delete_array(object: *mut u8);
    safe fn casemate_own_delete_aligned(object: *mut u8, align: usize);
    safe fn casemate_own_delete_array_aligned(object: *mut u8, align: usize);
}

/// Set in [`REPLACED`] when it is known.
const KNOWN: u32 = 1 << 31;

/// A bit for each form that the program has of its own. All that a change by somebody else could do
/// is to have a function called that the loader found, or this library's.
static REPLACED: AtomicU32 = AtomicU32::new(0);

/// Whether a form of which the loader found another than this library's is the program's own.
#[cold]
extern "C" fn is_replaced(form: *const Form) -> bool {
    let mut replaced = REPLACED.load(Relaxed);
    if replaced == 0 {
        // SAFETY: the loader has filled in the words before anything here can be called.
        replaced = KNOWN | unsafe { look() };
        REPLACED.store(replaced, Relaxed);
    }
    let offset = form.addr().wrapping_sub((&raw const casemate_forms).addr());
    replaced >> (offset / size_of::<Form>() % FORMS) & 1 != 0
}

/// Looks at the slots of all forms. One without a slot of its own, or one that the loader has not
/// filled in although it should have (a profiled or audited program's, with some versions of glibc),
/// counts as replaced: then what the loader found is called.
///
/// # Safety
/// The loader has relocated this library.
unsafe fn look() -> u32 {
    const PLTRELSZ: usize = 2;
    const SYMTAB: usize = 6;
    const JMPREL: usize = 23;
    // SAFETY: `casemate_image` and the forms are words that the loader has relocated. The dynamic
    // section ends with tag 0. The tables are in the image and aligned, at addresses that glibc has
    // relocated and musl has not; the size is theirs, symbols and slots are where their entries say,
    // and the loader writes to slots no more. All of it stays mapped, and readable.
    unsafe {
        let base = casemate_image.start;
        let (mut slots, mut bytes, mut symbols) = (base, 0, base);
        let mut entry = casemate_image.dynamic;
        while (*entry).tag != 0 {
            let Dynamic { tag, value } = *entry;
            let offset = if value >= base.addr() { value - base.addr() } else { value };
            match tag {
                PLTRELSZ => bytes = value,
                SYMTAB => symbols = base.wrapping_add(offset),
                JMPREL => slots = base.wrapping_add(offset),
                _ => {}
            }
            entry = entry.add(1);
        }
        let mut replaced = (1 << FORMS) - 1;
        let (first, symbols) = (slots.cast::<Relocation>(), symbols.cast::<Symbol>());
        let mut slot = first;
        while slot < first.wrapping_byte_add(bytes) {
            let Relocation { offset, kind, symbol, .. } = *slot;
            slot = slot.add(1);
            if kind != JUMP_SLOT {
                continue;
            }
            let defined = base.wrapping_add((*symbols.add(symbol as usize)).value).addr();
            let holds = *base.add(offset).cast::<usize>();
            for (bit, form) in casemate_forms.iter().enumerate() {
                if form.own == defined && form.own == holds {
                    replaced &= !(1 << bit);
                }
            }
        }
        replaced
    }
}

/// What a word holds, if that is the program's.
macro_rules! program {
    ($word:ident, $own:ident) => {{
        // SAFETY: a word that the loader has filled in and made read-only.
        let word = unsafe { $word };
        let other = word as usize != $own as *const () as usize;
        (other && is_replaced((&raw const $word).cast())).then_some(word)
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
