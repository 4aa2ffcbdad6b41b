//! Boxes: made in place, wiped in the end, whatever the end is.
#![expect(unsafe_code, reason = "promises about types of the test's own")]

use crate::memory;
use casemate::secure::{Policy, Requirements, SecretBox, SecretSlice, SecretVec, SecureError};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use zeroize::Zeroize;

const MARK: [u8; 48] = *b"this is the mark that must not be found anywhere";

/// A mark of one test's own: another may be given the memory that this one has freed.
const fn mark(test: u8) -> [u8; 48] {
    let mut mark = MARK;
    let mut i = 0;
    while i < 8 {
        mark[i] = test;
        i += 1;
    }
    mark
}

fn address<T: ?Sized>(secret: &SecretBox<T>) -> usize {
    secret.as_ptr().cast::<u8>().expose_provenance()
}

#[test]
fn a_dropped_box_leaves_nothing() {
    const MINE: [u8; 48] = mark(1);
    for size in [1, 3, 2000] {
        let secret = SecretSlice::<[u8; 48]>::init_slice_with(size, |all| all.fill(MINE));
        let (at, len) = (address(&secret), MINE.len() * size.min(80));
        assert!(!memory::at(at, len).is_clear_of(&MINE), "the control: it is there before");
        drop(secret);
        assert!(memory::at(at, len).is_clear_of(&MINE[..8]));
    }
}

#[test]
fn a_panic_wipes_what_was_made_so_far() {
    const MINE: [u8; 48] = mark(2);
    let at = Cell::new(0);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        SecretBox::<[u8; 48]>::init_with(|value| {
            *value = MINE;
            at.set(value.as_ptr().expose_provenance());
            std::panic::resume_unwind(Box::new(()));
        })
    }));
    assert!(unwound.is_err() && at.get() != 0);
    assert!(memory::at(at.get(), 48).is_clear_of(&MINE[..8]));
    // And one that had been made when something else panicked.
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let secret = SecretBox::new(MINE);
        at.set(address(&secret));
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert!(memory::at(at.get(), 48).is_clear_of(&MINE[..8]));
}

#[test]
fn a_failed_initialisation_gives_its_error_and_wipes() {
    const MINE: [u8; 48] = mark(3);
    #[derive(Debug)]
    enum Failure {
        Secure(SecureError),
        Mine(usize),
    }
    impl From<SecureError> for Failure {
        fn from(error: SecureError) -> Failure {
            Failure::Secure(error)
        }
    }
    let failed = SecretBox::<[u8; 48]>::try_init_with(|value| {
        *value = MINE;
        Err(Failure::Mine(value.as_ptr().expose_provenance()))
    });
    match failed {
        Err(Failure::Mine(at)) => assert!(memory::at(at, 48).is_clear_of(&MINE[..8])),
        Err(Failure::Secure(error)) => panic!("{error}"),
        Ok(_) => panic!("initialised"),
    }
}

#[test]
fn destructors_run_once_and_a_panicking_one_does_not_keep_the_memory() {
    const MINE: [u8; 48] = mark(4);
    struct Counted<'a>(&'a Cell<u32>, [u8; 48], bool);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if self.2 {
                std::panic::resume_unwind(Box::new(()));
            }
        }
    }
    let count = Cell::new(0);
    let secret = SecretBox::new(Counted(&count, MINE, false));
    assert_eq!(count.get(), 0);
    drop(secret);
    assert_eq!(count.get(), 1);

    let inner = SecretBox::new(Counted(&count, MINE, false)).into_inner();
    assert_eq!((count.get(), inner.1), (1, MINE));
    drop(inner);
    assert_eq!(count.get(), 2);

    let secret = SecretBox::new(Counted(&count, MINE, true));
    let at = secret.expose_secret().1.as_ptr().expose_provenance();
    assert!(!memory::at(at, 48).is_clear_of(&MINE));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(secret))).is_err());
    assert_eq!(count.get(), 3);
    assert!(memory::at(at, 48).is_clear_of(&MINE[..8]));

    drop(SecretBox::from(Box::new(Counted(&count, MINE, false))));
    assert_eq!(count.get(), 4);
    // Memory for a value that never was: nothing to drop.
    drop(SecretBox::<Counted>::new_uninit());
    assert_eq!(count.get(), 4);
    drop(SecretBox::<Counted>::new_uninit().write(Counted(&count, MINE, false)));
    assert_eq!(count.get(), 5);
}

