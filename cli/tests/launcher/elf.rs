//! Programs of other kinds, made from the subject by changing what its headers say.

use crate::setup::subject;
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP, PT_NULL};
use object::read::elf::{FileHeader, ProgramHeader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where things are in the file.
struct Places {
    machine: usize,
    interpreter_header: usize,
    interpreter: std::ops::Range<usize>,
}

fn places(data: &[u8]) -> Places {
    let header = FileHeader64::<Endianness>::parse(data).expect("an ELF program");
    let endian = header.endian().expect("its byte order");
    let segments = header.program_headers(endian, data).expect("segments");
    let number = segments.iter().position(|one| one.p_type(endian) == PT_INTERP).expect("dynamic");
    let (at, len) = segments[number].file_range(endian);
    Places {
        machine: 18,
        interpreter_header: header.e_phoff(endian) as usize
            + number * usize::from(header.e_phentsize(endian)),
        interpreter: at as usize..(at + len) as usize,
    }
}

fn changed(to: &Path, change: impl FnOnce(&mut Vec<u8>, Places)) {
    let mut data = std::fs::read(subject()).expect("the subject");
    let places = places(&data);
    change(&mut data, places);
    std::fs::write(to, data).expect("a copy");
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o755)).expect("executable");
}

/// Asks for no dynamic loader.
pub fn make_static(to: &Path) {
    changed(to, |data, places| {
        data[places.interpreter_header..][..4].copy_from_slice(&PT_NULL.to_ne_bytes());
    });
}

/// Asks for musl's.
pub fn make_musl(to: &Path) {
    changed(to, |data, places| {
        let path = &mut data[places.interpreter];
        let name = b"/lib/ld-musl-any.so.1\0";
        path[..name.len()].copy_from_slice(name);
    });
}

/// For a processor that this one is not.
pub fn make_foreign(to: &Path) {
    changed(to, |data, places| {
        let machine = if cfg!(target_arch = "x86_64") { 183u16 } else { 62 };
        data[places.machine..][..2].copy_from_slice(&machine.to_ne_bytes());
    });
}

/// Cut off in its headers.
pub fn make_damaged(to: &Path) {
    changed(to, |data, _| data.truncate(40));
}
