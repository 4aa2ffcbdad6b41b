//! Nothing holds the window in which large objects are placed: a runtime or another Casemate in
//! the process may reserve it.

use crate::child;
use casemate::Full;
use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::os::Linux;
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
            let (window, len) = frozen.plan().large;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: never on top of what is mapped.
            let taken = unsafe {
                let at = std::ptr::with_exposed_provenance_mut(window);
                let flags = flags | libc::MAP_FIXED_NOREPLACE;
                libc::mmap(at, len, libc::PROT_NONE, flags, -1, 0)
            };
            assert_eq!(taken.addr(), window, "{}", std::io::Error::last_os_error());
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
                heap.free(at, claim).expect("no violation");
            }
            heap.verify().expect("every invariant");
        },
    );
}
