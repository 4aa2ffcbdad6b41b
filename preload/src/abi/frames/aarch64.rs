//! See `frames`. AAPCS64: arguments in x0, x1, x2; x19 to x21 belong to the caller.

use crate::abi::exhaustion::{dispose, handler, personality, thrower};
use core::arch::naked_asm;

/// The body of `operator new(size)`: `allocate(size)`; if that is null, all else is `end`'s.
macro_rules! operator {
    ($before:expr, $allocate:path, $again:path, $end:path $(, $forward:path)?) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $before,
            "stp x30, x0, [sp, #-16]!",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset x30, -16",
            "bl {allocate}",
            "ldp x30, x3, [sp], #16",
            ".cfi_def_cfa_offset 0",
            ".cfi_restore x30",
            "cbz x0, 2f",
            "ret",
            "2:",
            "mov x0, x3",
            "mov x1, #16",
            "adrp x2, {again}",
            "add x2, x2, :lo12:{again}",
            "b {end}",
            ".cfi_endproc",
            allocate = sym $allocate,
            again = sym $again,
            end = sym $end,
            $(forward = sym $forward,)?
        )
    };
}

/// The body of `operator new(size, align)`: the same with `again` as `allocate`.
macro_rules! operator_aligned {
    ($before:expr, $again:path, $end:path $(, $forward:path)?) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $before,
            "stp x30, x0, [sp, #-32]!",
            ".cfi_def_cfa_offset 32",
            ".cfi_offset x30, -32",
            "str x1, [sp, #16]",
            "bl {again}",
            "ldr x1, [sp, #16]",
            "ldp x30, x3, [sp], #32",
            ".cfi_def_cfa_offset 0",
            ".cfi_restore x30",
            "cbz x0, 2f",
            "ret",
            "2:",
            "mov x0, x3",
            "adrp x2, {again}",
            "add x2, x2, :lo12:{again}",
            "b {end}",
            ".cfi_endproc",
            again = sym $again,
            end = sym $end,
            $(forward = sym $forward,)?
        )
    };
}

/// The program's own form of the function that this is made of, if it has one, takes its place.
/// `go` goes to x3. `is_replaced` is asked where the loader found another than this library's.
macro_rules! or_program {
    ($word:literal, $own:literal) => {
        $crate::abi::frames::or_program!($word, $own, "br x3")
    };
    ($word:literal, $own:literal, $go:literal) => {
        concat!(
            "adrp x3, ",
            $word,
            "
            ldr x3, [x3, :lo12:",
            $word,
            "]
            adrp x4, ",
            $own,
            "
            add x4, x4, :lo12:",
            $own,
            "
            cmp x3, x4
            b.eq 5f
            stp x30, x0, [sp, #-32]!
            .cfi_adjust_cfa_offset 32
            .cfi_offset x30, -32
            stp x1, x3, [sp, #16]
            adrp x0, ",
            $word,
            "
            add x0, x0, :lo12:",
            $word,
            "
            bl casemate_is_replaced
            mov w4, w0
            ldp x1, x3, [sp, #16]
            ldp x30, x0, [sp], #32
            .cfi_adjust_cfa_offset -32
            .cfi_restore x30
            tst w4, #0xff
            b.eq 5f
            ",
            $go,
            "
            5:"
        )
    };
}

/// The same, for a form that gives null where the other throws.
macro_rules! or_program_null {
    ($word:literal, $own:literal) => {
        $crate::abi::frames::or_program!(
            $word,
            $own,
            "mov x2, x3
            b {forward}"
        )
    };
}

/// A function that is another's under a name that the program may take.
macro_rules! alias {
    ($own:expr, $other:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $own,
            "b {other}",
            ".cfi_endproc",
            other = sym $other,
        )
    };
}

pub(in crate::abi) use {alias, operator, operator_aligned, or_program, or_program_null};

/// The loop; where it ends without memory it goes on at 3.
macro_rules! turns {
    () => {
        "stp x30, x19, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x30, -32
        .cfi_offset x19, -24
        stp x20, x21, [sp, #16]
        .cfi_offset x20, -16
        .cfi_offset x21, -8
        mov x19, x0
        mov x20, x1
        mov x21, x2
        2:
        bl {handler}
        cbz x0, 3f
        blr x0
        mov x0, x19
        mov x1, x20
        blr x21
        cbz x0, 2b"
    };
}

macro_rules! leave {
    () => {
        ".cfi_remember_state
        ldp x20, x21, [sp, #16]
        ldp x30, x19, [sp], #32
        .cfi_def_cfa_offset 0
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x30
        .cfi_restore x19"
    };
}

#[unsafe(naked)]
pub(in crate::abi) extern "C" fn or_throw() {
    naked_asm!(
        ".cfi_startproc",
        turns!(),
        leave!(),
        "ret",
        ".cfi_restore_state",
        "3:",
        "bl {thrower}",
        leave!(),
        "br x0",
        ".cfi_endproc",
        handler = sym handler,
        thrower = sym thrower,
    )
}

#[unsafe(naked)]
pub(in crate::abi) extern "C" fn or_null() {
    naked_asm!(
        ".cfi_startproc",
        // A 4-byte distance from here.
        ".cfi_personality 0x1b, {personality}",
        turns!(),
        "4:",
        leave!(),
        "ret",
        ".cfi_restore_state",
        "3:",
        "mov x0, #0",
        "b 4b",
        ".cfi_endproc",
        handler = sym handler,
        personality = sym personality,
    )
}

/// Calls `target(size, align)`, the program's: null if it throws.
#[unsafe(naked)]
pub(in crate::abi) extern "C" fn forward() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_personality 0x1b, {personality}",
        "stp x30, x19, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x30, -32
        .cfi_offset x19, -24
        stp x20, x21, [sp, #16]
        .cfi_offset x20, -16
        .cfi_offset x21, -8
        blr x2",
        leave!(),
        "ret",
        ".cfi_restore_state",
        ".cfi_endproc",
        personality = sym personality,
    )
}

/// Where `or_null` and `forward` go on when an exception was caught: in its frame, with the
/// exception in x0.
#[unsafe(naked)]
pub(in crate::abi) extern "C" fn landing() {
    naked_asm!(
        "bl {dispose}",
        "mov x0, #0",
        "ldp x20, x21, [sp, #16]",
        "ldp x30, x19, [sp], #32",
        "ret",
        dispose = sym dispose,
    )
}
