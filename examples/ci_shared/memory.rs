//! What this process takes, from `/proc/self/status`.

/// A line's number, in KiB or as it is.
pub fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Resident memory with page tables, in KiB.
pub fn resident() -> u64 {
    status("VmRSS") + status("VmPTE")
}
