//! See `frames`. System V ABI: arguments in rdi, rsi, rdx; rbx, r12, r13 belong to the caller.

use crate::abi::exhaustion::{dispose, handler, personality, thrower};
use core::arch::naked_asm;

/// The body of `operator new(size)`: `allocate(size)`; if that is null, all else is `end`'s.
macro_rules! operator {
    ($before:expr, $allocate:path, $again:path, $end:path $(, $forward:path)?) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $before,
            "push rdi",
            ".cfi_def_cfa_offset 16",
            "call {allocate}",
            "pop rdi",
            ".cfi_def_cfa_offset 8",
            "test rax, rax",
            "je 2f",
            "ret",
            "2:",
            "mov esi, 16",
            "lea rdx, [rip + {again}]",
            "jmp {end}",
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
            "push rdi",
            ".cfi_def_cfa_offset 16",
            "push rsi",
            ".cfi_def_cfa_offset 24",
            "push rsi",
            ".cfi_def_cfa_offset 32",
            "call {again}",
            "pop rsi",
            ".cfi_def_cfa_offset 24",
            "pop rsi",
            ".cfi_def_cfa_offset 16",
            "pop rdi",
            ".cfi_def_cfa_offset 8",
            "test rax, rax",
            "je 2f",
            "ret",
            "2:",
            "lea rdx, [rip + {again}]",
            "jmp {end}",
            ".cfi_endproc",
            again = sym $again,
            end = sym $end,
            $(forward = sym $forward,)?
        )
    };
}

/// The program's own form of the function that this is made of, if it has one, takes its place.
/// `go` goes to rax. `is_replaced` is asked where the loader found another than this library's.
macro_rules! or_program {
    ($word:literal, $own:literal) => {
        $crate::abi::frames::or_program!($word, $own, "jmp rax")
    };
    ($word:literal, $own:literal, $go:literal) => {
        concat!(
            "mov rax, qword ptr [rip + ",
            $word,
            "]
            lea rcx, [rip + ",
            $own,
            "]
            cmp rax, rcx
            je 5f
            push rdi
            .cfi_adjust_cfa_offset 8
            push rsi
            .cfi_adjust_cfa_offset 8
            push rax
            .cfi_adjust_cfa_offset 8
            lea rdi, [rip + ",
            $word,
            "]
            call casemate_is_replaced
            mov ecx, eax
            pop rax
            .cfi_adjust_cfa_offset -8
            pop rsi
            .cfi_adjust_cfa_offset -8
            pop rdi
            .cfi_adjust_cfa_offset -8
            test cl, cl
            je 5f
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
            "mov rdx, rax
            jmp {forward}"
        )
    };
}

/// A function that is another's under a name that the program may take.
macro_rules! alias {
    ($own:expr, $other:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            $own,
            "jmp {other}",
            ".cfi_endproc",
            other = sym $other,
        )
    };
}

pub(in crate::abi) use {alias, operator, operator_aligned, or_program, or_program_null};

/// The loop; where it ends without memory it goes on at 3.
macro_rules! turns {
    () => {
        "push rbx
        .cfi_def_cfa_offset 16
        .cfi_offset rbx, -16
        push r12
        .cfi_def_cfa_offset 24
        .cfi_offset r12, -24
        push r13
        .cfi_def_cfa_offset 32
        .cfi_offset r13, -32
        mov rbx, rdi
        mov r12, rsi
        mov r13, rdx
        2:
        call {handler}
        test rax, rax
        je 3f
        call rax
        mov rdi, rbx
        mov rsi, r12
        call r13
        test rax, rax
        je 2b"
    };
}

macro_rules! leave {
    () => {
        ".cfi_remember_state
        pop r13
        .cfi_def_cfa_offset 24
        .cfi_restore r13
        pop r12
        .cfi_def_cfa_offset 16
        .cfi_restore r12
        pop rbx
        .cfi_def_cfa_offset 8
        .cfi_restore rbx"
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
        "call {thrower}",
        leave!(),
        "jmp rax",
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
        "xor eax, eax",
        "jmp 4b",
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
        "push rbx
        .cfi_def_cfa_offset 16
        .cfi_offset rbx, -16
        push r12
        .cfi_def_cfa_offset 24
        .cfi_offset r12, -24
        push r13
        .cfi_def_cfa_offset 32
        .cfi_offset r13, -32
        call rdx",
        leave!(),
        "ret",
        ".cfi_restore_state",
        ".cfi_endproc",
        personality = sym personality,
    )
}

/// Where `or_null` and `forward` go on when an exception was caught: in its frame, with the
/// exception in rax.
#[unsafe(naked)]
pub(in crate::abi) extern "C" fn landing() {
    naked_asm!(
        "mov rdi, rax",
        "call {dispose}",
        "xor eax, eax",
        "pop r13",
        "pop r12",
        "pop rbx",
        "ret",
        dispose = sym dispose,
    )
}
