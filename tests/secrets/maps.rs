//! The kernel's account of a process's mappings.

use std::fs;

/// One mapping, of `/proc/PID/smaps`.
#[derive(Debug, Default)]
pub struct Mapping {
    pub start: usize,
    pub end: usize,
    /// `rwxp`, `-` for what is not allowed.
    pub access: String,
    pub name: String,
    /// The two-letter flags of its last line.
    pub flags: Vec<String>,
    /// KiB.
    pub resident: usize,
    pub swapped: usize,
    pub locked: usize,
}

impl Mapping {
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }

    pub fn is_readable(&self) -> bool {
        self.access.starts_with('r')
    }

    pub fn is_hidden(&self) -> bool {
        self.name.contains("secretmem")
    }
}

/// All mappings of a process, `self` or a number.
pub fn of(process: &str) -> Vec<Mapping> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps")).expect("smaps");
    let mut all: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some(field) = first.strip_suffix(':') {
            let mapping = all.last_mut().expect("a field is a mapping's");
            let mut kib = || words.next().expect("a number").parse().expect("a number");
            match field {
                "Rss" => mapping.resident = kib(),
                "Swap" => mapping.swapped = kib(),
                "Locked" => mapping.locked = kib(),
                "VmFlags" => mapping.flags = words.map(str::to_owned).collect(),
                _ => {}
            }
        } else {
            let (start, end) = first.split_once('-').expect("a range");
            let number = |text| usize::from_str_radix(text, 16).expect("an address");
            all.push(Mapping {
                start: number(start),
                end: number(end),
                access: words.next().unwrap_or_default().to_owned(),
                name: words.skip(3).collect::<Vec<_>>().join(" "),
                ..Mapping::default()
            });
        }
    }
    all
}

/// The mapping of this process that an address lies in.
pub fn at(address: usize) -> Option<Mapping> {
    of("self").into_iter().find(|one| (one.start..one.end).contains(&address))
}

/// A field of `/proc/self/status`, in KiB.
pub fn status(field: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number of kB")
}

pub fn page() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size")
}
