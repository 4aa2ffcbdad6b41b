//! Nothing holds the window in which large objects are placed: a runtime or another Casemate in
//! the process may reserve it.

use crate::child;
use casemate::Full;
use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::inside::Linux;
use std::alloc::Layout;

#[test]
fn large_objects_go_elsewhere_when_their_window_is_taken() {
    let name = "window::large_objects_go_elsewhere_when_their_window_is_taken";
    child::run_after(
        name,
        || Ok(()),
        || {
            let frozen: &'static Frozen = Box::leak(Box::new(Frozen::new()));
            let heap = Heap::<Linux, Full>::new(frozen, &Options::DEFAULT);
            heap.start().expect("a heap");
            let (window, len) = frozen.started().expect("a heap").large;
            take_all(window, window + len);
            let layout = Layout::from_size_align(4 << 20, 16).expect("a layout");
            let objects: Vec<_> = (0..50)
                .map(|_| {
                    let request = Request::layout(layout);
                    let at = heap.allocate(request).expect("no violation").expect("memory");
                    // SAFETY: just allocated, this long.
                    unsafe { at.as_ptr().write_bytes(7, layout.size()) };
                    assert!(at.as_ptr().addr().wrapping_sub(window) >= len);
                    at.as_ptr().expose_provenance()
                })
                .collect();
            for at in objects {
                let claim = Some(Request::layout(layout));
                // SAFETY: allocated above, and used by nobody.
                unsafe { heap.free(at, claim) }.expect("no violation");
            }
            heap.verify().expect("every invariant");
        },
    );
}

/// Maps whatever is free in `[from, to)`; the process's own heap may lie in it as well.
fn take_all(from: usize, to: usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the list of mappings");
    let mut at = from;
    let taken = maps.lines().filter_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    for (start, end) in taken.chain([(to, to)]) {
        if at < start.min(to) {
            take(at, start.min(to) - at);
        }
        at = at.max(end);
    }
}

fn take(at: usize, len: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: never on top of what is mapped.
    let taken = unsafe {
        let place = std::ptr::with_exposed_provenance_mut(at);
        let flags = flags | libc::MAP_FIXED_NOREPLACE;
        libc::mmap(place, len, libc::PROT_NONE, flags, -1, 0)
    };
    assert_eq!(taken.addr(), at, "{}", std::io::Error::last_os_error());
}
