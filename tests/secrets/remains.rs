//! What is left of a secret in the whole address space once its owner has let go of it.
//!
//! Each case is a process of its own.

use crate::child;
use crate::mark::{CONTROL, Mark, SECRET};
use crate::raw::{OWN, POOL, alloc, free, query, resize, take};
use crate::search::{Seen, own};
use casemate::secure::{
    Backing, GuardedBox, Policy, Requirements, SafeBuffer, SecretBox, SecretSlice, SecretString,
    SecretVec, secure_trim, secure_verify, with_wiped_stack_of,
};
use std::hint::black_box;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SIZES: [usize; 5] = [64, 320, 4096, 5184, 300_032];

fn policies() -> [Policy; 6] {
    let awake = POOL.hibernation_friendly();
    [POOL, OWN, awake, awake.protectable(), POOL.share_with_children(), Policy::strict()]
}

fn nothing_of(mark: &Mark, when: &str) {
    let seen = own(mark);
    assert!(seen.is_clear(), "{when}: {:x?}", seen.runs);
}

/// The control: an ordinary vector that nobody wipes. Of a size that nobody else asks for, so that
/// it stays in the allocator's cache.
fn a_vector_remains(act: impl FnOnce(Vec<u8>)) -> Seen {
    nothing_of(&CONTROL, "control, before");
    act(CONTROL.vec(960));
    let seen = own(&CONTROL);
    assert!(!seen.is_clear(), "the control finds what is left of a vector");
    seen
}

#[test]
fn drop_leaves_nothing() {
    child::run("remains::drop_leaves_nothing", || {
        nothing_of(&SECRET, "before");
        for policy in policies() {
            for size in SIZES {
                let at = take(size, &policy);
                SECRET.write(at, size);
                assert!(own(&SECRET).is_only(at, size), "{size} {policy:?}: it is there, once");
                free(at);
                nothing_of(&SECRET, "freed");
            }
            // Many, some of which stay.
            let mut held: Vec<_> = (0..200).map(|i| take(64 + i % 400, &policy)).collect();
            held.iter().for_each(|&at| SECRET.write(at, 64));
            assert_eq!(own(&SECRET).runs.len(), 200);
            held.drain(..150).for_each(free);
            assert_eq!(own(&SECRET).runs.len(), 50);
            held.into_iter().for_each(free);
            nothing_of(&SECRET, "all freed");
        }
        secure_trim();
        nothing_of(&SECRET, "trimmed");
        a_vector_remains(drop);
    });
}

#[test]
fn resizing_leaves_nothing() {
    child::run("remains::resizing_leaves_nothing", || {
        for policy in policies() {
            let mut at = take(64, &policy);
            let mut had = 64;
            SECRET.write(at, had);
            for size in [128, 4096, 6400, 64, 100_032, 192] {
                at = resize(at, size, 8).expect("memory");
                had = had.min(size);
                assert!(own(&SECRET).is_only(at, had), "{size}: {:x?}", own(&SECRET).runs);
            }
            free(at);
            nothing_of(&SECRET, "freed");
        }
    });
}

#[test]
fn growth_leaves_nothing() {
    child::run("remains::growth_leaves_nothing", || {
        let only = |vector: &SecretVec<u8>| {
            let (at, len) = (vector.expose_secret().as_ptr().addr(), vector.len());
            assert!(own(&SECRET).is_only(at, len), "{at:x} {len} {:x?}", own(&SECRET).runs);
        };
        let mut vector = SecretVec::new();
        for i in 0..40_000usize {
            vector.push(SECRET.byte(i));
            if (i + 1).is_power_of_two() && i > 32 {
                only(&vector);
            }
        }
        vector.truncate(20_032);
        only(&vector);
        vector.try_shrink_to_fit().expect("memory");
        only(&vector);
        vector.try_reserve(200_000).expect("memory");
        only(&vector);
        // One byte in front and gone again: all others move.
        vector.insert(0, 0);
        vector.remove(0);
        only(&vector);
        let tail = vector.try_split_off(64).expect("memory");
        assert_eq!(own(&SECRET).runs.len(), 2);
        drop(tail);
        only(&vector);
        let boxed = vector.into_boxed_slice();
        drop(boxed);
        nothing_of(&SECRET, "dropped");

        a_vector_remains(|mut vector| {
            let next = black_box(vec![0u8; 960]);
            vector.reserve_exact(4096);
            CONTROL.fill(&mut vector);
            drop(next);
        });
    });
}

