//! What fuzzing found, one test each.

use crate::bodies::bed::{Bed, exact};
use crate::bodies::fault::Fault;
use crate::bodies::second::Who;
use casemate::Full;
use std::alloc::Layout;

/// The size of an object was told until its owner had taken notice of another thread's free.
#[test]
fn an_object_that_another_thread_freed_has_no_bytes() {
    let mut bed = Bed::<Full>::new(0, Fault::None);
    let layout = Layout::new::<[u8; 100]>();
    let at = bed.allocate(Who::First, layout).unwrap();
    assert_eq!((bed.heap().bytes_behind(at), bed.heap().object_size(at)), (100, 100));
    bed.free(Who::Second, at, exact(layout)).unwrap();
    assert_eq!((bed.heap().bytes_behind(at), bed.heap().object_size(at)), (0, 0));
}
