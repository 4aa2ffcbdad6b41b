//! Shielded values from the inside: what is at rest, and what tampering does.

use super::*;
use std::thread;
use std::vec::Vec;

fn secret() -> Shielded<[u8; 64]> {
    Shielded::new(SecretBox::new([0x5a; 64])).unwrap()
}

#[test]
fn at_rest_there_is_ciphertext_only_and_each_time_another() {
    let shielded = secret();
    let mut seen = Vec::new();
    for _ in 0..4 {
        {
            let state = shielded.lock();
            assert!(state.open.is_none());
            assert!(!state.sealed.text().windows(4).any(|bytes| bytes == [0x5a; 4]));
            assert!(!seen.contains(&state.sealed.nonce()), "a nonce came back");
            seen.push(state.sealed.nonce());
        }
        let guard = shielded.try_borrow().unwrap();
        assert!(shielded.is_open());
        assert_eq!(*guard, [0x5a; 64]);
        drop(guard);
        assert!(!shielded.is_open());
    }
}

#[test]
fn any_change_is_noticed() {
    for part in 0..3 {
        let mut shielded = secret();
        shielded.lock().sealed.damage(part);
        assert_eq!(shielded.try_borrow().map(drop).unwrap_err(), ShieldError::Tampered);
        assert_eq!(shielded.try_borrow_mut().map(drop).unwrap_err(), ShieldError::Tampered);
        assert!(!shielded.is_open());
        shielded.lock().sealed.damage(part);
        assert_eq!(*shielded.try_borrow().unwrap(), [0x5a; 64]);
    }
}

#[test]
fn a_ciphertext_belongs_to_its_place() {
    let (first, second) = (secret(), Shielded::new(SecretBox::new([1u8; 64])).unwrap());
    {
        // All that is sealed is copied over, but into the other's own memory.
        let (from, mut to) = (first.lock(), second.lock());
        let mut copy = Sealed::room(64);
        copy.copy_from(&from.sealed);
        to.sealed.copy_from(&copy);
    }
    assert_eq!(second.try_borrow().map(drop).unwrap_err(), ShieldError::Tampered);
    assert_eq!(*first.try_borrow().unwrap(), [0x5a; 64]);
}

#[test]
fn guards_of_many_threads_share_one_value() {
    let shielded = secret();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let (one, two) =
                        (shielded.try_borrow().unwrap(), shielded.try_borrow().unwrap());
                    drop(one);
                    assert_eq!(*two, [0x5a; 64]);
                }
            });
        }
    });
    assert!(!shielded.is_open());
}

#[test]
fn changes_are_kept_and_leaked_guards_forgotten() {
    let mut shielded = Shielded::new(SecretBox::<[u16]>::from(std::vec![1, 2, 3])).unwrap();
    assert_eq!(shielded.len(), 6);
    shielded.try_borrow_mut().unwrap()[1] = 20;
    core::mem::forget(shielded.try_borrow().unwrap());
    assert!(shielded.is_open());
    drop(shielded.try_borrow_mut().unwrap());
    assert!(!shielded.is_open());
    assert_eq!(*shielded.try_borrow().unwrap(), [1, 20, 3]);
    assert!(shielded.try_into_secret_box().unwrap() == [1u16, 20, 3][..]);
}

#[test]
fn no_bytes_are_a_value_too() {
    let shielded = Shielded::new(SecretBox::<str>::default()).unwrap();
    assert!(shielded.is_empty());
    assert_eq!(&*shielded.try_borrow().unwrap(), "");
    let elements = std::vec![[0u8; 0]; 5];
    let shielded = Shielded::new(SecretBox::<[[u8; 0]]>::from(elements)).unwrap();
    assert_eq!((shielded.len(), shielded.try_borrow().unwrap().len()), (0, 5));
}
