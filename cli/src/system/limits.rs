//! Limits of the process, the kernel's settings, and clocks.
#![expect(unsafe_code, reason = "getrlimit, clock_gettime, sysconf")]

use std::fs;

/// A limit of the process.
#[derive(Clone, Copy)]
pub enum Limit {
    AddressSpace,
    LockedMemory,
    CoreFile,
}

/// The limit in force, in bytes; `None` if there is none.
pub fn limit(which: Limit) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let which = match which {
        Limit::AddressSpace => libc::RLIMIT_AS,
        Limit::LockedMemory => libc::RLIMIT_MEMLOCK,
        Limit::CoreFile => libc::RLIMIT_CORE,
    };
    // SAFETY: the structure is borrowed for the call.
    unsafe { libc::getrlimit(which, &raw mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// A number in `/proc/sys`.
pub fn setting(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Version of the running kernel.
pub fn kernel() -> Option<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.trim().parse().ok()?))
}

/// Whether a process of this number runs that was started no later than `started`, by
/// CLOCK_MONOTONIC in nanoseconds: otherwise the number has gone to another.
pub fn is_running(pid: u32, started: u64) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name may contain anything, but it ends with the last parenthesis.
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next(), None | Some("Z" | "X")) {
        return false;
    }
    // Field 22 of the line; 3 was the state.
    let Some(ticks) = fields.nth(18).and_then(|field| field.parse::<u64>().ok()) else {
        return false;
    };
    // SAFETY: a number.
    let rate = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    // The kernel counts from start-up, sleep included.
    let asleep = clock(libc::CLOCK_BOOTTIME).saturating_sub(clock(libc::CLOCK_MONOTONIC));
    let tick = 1_000_000_000 / rate;
    ticks.saturating_mul(tick) <= started.saturating_add(asleep).saturating_add(2 * tick)
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is borrowed for the call.
    unsafe { libc::clock_gettime(which, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_before_it_does_not() {
        let me = std::process::id();
        assert!(is_running(me, clock(libc::CLOCK_MONOTONIC)));
        assert!(!is_running(me, 0));
        assert!(!is_running(u32::MAX, u64::MAX));
    }

    #[test]
    fn settings_and_versions_are_read() {
        assert!(setting("vm.max_map_count").is_some_and(|count| count > 0));
        assert!(setting("vm.no_such_thing").is_none());
        assert!(kernel().is_some_and(|version| version >= (3, 0)));
    }
}