#[test]
fn conversion_leaves_nothing() {
    child::run("remains::conversion_leaves_nothing", || {
        // The room behind the length has been used, too.
        let mut source = SECRET.vec(8192);
        source.truncate(6400);
        let vector = SecretVec::from(source);
        let at = vector.expose_secret().as_ptr().addr();
        assert!(own(&SECRET).is_only(at, 6400), "{:x?}", own(&SECRET).runs);
        let mut boxed = vector.into_boxed_slice();
        let copy = boxed.try_clone_slice().expect("memory");
        assert_eq!(own(&SECRET).runs.len(), 2);
        drop(copy);
        assert!(own(&SECRET).is_only(boxed.as_ptr().cast::<u8>().addr(), 6400));
        boxed.expose_secret_mut().fill(0);
        nothing_of(&SECRET, "overwritten");
        drop(boxed);

        let boxed = SecretBox::<[u8]>::from(SECRET.vec(1024).into_boxed_slice());
        assert!(own(&SECRET).is_only(boxed.as_ptr().cast::<u8>().addr(), 1024));
        let mut taken = [0u8; 640];
        SECRET.fill(&mut taken);
        let second = SecretBox::take_from(black_box(&mut taken));
        assert_eq!(own(&SECRET).runs.len(), 2);
        drop((boxed, second));
        nothing_of(&SECRET, "boxes");

        let kept = a_vector_remains(|source| {
            let copy = black_box(source.to_vec());
            drop(source);
            std::mem::forget(copy);
        });
        assert!(kept.runs.len() >= 2, "the control: a copied vector stays where it was");
    });
}

#[test]
fn strings_leave_nothing() {
    child::run("remains::strings_leave_nothing", || {
        let text = |len| String::from_utf8(SECRET.vec(len)).expect("marks are ASCII");
        let only = |string: &SecretString| {
            let at = string.expose_secret().as_ptr().addr();
            assert!(own(&SECRET).is_only(at, string.len()), "{:x?}", own(&SECRET).runs);
        };
        let mut string = SecretString::new();
        (0..5120).for_each(|i| string.push(char::from(SECRET.byte(i))));
        only(&string);
        string.truncate(2048);
        only(&string);
        drop(string);
        let mut source = text(4096);
        source.truncate(320);
        let mut string = SecretString::from(source);
        only(&string);
        let more = SecretString::from(text(6400));
        string.push_str(more.expose_secret());
        drop(more);
        only(&string);
        let bytes = string.into_bytes();
        assert!(own(&SECRET).is_only(bytes.expose_secret().as_ptr().addr(), 6720));
        drop(bytes);
        let boxed = SecretBox::<str>::from(text(640).into_boxed_str());
        assert_eq!(own(&SECRET).runs.len(), 1);
        drop(boxed);
        nothing_of(&SECRET, "dropped");
        a_vector_remains(|source| {
            let mut text = String::from_utf8(source).expect("ASCII");
            text.push('x');
            text.shrink_to_fit();
        });
    });
}

