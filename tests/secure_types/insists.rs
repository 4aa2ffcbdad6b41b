//! A policy that insists stays with its secret, whatever type that goes through: where locked memory
//! has run out, there is an error and no secret in unlocked memory. Each case is a process of its
//! own, in which the limit binds.

use crate::child;
use crate::limit::{expect_bound, limit};
use casemate::secure::{
    ErrorKind, GuardedBox, Policy, ReadError, SafeBuffer, SecretBox, SecretString, SecretVec,
    SecureError, secure_stats,
};
use std::alloc::Layout;

const STRICT: Policy = Policy::strict();
const LIMIT: usize = 128 << 10;
/// Too large for what is left once a page cannot be had any more.
const MUCH: usize = 5000;

/// Takes all that may be locked: of pages first, then of the pool.
fn use_up() -> Vec<SafeBuffer> {
    let mut held = Vec::new();
    let own = STRICT.protectable();
    for (size, policy) in [(4096, own), (1500, STRICT), (200, STRICT), (32, STRICT), (1, STRICT)] {
        let layout = Layout::array::<u8>(size).unwrap();
        while let Ok(buffer) = SafeBuffer::with_layout(layout, &policy) {
            held.push(buffer);
        }
    }
    held
}

fn strict_vector() -> SecretVec<u8> {
    SecretVec::try_from_vec_with(vec![7; MUCH], &STRICT).unwrap()
}

fn strict_text() -> SecretString {
    SecretString::try_from_string_with("x".repeat(MUCH), &STRICT).unwrap()
}

