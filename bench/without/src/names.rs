//! Which protections a build for prices leaves out.
//!
//! That is told at compile time, by `CASEMATE_WITHOUT`: a name in [`Set::EACH`], or several with
//! `+` between them. Shared by the program and the library that are built so.

use super::Set;

/// The bits of the protections that are left out.
pub const OFF: u32 = match option_env!("CASEMATE_WITHOUT") {
    Some(name) => bits(name),
    None => Set::NONE.bits(),
};

/// The bits of the protections called `names`.
const fn bits(names: &str) -> u32 {
    let mut rest = names.as_bytes();
    let mut bits = 0;
    loop {
        let mut end = 0;
        while end < rest.len() && rest[end] != b'+' {
            end += 1;
        }
        let (name, after) = rest.split_at(end);
        bits |= bit(name);
        match after {
            [] => return bits,
            [_, next @ ..] => rest = next,
        }
    }
}

const fn bit(name: &[u8]) -> u32 {
    let mut i = 0;
    while i < Set::EACH.len() {
        if same(Set::EACH[i].0.as_bytes(), name) {
            return Set::EACH[i].1.bits();
        }
        i += 1;
    }
    panic!("no protection has a name in CASEMATE_WITHOUT")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut i = 0;
    while i < one.len() && i < other.len() && one[i] == other[i] {
        i += 1;
    }
    i == one.len() && i == other.len()
}