#[test]
fn a_panic_leaves_nothing() {
    child::run("remains::a_panic_leaves_nothing", || {
        let fails = |act: &dyn Fn()| {
            assert!(catch_unwind(AssertUnwindSafe(act)).is_err());
            nothing_of(&SECRET, "after the panic");
        };
        let alive = |count| assert_eq!(own(&SECRET).runs.len(), count);
        fails(&|| {
            let mut own_pages = SafeBuffer::protectable(9000).expect("memory");
            SECRET.fill(&mut own_pages.borrow_mut());
            let vector = SecretVec::from(SECRET.vec(640));
            let string = SecretString::from(String::from_utf8(SECRET.vec(128)).expect("ASCII"));
            alive(3);
            resume_unwind(Box::new((vector.len(), string.len())));
        });
        fails(&|| {
            SecretSlice::<u8>::init_slice_with(5120, |bytes| {
                SECRET.fill(bytes);
                alive(1);
                resume_unwind(Box::new(()));
            });
        });
        fails(&|| {
            // With the closed buffer open at that moment.
            let mut guarded = GuardedBox::<[u8; 192]>::init_with(|bytes| SECRET.fill(bytes));
            let mut open = guarded.borrow_mut();
            SECRET.fill(&mut open[..64]);
            resume_unwind(Box::new(()));
        });
        fails(&|| {
            // A message that is printed, with all that the runtime does for it.
            let vector = SecretVec::from(SECRET.vec(640));
            panic!("of {} bytes", vector.len());
        });
        fails(&|| {
            let thread = std::thread::spawn(|| {
                let vector = SecretVec::from(SECRET.vec(640));
                assert!(vector.is_empty(), "in a thread");
            });
            thread.join().expect("a panic");
        });
        a_vector_remains(|source| {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let moved = source;
                resume_unwind(Box::new(moved.len()));
            }));
            assert!(unwound.is_err());
        });
        secure_verify().expect("every invariant");
    });
}

/// Elements too large for registers, which are moved within a vector and out of it.
type Block = [u8; 16 << 10];

/// Bytes of the mark that an operation on a vector of such elements leaves beyond the vector's
/// own; then wipes the stack. Called through a pointer: its frame is below this one.
fn left_by(act: &mut dyn FnMut(&mut SecretVec<Block>)) -> usize {
    let mut vector = SecretVec::<Block>::with_capacity(8);
    vector.try_extend_zeroed(6).expect("memory").iter_mut().for_each(|block| SECRET.fill(block));
    black_box(act)(&mut vector);
    let kept = size_of_val(vector.expose_secret());
    let found: usize = own(&SECRET).runs.iter().map(|run| run.len).sum();
    assert!(found >= kept, "what is kept is found: {found} {kept}");
    vector.clear();
    with_wiped_stack_of(1 << 20, || {});
    drop(vector);
    nothing_of(&SECRET, "cleared");
    found - kept
}

#[test]
fn moving_within_a_vector_leaves_nothing() {
    child::run("remains::moving_within_a_vector_leaves_nothing", || {
        let control = left_by(&mut |vector| vector.expose_secret_mut().swap(0, 5));
        println!("swapping two elements of a slice: {control} bytes are left");
        assert!(control >= 4096, "the control: {control}");
        let mut seen = 0;
        let left = left_by(&mut |vector| {
            vector.retain(|block| {
                seen += usize::from(block[0] == SECRET.byte(0));
                seen % 3 != 1
            });
        });
        assert_eq!((seen, left), (6, 0), "retain");
        // What is taken out comes over the stack, by one copy more or none, as the build is
        // optimised, and is wiped there by who takes it.
        let takes: [fn(&mut SecretVec<Block>) -> Block; 3] = [
            |vector| vector.remove(0),
            |vector| vector.swap_remove(0),
            |vector| vector.swap_remove(5),
        ];
        let left = takes.map(|take| {
            left_by(&mut |vector| {
                let mut taken = black_box(take)(vector);
                black_box(&mut taken).fill(0);
            })
        });
        println!("remove, swap_remove: {left:?} bytes are left");
        assert!(left[0] <= size_of::<Block>() && left[1..].iter().all(|&more| more <= left[0]));
    });
}