#[track_caller]
fn refused<T>(what: Result<T, SecureError>) {
    match what {
        Err(error) if matches!(error.kind(), ErrorKind::LockedMemoryLimit { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is there, unlocked: {}", secure_stats()),
    }
}

#[test]
fn through_boxes_and_back() {
    child::run("insists::through_boxes_and_back", || {
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        let mut control = strict_vector();
        let mut vector = SecretVec::from(strict_vector().into_boxed_slice());
        let mut text = SecretString::from(strict_text().into_boxed_str());
        let empty = SecretVec::<u8>::new_with(&STRICT).into_boxed_slice();
        let no_text = SecretString::new_with(&STRICT).into_boxed_str();
        let held = use_up();
        refused(control.try_split_off(1000));
        refused(vector.try_split_off(1000));
        refused(vector.try_reserve(MUCH));
        refused(vector.try_clone());
        refused(text.try_clone());
        refused(text.try_push_str(&"y".repeat(MUCH)));
        refused(vector.into_boxed_slice().try_clone_slice());
        refused(text.into_boxed_str().try_clone_str());
        refused(SecretVec::from(empty).try_push(1));
        refused(SecretString::from(no_text).try_push_str("y"));
        // A vector that gave all its memory back.
        control.clear();
        control.try_shrink_to_fit().unwrap();
        assert_eq!((control.capacity(), secure_stats().degraded), (0, 0));
        let held = (held, use_up());
        refused(control.try_push(1));
        let mut control = SecretVec::from(control.into_boxed_slice());
        refused(control.try_push(1));
        drop(held);
        control.push(1);
        assert!(control.protections().unwrap().locked);
    });
}

#[test]
fn copies_of_one_value() {
    child::run("insists::copies_of_one_value", || {
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        let key = SecretBox::try_new_with([7u8; 32], &STRICT).unwrap();
        let guarded = GuardedBox::try_new_with([7u8; 32], &STRICT).unwrap();
        let held = use_up();
        refused(key.try_clone());
        refused(key.into_slice().try_clone_slice());
        refused(guarded.try_into_secret_box().unwrap().try_clone());
        drop(held);
    });
}

/// The place in which it is seen whether more follows obeys the policy, too.
#[test]
fn reading_on() {
    child::run("insists::reading_on", || {
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        let mut vector = strict_vector().into_boxed_slice().into_vec();
        let held = use_up();
        let source = [1u8; 100];
        let mut rest = &source[..];
        match vector.try_read_from(&mut rest) {
            Err(ReadError::Secure(error)) => refused::<()>(Err(error)),
            other => panic!("{other:?}"),
        }
        assert_eq!(rest.len(), 100, "nothing was read into a place that is not to be had");
        assert_eq!((vector.len(), secure_stats().degraded_ever), (MUCH, 0));
        drop(held);
    });
}

/// Where memory for as much again is not to be had, less is taken; in the end one byte is lost.
#[test]
fn reading_up_to_the_limit() {
    child::run("insists::reading_up_to_the_limit", || {
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        // The place for a byte is in a chunk of the pool.
        let pool = SecretBox::try_new_with([1u8], &STRICT).unwrap();
        let room = LIMIT - secure_stats().locked_bytes;
        let begin = room / 3;
        let mut vector = SecretVec::try_with_capacity_and_policy(begin, &STRICT).unwrap();
        let source: Vec<u8> = (0..LIMIT).map(|i| (i % 251) as u8).collect();
        let mut rest = &source[..];
        match vector.try_read_from(&mut rest) {
            Err(ReadError::Secure(error)) => refused::<()>(Err(error)),
            other => panic!("{other:?}"),
        }
        println!("{} bytes in {room}, from {begin}", vector.len());
        assert!(vector.len() > begin + begin / 3, "as much as there is memory for");
        assert_eq!(source.len() - rest.len(), vector.len() + 1);
        assert!(vector.expose_secret() == &source[..vector.len()]);
        assert_eq!(secure_stats().degraded_ever, 0);
        drop(pool);
    });
}

#[test]
fn friendly_to_hibernation_all_the_way() {
    child::run("insists::friendly_to_hibernation_all_the_way", || {
        let friendly = Policy::best_effort().hibernation_friendly();
        let made = SecretVec::<u8>::try_from_vec_with(vec![7; 32], &friendly).unwrap();
        let boxed = made.into_boxed_slice();
        let copy = boxed.try_clone_slice().unwrap();
        let mut vector = boxed.into_vec();
        let tail = vector.try_split_off(3).unwrap();
        let key = SecretBox::try_new_with([7u8; 32], &friendly).unwrap().try_clone().unwrap();
        for seen in [copy.protections(), tail.protections(), key.protections()] {
            assert!(!seen.unwrap().is_hidden());
        }
        assert_eq!(secure_stats().secret_bytes, 0);
    });
}

/// What could not be converted for want of memory is still there.
#[cfg(feature = "shielded")]
#[test]
fn a_shielded_value_that_cannot_be_opened_is_kept() {
    use casemate::secure::{ShieldError, Shielded};
    child::run("insists::a_shielded_value_that_cannot_be_opened_is_kept", || {
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        let shielded = Shielded::with_policy(strict_vector().into_boxed_slice(), &STRICT).unwrap();
        let held = use_up();
        let failed = shielded.try_into_secret_box().unwrap_err();
        match *failed.error() {
            ShieldError::Secure(error) => refused::<()>(Err(error)),
            other => panic!("{other}"),
        }
        drop(held);
        let opened = failed.into_inner().try_into_secret_box().unwrap();
        assert!(opened == [7; MUCH][..]);
    });
}

#[cfg(feature = "shielded")]
#[test]
fn the_key_of_shielded_values() {
    use casemate::secure::{ShieldError, Shielded};
    child::run("insists::the_key_of_shielded_values", || {
        let friendly = Policy::best_effort().hibernation_friendly();
        let value = SecretBox::try_new_with([7u8; 32], &friendly).unwrap();
        let shielded = Shielded::with_policy(value, &friendly).unwrap();
        assert_eq!(*shielded.try_borrow().unwrap(), [7; 32]);
        assert_eq!(secure_stats().secret_bytes, 0, "the machine can hibernate");
        limit(LIMIT).unwrap();
        expect_bound(LIMIT);
        let value = SecretBox::try_new_with([7u8; 32], &STRICT).unwrap();
        let held = use_up();
        match Shielded::with_policy(value, &STRICT) {
            Err(ShieldError::Secure(error)) => refused::<()>(Err(error)),
            other => panic!("{other:?}"),
        }
        assert_eq!(secure_stats().degraded_ever, 0);
        // Who can do without gets a key all the same.
        let value = SecretBox::try_new_with([7u8; 32], &Policy::best_effort()).unwrap();
        let shielded = Shielded::new(value).unwrap();
        drop(held);
        // And whose policy insists one of its own, which is not that.
        let value = SecretBox::try_new_with([8u8; 32], &STRICT).unwrap();
        let strict = Shielded::with_policy(value, &STRICT).unwrap();
        assert_eq!(
            (*shielded.try_borrow().unwrap(), *strict.try_borrow().unwrap()),
            ([7; 32], [8; 32])
        );
    });
}
