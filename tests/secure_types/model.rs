//! A secret vector and an ordinary one do the same, whatever is asked of them.

use casemate::secure::SecretVec;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop,
    Insert(usize, u32),
    Remove(usize),
    SwapRemove(usize),
    Truncate(usize),
    Extend(Vec<u32>),
    ExtendZeroed(usize),
    Resize(usize),
    Retain(u32),
    SplitOff(usize),
    Reserve(usize),
    Shrink,
    Clone,
    Boxed,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0usize..300;
    prop_oneof![
        6 => any::<u32>().prop_map(Step::Push),
        2 => Just(Step::Pop),
        2 => (index.clone(), any::<u32>()).prop_map(|(at, value)| Step::Insert(at, value)),
        2 => index.clone().prop_map(Step::Remove),
        2 => index.clone().prop_map(Step::SwapRemove),
        1 => index.clone().prop_map(Step::Truncate),
        3 => vec(any::<u32>(), 0..60).prop_map(Step::Extend),
        1 => (0usize..60).prop_map(Step::ExtendZeroed),
        1 => index.clone().prop_map(Step::Resize),
        1 => (2u32..5).prop_map(Step::Retain),
        1 => index.clone().prop_map(Step::SplitOff),
        1 => (0usize..2000).prop_map(Step::Reserve),
        1 => Just(Step::Shrink),
        1 => Just(Step::Clone),
        1 => Just(Step::Boxed),
        1 => Just(Step::Clear),
    ]
}

/// An index that exists, or one behind the last.
fn within(index: usize, len: usize) -> usize {
    index % (len + 1)
}

fn apply(step: Step, secret: &mut SecretVec<u32>, plain: &mut Vec<u32>) {
    let len = plain.len();
    match step {
        Step::Push(value) => {
            secret.push(value);
            plain.push(value);
        }
        Step::Pop => assert_eq!(secret.pop(), plain.pop()),
        Step::Insert(at, value) => {
            secret.insert(within(at, len), value);
            plain.insert(within(at, len), value);
        }
        Step::Remove(at) if len > 0 => assert_eq!(secret.remove(at % len), plain.remove(at % len)),
        Step::SwapRemove(at) if len > 0 => {
            assert_eq!(secret.swap_remove(at % len), plain.swap_remove(at % len));
        }
        Step::Remove(_) | Step::SwapRemove(_) => {}
        Step::Truncate(to) => {
            secret.truncate(to);
            plain.truncate(to);
        }
        Step::Extend(values) => {
            secret.extend_from_slice(&values);
            plain.extend_from_slice(&values);
        }
        Step::ExtendZeroed(count) => {
            assert!(secret.try_extend_zeroed(count).unwrap().iter().all(|&value| value == 0));
            plain.resize(len + count, 0);
        }
        Step::Resize(to) => {
            secret.resize_zeroed(to);
            plain.resize(to, 0);
        }
        Step::Retain(modulus) => {
            secret.retain(|value| value % modulus != 0);
            plain.retain(|value| value % modulus != 0);
        }
        Step::SplitOff(at) => {
            let tail = secret.try_split_off(within(at, len)).unwrap();
            assert_eq!(tail.expose_secret(), plain.split_off(within(at, len)));
        }
        Step::Reserve(more) => {
            secret.reserve(more);
            assert!(secret.capacity() >= len + more);
        }
        Step::Shrink => {
            secret.try_shrink_to_fit().unwrap();
            assert_eq!(secret.capacity(), len);
        }
        Step::Clone => *secret = secret.try_clone().unwrap(),
        Step::Boxed => *secret = std::mem::take(secret).into_boxed_slice().into_vec(),
        Step::Clear => {
            secret.clear();
            plain.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn they_agree(steps in vec(step(), 1..80)) {
        let (mut secret, mut plain) = (SecretVec::new(), Vec::new());
        for step in steps {
            apply(step, &mut secret, &mut plain);
            prop_assert_eq!(secret.expose_secret(), &plain[..]);
            prop_assert!(secret.capacity() >= secret.len());
        }
        // What is not in use is zero.
        let room = secret.capacity() - secret.len();
        prop_assert!(secret.try_extend_zeroed(room).unwrap().iter().all(|&value| value == 0));
    }
}