/// What is closed is there for those who may read a process's memory, unless it is hidden.
/// More than the frames of a search, which come to lie where the value was.
const LARGE: usize = 128 << 10;

/// A value that is moved and not copied, too large for registers.
struct Large([u8; LARGE]);

impl Large {
    #[inline(always)]
    fn new() -> Large {
        let mut made = Large([0; LARGE]);
        SECRET.fill(&mut made.0);
        made
    }
}

/// Called through a pointer, from one place: the caller passes the value as to a function that it
/// does not know, with the same copies for all.
#[inline(never)]
fn passed(to: fn(Large) -> SecretBox<Large>) -> SecretBox<Large> {
    black_box(to)(Large::new())
}

/// Bytes of the mark on the stack, and elsewhere, after a value was passed; then wipes the stack.
fn left_of(to: fn(Large) -> SecretBox<Large>) -> (usize, usize) {
    let made = passed(to);
    let (mut stack, mut elsewhere) = (0, 0);
    let here = (&raw const stack).addr();
    for run in own(&SECRET).runs {
        *(if run.at.abs_diff(here) < 16 * LARGE { &mut stack } else { &mut elsewhere }) += run.len;
    }
    drop(made);
    with_wiped_stack_of(8 * LARGE, || {});
    nothing_of(&SECRET, "the stack was wiped");
    (stack, elsewhere)
}

/// The caller's own copies are left, and not the one that it passes.
#[test]
fn an_argument_is_wiped_where_it_was_passed() {
    child::run("remains::an_argument_is_wiped_where_it_was_passed", || {
        let nothing = |value: Large| {
            black_box(&value);
            // SAFETY: the bytes are zero, which is a value of the type.
            unsafe { SecretBox::<Large>::new_uninit().assume_init() }
        };
        let (control, elsewhere) = left_of(nothing);
        println!("passed to a function that does nothing: {control} bytes are left");
        assert!(control >= LARGE - 256 && elsewhere == 0, "{control} {elsewhere}");

        let ways: [fn(Large) -> SecretBox<Large>; 4] = [
            SecretBox::new,
            |value| SecretBox::try_new(value).expect("memory"),
            |value| SecretBox::try_new_with(value, &Policy::strict()).expect("memory"),
            |value| SecretBox::<Large>::new_uninit().write(value),
        ];
        for (i, way) in ways.into_iter().enumerate() {
            let (stack, elsewhere) = left_of(way);
            assert_eq!(elsewhere, LARGE, "{i}: it is in its place");
            assert!(stack + LARGE <= control + 256, "{i}: {stack} bytes are left");
        }
        let others: [fn(Large) -> SecretBox<Large>; 3] = [
            |value| {
                let mut made = SecretVec::new();
                made.push(value);
                SecretBox::<Large>::new_uninit().write(Large([0; LARGE]))
            },
            |value| {
                drop(GuardedBox::try_new(value).expect("memory"));
                SecretBox::<Large>::new_uninit().write(Large([0; LARGE]))
            },
            |value| {
                let both = Policy::require(Requirements::NO_FORK).share_with_children();
                assert!(SecretBox::try_new_with(value, &both).is_err());
                SecretBox::<Large>::new_uninit().write(Large([0; LARGE]))
            },
        ];
        for (i, way) in others.into_iter().enumerate() {
            let (stack, elsewhere) = left_of(way);
            assert_eq!(elsewhere, 0, "{i}");
            assert!(stack + LARGE <= control + 256, "{i}: {stack} bytes are left");
        }
    });
}

