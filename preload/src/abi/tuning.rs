//! glibc's functions that tune, trim and describe the heap.
//!
//! There is nothing to tune: what glibc's parameters are about does not exist here. The size classes
//! are asked one by one: all at once they do not fit the smallest stack of a thread.

use super::HEAP;
use core::fmt::{self, Write};
use heap::inside::{each_class, overall, table};
use libc::{FILE, c_char, c_int};

/// As glibc's `struct mallinfo2`; in `mallinfo` the same with `int`.
#[repr(C)]
pub struct Info<N> {
    arena: N,
    ordblks: N,
    smblks: N,
    hblks: N,
    hblkhd: N,
    usmblks: N,
    fsmblks: N,
    uordblks: N,
    fordblks: N,
    keepcost: N,
}

/// Slots count as `arena`, large objects as `hblk`.
fn info<N: Default>(number: impl Fn(u64) -> N) -> Info<N> {
    let (mut live, mut free, mut committed) = (0, 0, 0);
    each_class(&mut |class| {
        live += class.live * class.slot as u64;
        free += class.freed.min(class.allocated);
        committed += class.committed;
    });
    let all = committed.max(live);
    let overall = overall();
    Info {
        arena: number(all),
        ordblks: number(free),
        smblks: N::default(),
        hblks: number(overall.large_live),
        hblkhd: number(overall.large_bytes),
        usmblks: N::default(),
        fsmblks: N::default(),
        uordblks: number(live),
        fordblks: number(all - live),
        keepcost: N::default(),
    }
}

#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn mallinfo2() -> Info<usize> {
    info(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// What does not fit is `INT_MAX`.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn mallinfo() -> Info<c_int> {
    info(|number| c_int::try_from(number).unwrap_or(c_int::MAX))
}

/// 1, and without effect, for a parameter that glibc has; 0 for any other.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn mallopt(parameter: c_int, _value: c_int) -> c_int {
    // M_MXFAST 1, M_NLBLKS 2, M_GRAIN 3, M_KEEP 4, M_TRIM_THRESHOLD -1 ... M_ARENA_MAX -8.
    c_int::from((1..=4).contains(&parameter) || (-8..=-1).contains(&parameter))
}

/// Gives free memory back to the system; 1 if there was any. Nothing is kept in reserve.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn malloc_trim(_pad: usize) -> c_int {
    c_int::from(HEAP.trim())
}

/// A page of text that goes to a stream or to standard error when it is full.
struct Text<F: FnMut(&[u8])> {
    bytes: [u8; 1024],
    used: usize,
    put: F,
}

impl<F: FnMut(&[u8])> Text<F> {
    fn flush(&mut self) {
        (self.put)(self.bytes.get(..self.used).unwrap_or_default());
        self.used = 0;
    }
}

impl<F: FnMut(&[u8])> Write for Text<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
            }
            self.used += 1;
        }
        Ok(())
    }
}

fn print(put: impl FnMut(&[u8]), write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    let mut text = Text { bytes: [0; 1024], used: 0, put };
    // Writing to memory does not fail.
    let _ = write(&mut text);
    text.flush();
}

/// Statistics of the heap on standard error.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn malloc_stats() {
    let (overall, protections) = (overall(), heap::protections());
    let to_stderr = |bytes: &[u8]| {
        // SAFETY: the kernel reads bytes that are borrowed for the call.
        unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    };
    print(to_stderr, |text| {
        table(text, each_class, &overall)?;
        write!(text, "\n{protections}\n")
    });
}

unsafe extern "C" {
    fn fwrite(from: *const c_char, size: usize, count: usize, stream: *mut FILE) -> usize;
}

/// The same as XML on a stream. `options` must be 0.
///
/// # Safety
/// C's: `stream` is open for writing.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut FILE) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    let to_stream = |bytes: &[u8]| {
        // SAFETY: the stream is the caller's; the bytes are borrowed for the call.
        unsafe { fwrite(bytes.as_ptr().cast(), 1, bytes.len(), stream) };
    };
    print(to_stream, describe);
    0
}

/// In the form of glibc's, version 1: one arena; a `size` for each class in use.
fn describe(text: &mut dyn Write) -> fmt::Result {
    writeln!(text, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>")?;
    let (mut committed, mut written) = (0, Ok(()));
    each_class(&mut |class| {
        committed += class.committed;
        if class.allocated != 0 && written.is_ok() {
            written = writeln!(
                text,
                "  <size from=\"{0}\" to=\"{0}\" total=\"{1}\" count=\"{2}\"/>",
                class.slot,
                class.live * class.slot as u64,
                class.live
            );
        }
    });
    written?;
    writeln!(text, "</sizes>")?;
    let overall = overall();
    writeln!(
        text,
        "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>",
        overall.large_live, overall.large_bytes
    )?;
    let system = committed + overall.large_bytes + overall.metadata;
    writeln!(text, "<system type=\"current\" size=\"{system}\"/>\n</heap>\n</malloc>")
}
