//! Searches every page that a process has for parts of a mark: through `/proc/PID/mem`, which
//! reads what the process itself may not; and in this process, where that is refused, as the
//! process's own instructions would.

use crate::maps::{self, Mapping, page};
use crate::mark::{Mark, PART};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

/// Bytes looked at in one go.
const CHUNK: usize = 64 << 10;

/// Parts of a mark next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub at: usize,
    pub len: usize,
}

/// What a search saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub runs: Vec<Run>,
    /// Bytes that were there and could not be read.
    pub refused: usize,
    /// Bytes read.
    pub read: usize,
}

impl Seen {
    pub fn is_clear(&self) -> bool {
        // A search of less than a stack, a heap and the C library was none.
        assert!(self.read > 64 << 10, "{self:x?}");
        self.runs.is_empty()
    }

    /// Whether the mark is at this place, `len` bytes of it, and nowhere else.
    pub fn is_only(&self, at: usize, len: usize) -> bool {
        self.runs == [Run { at, len }]
    }

    fn add(&mut self, at: usize) {
        match self.runs.last_mut() {
            Some(run) if run.at + run.len == at => run.len += PART,
            _ => self.runs.push(Run { at, len: PART }),
        }
    }
}

/// All memory of this process.
pub fn own(mark: &Mark) -> Seen {
    search("self", mark, |_| true)
}

/// The memory of another process that others can read.
pub fn of(pid: u32, mark: &Mark) -> Seen {
    search(&pid.to_string(), mark, |_| true)
}

/// The mappings of a process that `wanted` picks.
pub fn search(process: &str, mark: &Mark, wanted: impl Fn(&Mapping) -> bool) -> Seen {
    let open = |file: &str| File::open(format!("/proc/{process}/{file}")).expect("its memory");
    let (memory, pages) = (open("mem"), open("pagemap"));
    // Of its own, so that a search does not find what it has read.
    let buffer = Buffer::new();
    let mut seen = Seen::default();
    for mapping in maps::of(process) {
        let empty = mapping.resident == 0 && mapping.swapped == 0;
        if empty || mapping.start == buffer.at || mapping.name == "[vvar]" || !wanted(&mapping) {
            continue;
        }
        // Runs of pages that are there, and of each the chunks, with room for what lies across.
        for (start, end) in present(&pages, &mapping) {
            let mut from = start;
            while from < end {
                let len = (CHUNK + PART - 1).min(end - from);
                let got = read(&memory, &buffer, &mapping, from, len, process == "self");
                // Short of `len` there is a page that cannot be read: on behind it.
                let step = if got == len { len.min(CHUNK) } else { got.max(1) };
                let step = step.next_multiple_of(page());
                if got == 0 {
                    seen.refused += step;
                }
                seen.read += got.min(step);
                let hits = mark.parts_in(buffer.bytes(got)).into_iter();
                hits.filter(|&hit| hit < step).for_each(|hit| seen.add(from + hit));
                from += step;
            }
        }
    }
    seen
}

/// Reads into the buffer; how much.
fn read(
    memory: &File,
    buffer: &Buffer,
    mapping: &Mapping,
    from: usize,
    len: usize,
    own: bool,
) -> usize {
    // SAFETY: the buffer is larger than any `len`, and nobody refers to it.
    let got = unsafe { libc::pread(memory.as_raw_fd(), buffer.pointer(), len, from as i64) };
    if got > 0 || !own || !mapping.is_readable() {
        return got.max(0) as usize;
    }
    through_pipe(buffer, from, len)
}

/// Copies as an instruction of this process would, and reports a fault instead of taking it.
fn through_pipe(buffer: &Buffer, from: usize, len: usize) -> usize {
    let mut ends = [0; 2];
    // SAFETY: two places for two descriptors; they are this function's own.
    let (out, into) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    };
    let mut done = 0;
    while done < len {
        let step = (len - done).min(page());
        // SAFETY: the kernel reads what is mapped at `from` or refuses to; the buffer is larger
        // than `len`.
        let moved = unsafe {
            let from = std::ptr::with_exposed_provenance(from + done);
            let got = libc::write(into.as_raw_fd(), from, step);
            if got > 0 {
                let to = buffer.pointer().byte_add(done);
                assert_eq!(libc::read(out.as_raw_fd(), to, got as usize), got);
            }
            got
        };
        if moved <= 0 {
            break;
        }
        done += moved as usize;
    }
    done
}

/// The parts of a mapping that have pages.
fn present(pages: &File, mapping: &Mapping) -> Vec<(usize, usize)> {
    let page = page();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    // Not on the heap: a search shall not use up the freed memory that it is about to look at.
    let mut words = [0; 4096];
    let mut at = mapping.start;
    while at < mapping.end {
        let left = (mapping.end - at) / page * 8;
        let words = &mut words[..left.min(4096)];
        pages.read_exact_at(words, (at / page * 8) as u64).expect("a word for each page");
        for word in words.chunks_exact(8) {
            // Bit 63: in memory; bit 62: in swap.
            let there = u64::from_ne_bytes(word.try_into().expect("eight bytes")) >> 62 != 0;
            match parts.last_mut() {
                _ if !there => {}
                Some(part) if part.1 == at => part.1 = at + page,
                _ => parts.push((at, at + page)),
            }
            at += page;
        }
    }
    parts
}

/// Parts of a mark in a file.
pub fn in_file(file: &File, mark: &Mark) -> Seen {
    let mut seen = Seen::default();
    let (mut at, mut bytes) = (0, vec![0; CHUNK + PART - 1]);
    loop {
        let got = file.read_at(&mut bytes, at as u64).expect("a file that can be read");
        if got == 0 {
            return seen;
        }
        seen.read += got.min(CHUNK);
        let hits = mark.parts_in(&bytes[..got]);
        hits.into_iter().filter(|&hit| hit < CHUNK).for_each(|hit| seen.add(at + hit));
        at += CHUNK.min(got);
    }
}

/// A mapping of its own.
struct Buffer {
    at: usize,
    len: usize,
}

impl Buffer {
    fn new() -> Buffer {
        // Shared, so that the kernel does not join it with a neighbour.
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let (len, both) = (2 * CHUNK, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, both, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Buffer { at: at.expose_provenance(), len }
    }

    fn pointer(&self) -> *mut libc::c_void {
        std::ptr::with_exposed_provenance_mut(self.at)
    }

    fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.len);
        // SAFETY: mapped as long as this exists, and not written while the slice is used.
        unsafe { std::slice::from_raw_parts(self.pointer().cast(), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: this one's own mapping, which nobody refers to any more.
        unsafe { libc::munmap(self.pointer(), self.len) };
    }
}

#[test]
fn a_search_reads_what_the_process_may_not() {
    crate::child::run("search::a_search_reads_what_the_process_may_not", || {
        use crate::mark::CONTROL;
        assert!(own(&CONTROL).is_clear());
        let held = CONTROL.vec(3 * CHUNK);
        let at = held.as_ptr().addr();
        assert!(own(&CONTROL).is_only(at, 3 * CHUNK));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let len = page();
        // SAFETY: a new mapping, written while it can be and then closed.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), len, both, flags, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            CONTROL.write(at.expose_provenance(), len);
            assert_eq!(libc::mprotect(at, len, libc::PROT_NONE), 0);
            assert_eq!(own(&CONTROL).runs.len(), 2);
            libc::munmap(at, len);
        }
        drop(held);
    });
}