#[test]
fn guarded_boxes_leave_nothing() {
    child::run("remains::guarded_boxes_leave_nothing", || {
        for policy in [POOL, POOL.hibernation_friendly()] {
            let fill = |bytes: &mut [u8; 320]| {
                SECRET.fill(bytes);
                Ok::<(), casemate::secure::SecureError>(())
            };
            let guarded = GuardedBox::<[u8; 320]>::try_init_with_policy(&policy, fill);
            let guarded = guarded.expect("memory");
            let hidden = guarded.protections().expect("a buffer").is_hidden();
            let closed = own(&SECRET);
            assert_eq!(closed.runs.len(), usize::from(!hidden), "{:x?}", closed.runs);
            assert!(!hidden || closed.refused > 0, "it is there, and nobody can read it");
            let open = guarded.borrow();
            assert_eq!(own(&SECRET).runs.len(), 1);
            drop(open);
            drop(guarded);
            nothing_of(&SECRET, "dropped");
            assert_eq!(own(&SECRET).refused, 0);
        }
    });
}

/// From a descriptor into secret memory, without a stop between.
#[test]
fn reading_leaves_nothing() {
    child::run("remains::reading_leaves_nothing", || {
        let (mut out, mut into) = std::io::pipe().expect("a pipe");
        let source = SecretVec::from(SECRET.vec(40_000));
        into.write_all(source.expose_secret()).expect("room in the pipe");
        drop((source, into));
        let mut vector = SecretVec::new();
        assert_eq!(vector.try_read_from(&mut out).expect("all of it"), 40_000);
        let at = vector.expose_secret().as_ptr().addr();
        assert!(own(&SECRET).is_only(at, 40_000), "{:x?}", own(&SECRET).runs);
        drop(vector);
        nothing_of(&SECRET, "dropped");
        a_vector_remains(|source| {
            let (mut out, mut into) = std::io::pipe().expect("a pipe");
            into.write_all(&source).expect("room in the pipe");
            drop((source, into));
            let mut vector = Vec::new();
            out.read_to_end(&mut vector).expect("all of it");
        });
    });
}

/// Without the kernel's help it is wiped all the same.
#[test]
fn unlocked_memory_leaves_nothing() {
    child::run("remains::unlocked_memory_leaves_nothing", || {
        let calls = [libc::SYS_memfd_secret, libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_madvise];
        crate::filter::refuse(&calls, libc::EPERM).expect("the filter");
        for size in SIZES {
            let at = alloc(size, 16, &POOL).expect("memory");
            assert_eq!(query(at).expect("a buffer").backing, Backing::Unlocked);
            SECRET.write(at, size);
            assert!(own(&SECRET).is_only(at, size));
            free(at);
            nothing_of(&SECRET, "freed");
        }
    });
}

#[cfg(feature = "shielded")]
#[test]
fn shielded_secrets_are_not_there() {
    use casemate::secure::Shielded;
    child::run("remains::shielded_secrets_are_not_there", || {
        let value = SecretBox::<[u8]>::from(SECRET.vec(640).into_boxed_slice());
        assert_eq!(own(&SECRET).runs.len(), 1);
        let shielded = Shielded::new(value).expect("memory");
        nothing_of(&SECRET, "encrypted");
        let open = shielded.try_borrow().expect("the key");
        assert!(SECRET.is_all(&open));
        assert_eq!(own(&SECRET).runs.len(), 1);
        drop(open);
        nothing_of(&SECRET, "encrypted again");
        drop(shielded);
    });
}

#[cfg(feature = "allocator-api2")]
#[test]
fn collections_leave_nothing() {
    use casemate::secure::SafeAlloc;
    child::run("remains::collections_leave_nothing", || {
        let mut vector = allocator_api2::vec::Vec::new_in(SafeAlloc::new());
        (0..20_032).for_each(|i| vector.push(SECRET.byte(i)));
        assert!(own(&SECRET).is_only(vector.as_ptr().addr(), 20_032));
        vector.truncate(6400);
        vector.shrink_to_fit();
        let last = own(&SECRET);
        assert!(last.is_only(vector.as_ptr().addr(), 6400), "{:x?}", last.runs);
        drop(vector);
        nothing_of(&SECRET, "dropped");
    });
}
