//! For `ci/valgrind`: a bit of everything that secure memory does, under whatever the process runs
//! in, and what it got.

use casemate::secure::{
    Access, GuardedBox, Policy, SafeBuffer, SecretBox, SecretString, SecretVec, secure_stats,
    secure_trim, secure_verify,
};

fn main() {
    let policies = [
        Policy::best_effort(),
        Policy::best_effort().protectable(),
        Policy::best_effort().hibernation_friendly(),
        Policy::best_effort().share_with_children(),
    ];
    for policy in policies {
        let small = SecretBox::try_new_with([7u8; 32], &policy).expect("memory");
        println!("{}", small.protections().expect("a buffer"));
        let mut grown = SecretVec::<u8>::new_with(&policy);
        (0..20_000u32).for_each(|i| grown.push(i as u8));
        grown.truncate(100);
        grown.try_shrink_to_fit().expect("memory");
        assert!(grown.expose_secret().iter().zip(0..).all(|(&byte, i)| byte == i));
    }
    everyday();
    // And by many threads, which keep what they have until they end.
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(everyday)).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    secure_verify().expect("every invariant");
    secure_trim();
    println!("{}", secure_stats());
}

fn everyday() {
    let mut held = Vec::new();
    for i in 0..600 {
        held.push(SecretVec::from(vec![i as u8; 16 + i * 7 % 3000]));
        if held.len() > 100 {
            held.remove(i % 100);
        }
    }
    for one in &mut held {
        let last = one.expose_secret()[0];
        one.extend_from_slice(&[last; 50]);
        assert!(one.expose_secret().iter().all(|&byte| byte == last));
    }
    let mut text = SecretString::from("a password");
    text.push_str(" and more");
    assert!(text == *"a password and more");
    let guarded = GuardedBox::<[u8; 100]>::init_with(|bytes| bytes.fill(3));
    assert_eq!(guarded.borrow()[99], 3);
    let mut buffer = SafeBuffer::protectable(5000).expect("memory");
    buffer.borrow_mut().fill(9);
    buffer.set_rest(Access::NoAccess).expect("own pages");
    assert!(buffer.borrow().iter().all(|&byte| byte == 9));
}