#[test]
fn values_of_every_size_and_alignment() {
    #[repr(align(512))]
    struct Aligned([u8; 3]);
    let aligned = SecretBox::new(Aligned([1, 2, 3]));
    assert_eq!(address(&aligned) % 512, 0);
    assert_eq!(aligned.expose_secret().0, [1, 2, 3]);
    let nothing = SecretBox::new(());
    assert!(nothing.protections().is_none());
    nothing.expose_secret();
    let large = SecretSlice::<u64>::init_slice_with(100_000, |all| all.fill(7));
    assert!(large.expose_secret().iter().all(|&word| word == 7));
    assert_eq!(SecretSlice::<u64>::zeroed_slice(0).expose_secret().len(), 0);
    assert!(SecretSlice::<u64>::try_zeroed_slice_with(usize::MAX, &Policy::best_effort()).is_err());
}

#[test]
fn taking_empties_the_source() {
    let mut key = MARK;
    let secret = SecretBox::take_from(&mut key);
    assert_eq!((key, secret.expose_secret()), ([0; 48], &MARK));
    // Also if there is no memory for it: this alignment is refused.
    #[repr(C, align(2097152))]
    #[derive(Clone, Copy)]
    struct Far([u8; 2 << 20]);
    // SAFETY: bytes, as many as its size.
    unsafe impl casemate::secure::Zeroable for Far {}
    // SAFETY: bytes, as many as its size: no padding.
    unsafe impl casemate::secure::Plain for Far {}
    // Too large for a test thread's stack.
    let mut far = vec![Far([0; 2 << 20]); 0];
    far.reserve_exact(1);
    // SAFETY: room for one, and every bit pattern is a value.
    unsafe {
        far.spare_capacity_mut()[0].as_mut_ptr().write_bytes(9, 1);
        far.set_len(1);
    }
    assert!(SecretBox::try_take_from(&mut far[0]).is_err());
    assert!(far[0].0.iter().all(|&byte| byte == 0));
}

#[test]
fn equality_debug_and_zeroize() {
    let (mut a, b) = (SecretBox::<[u32; 9]>::random(), SecretBox::<[u32; 9]>::random());
    assert!(a != b && a == a.try_clone().unwrap() && a == *a.expose_secret());
    let text = format!("{a:?} {:?}", SecretBox::<str>::from(String::from("s3cret")));
    assert_eq!(text, "SecretBox<[u32; 9]>(..) SecretBox<str>(..)");
    a.zeroize();
    assert_eq!(a.expose_secret(), &[0; 9]);
    let slice = SecretBox::new([1u8, 2, 3]).into_slice();
    assert!(slice == [1u8, 2, 3][..] && slice == slice.try_clone_slice().unwrap());
    let text = SecretBox::<str>::from("text".to_owned().into_boxed_str());
    assert!(text == *"text" && text == text.try_clone_str().unwrap());
    // Elements of no bytes: as many of them or not.
    let [one, two] = [1, 2].map(|count| SecretVec::from(vec![[0u8; 0]; count]));
    assert!(one != two && one == [[]][..] && one == one.try_clone().unwrap());
    assert!(one.into_boxed_slice() != two.into_boxed_slice());
}

#[test]
fn a_policy_is_obeyed_or_refused() {
    let has = SecretBox::try_new_with([1u8; 32], &Policy::best_effort().protectable()).unwrap();
    assert!(!has.protections().unwrap().pooled);
    let contradiction = Policy::require(Requirements::NO_FORK).share_with_children();
    assert!(SecretBox::try_new_with([1u8; 32], &contradiction).is_err());
    assert_eq!(SecretBox::new([1u8; 32]).protections().unwrap().size, 32);
}

#[test]
fn boxes_cross_threads() {
    let secret = SecretBox::new([7u8; 32]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(secret.expose_secret(), &[7; 32]));
        }
    });
    thread::spawn(move || assert_eq!(secret.into_inner(), [7; 32])).join().unwrap();
    let made = thread::spawn(|| SecretBox::new(5u8)).join().unwrap();
    drop(made);
}

#[test]
fn uninitialised_memory_is_filled_by_hand() {
    struct NeverZero(&'static str);
    let mut place = SecretBox::<NeverZero>::new_uninit();
    let slot: &mut MaybeUninit<NeverZero> = place.expose_secret_mut();
    slot.write(NeverZero("x"));
    // SAFETY: written above.
    let secret = unsafe { place.assume_init() };
    assert_eq!(secret.expose_secret().0, "x");
}

#[cfg(feature = "subtle")]
#[test]
fn subtle_compares_them() {
    use casemate::secure::SecretString;
    use subtle::ConstantTimeEq;

    let (a, b) = (SecretBox::new([1u8; 32]), SecretBox::new([1u8; 32]));
    assert!(bool::from(a.expose_secret().ct_eq(b.expose_secret())));
    assert!(bool::from(SecretVec::from(vec![1u8]).ct_eq(&SecretVec::from(vec![1u8]))));
    assert!(!bool::from(SecretString::from("a").ct_eq(&SecretString::from("b"))));
    assert!(bool::from(a.into_slice().ct_eq(&b.into_slice())));
}
