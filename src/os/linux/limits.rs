//! Layer: os. The page size, and how much this process may use. Uses `file`.
#![expect(unsafe_code, reason = "sysconf, getrlimit and sched_getaffinity")]

use super::{file::File, kernel};

/// `DEFAULT_MAX_MAP_COUNT` of `include/linux/mm.h`, for when the setting cannot be read.
const DEFAULT_MAPPINGS: usize = 65_530;

/// Processors where the kernel, or a filter, does not tell.
const UNKNOWN: usize = 2;

/// The page size: the only one that the architecture has.
#[cfg(all(target_arch = "x86_64", not(test)))]
pub(super) fn page_size() -> usize {
    4096
}

/// The page size. A system that cannot tell it is one that nothing can be built on.
#[cfg(not(all(target_arch = "x86_64", not(test))))]
pub(super) fn page_size() -> usize {
    // SAFETY: a query by number, without memory; libc answers it from what the kernel passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    match usize::try_from(size) {
        Ok(size) if size.is_power_of_two() => size,
        _ => super::report::abort(),
    }
}

/// RLIMIT_AS, unless unlimited.
pub(super) fn address_space() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid place for the answer for the length of the call.
    let status = unsafe { kernel::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    if status != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    // More than an address can hold is no limit.
    usize::try_from(limit.rlim_cur).ok()
}

/// `vm.max_map_count`.
pub(super) fn mappings() -> usize {
    File::open(c"/proc/sys/vm/max_map_count")
        .and_then(|file| number_after(b"", |take| file.each_byte(take)))
        .unwrap_or(DEFAULT_MAPPINGS)
}

/// Processors in the calling thread's mask. What a control group leaves of their time is not asked.
pub(super) fn processors() -> usize {
    // As many as a kernel can be built for (`NR_CPUS`): it refuses a mask that is too short.
    let mut mask = [0u64; 8192 / 64];
    // SAFETY: `mask` is a valid place of this length for the answer, which has any bits.
    let status =
        unsafe { kernel::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    let set: u32 = mask.iter().map(|word| word.count_ones()).sum();
    if status < 0 || set == 0 { UNKNOWN } else { set as usize }
}

/// Bytes of page tables, from the line `VmPTE:    44 kB`.
pub(super) fn page_table_bytes() -> Option<usize> {
    // The newline in front keeps a process named "VmPTE:" from being taken for it.
    File::open(c"/proc/self/status")
        .and_then(|file| number_after(b"\nVmPTE:", |take| file.each_byte(take)))
        .and_then(|kib| kib.checked_mul(crate::units::KIB))
}

/// The decimal number that follows the first `key`, past blanks. `feed` hands over bytes one at
/// a time, so that a file of any length is searched in a few registers. The first byte of `key`
/// must not occur in it again: a mismatch then starts over without looking back.
pub(super) fn number_after(
    key: &[u8],
    feed: impl FnOnce(&mut dyn FnMut(u8) -> bool),
) -> Option<usize> {
    let mut matched = 0;
    let mut number = None;
    feed(&mut |byte| {
        if let Some(&wanted) = key.get(matched) {
            let restart = usize::from(key.first() == Some(&byte));
            matched = if byte == wanted { matched + 1 } else { restart };
            return true;
        }
        match byte {
            b'0'..=b'9' => {
                let digit = usize::from(byte - b'0');
                let grown = number.unwrap_or(0usize).checked_mul(10);
                number = grown.and_then(|n| n.checked_add(digit));
                number.is_some()
            }
            b' ' | b'\t' => number.is_none(),
            _ => false,
        }
    });
    number
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited};
    use super::number_after;
    use crate::os::{Linux, Os};

    fn find(key: &[u8], text: &[u8]) -> Option<usize> {
        number_after(key, |take| {
            let _ = text.iter().all(|&byte| take(byte));
        })
    }

    #[test]
    fn numbers_are_found() {
        assert_eq!(find(b"", b"65530\n"), Some(65530));
        assert_eq!(find(b"\nVmPTE:", b"Name: VmPTE: 1\n\nVmPT\nVmPTE:\t  44 kB\n9"), Some(44));
        assert_eq!(find(b"\nVmPTE:", b"VmRSS: 1 kB\n"), None);
        assert_eq!(find(b"", b""), None);
        assert_eq!(find(b"", b"x1"), None);
        assert_eq!(find(b"", b"99999999999999999999999999"), None);
    }

    #[test]
    fn the_process_has_limits() {
        let size = Linux::page_size();
        assert!(size.is_power_of_two());
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        let count = text.map_or(65_530, |text| text.trim().parse().unwrap());
        assert_eq!(Linux::mapping_limit(), count);
        assert!(Linux::page_table_bytes().is_some_and(|bytes| bytes >= size));
    }

    #[test]
    fn the_process_has_processors() {
        let status = child(|| {
            assert_eq!(Linux::processors(), std::thread::available_parallelism().unwrap().get());
            let mut one = [0u64; 128];
            // SAFETY: the mask is valid for the call, and this child's alone.
            let of = |mask: &mut [u64; 128], call: i64| unsafe {
                libc::syscall(call, 0, size_of_val(mask), mask.as_mut_ptr())
            };
            assert!(of(&mut one, libc::SYS_sched_getaffinity) > 0);
            let first = one.iter().position(|&word| word != 0).expect("a processor");
            let bit = one[first] & one[first].wrapping_neg();
            one = [0; 128];
            one[first] = bit;
            assert_eq!(of(&mut one, libc::SYS_sched_setaffinity), 0);
            assert_eq!(Linux::processors(), 1);
        });
        assert_eq!(exited(status), 0);
    }

    #[test]
    fn address_space_limit_is_the_one_in_force() {
        let status = child(|| {
            let limit = libc::rlimit { rlim_cur: 1 << 40, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: the structure is valid for the call; the limit is this child's alone.
            let status = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
            assert_eq!(status, 0);
            assert_eq!(Linux::address_space_limit(), Some(1 << 40));
        });
        assert_eq!(exited(status), 0);
    }
}
