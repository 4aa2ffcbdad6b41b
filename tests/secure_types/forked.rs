//! In a forked child: dropping what the parent had is harmless, looking at it an error.
#![expect(unsafe_code, reason = "forks")]

use casemate::secure::{
    ErrorKind, GuardedBox, Policy, SafeBuffer, SecretBox, SecretString, SecretVec,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use zeroize::Zeroize;

/// Runs this very test again in a process where nothing else runs: whether this is that process.
/// A child of a process with other busy threads could not even panic safely.
fn alone(name: &str) -> bool {
    const ALONE: &str = "CASEMATE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(ALONE, "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Runs `f` in a forked child; its exit code, 101 if it panicked.
fn in_child(f: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread that does something, this one.
    match unsafe { libc::fork() } {
        0 => {
            let code = if catch_unwind(AssertUnwindSafe(f)).is_ok() { 0 } else { 101 };
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: a place for the status of a child of ours.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status), "the child died: {status:#x}");
            libc::WEXITSTATUS(status)
        }
    }
}

#[test]
fn inherited_handles_are_errors_and_drop_quietly() {
    if !alone("forked::inherited_handles_are_errors_and_drop_quietly") {
        return;
    }
    struct Loud(u32);
    impl Drop for Loud {
        fn drop(&mut self) {
            assert_eq!(self.0, std::process::id(), "dropped in a process that does not have it");
        }
    }
    let here = std::process::id();
    let mut secret = SecretBox::new([1u8; 32]);
    let mut vector = SecretVec::from(vec![1u8; 5000]);
    let string = SecretString::from("text");
    let mut guarded = GuardedBox::<[u8; 32]>::random();
    let mut buffer = SafeBuffer::protectable(100).unwrap();
    let loud = SecretBox::new((Loud(here), [0u8; 16]));
    let louds = SecretVec::from(vec![(Loud(here), 1u8)]);
    let shared = SecretBox::try_new_with([9u8; 32], &Policy::best_effort().share_with_children());
    let mut shared = shared.unwrap();
    let code = in_child(|| {
        let inherited = |kind| assert_eq!(kind, ErrorKind::Inherited);
        inherited(secret.try_expose_secret().unwrap_err().kind());
        inherited(secret.try_expose_secret_mut().unwrap_err().kind());
        inherited(secret.try_clone().unwrap_err().kind());
        inherited(vector.try_expose_secret().unwrap_err().kind());
        inherited(vector.try_push(1).unwrap_err().kind());
        inherited(vector.try_reserve(100_000).unwrap_err().kind());
        inherited(string.try_clone().unwrap_err().kind());
        inherited(guarded.try_borrow().unwrap_err().kind());
        inherited(guarded.try_borrow_mut().unwrap_err().kind());
        inherited(buffer.try_borrow_mut().unwrap_err().kind());
        assert!(secret.protections().is_none() && vector.protections().is_none());
        secret.zeroize();
        vector.clear();
        vector.truncate(2);
        // Buffers of the child's own, perhaps where the parent's were.
        let own: Vec<_> = (0..200u8).map(|i| SecretBox::new([i; 32])).collect();
        let own_vector = SecretVec::from(vec![3u8; 5000]);
        drop((secret, vector, string, guarded, buffer));
        drop(loud);
        drop(louds);
        for (i, own) in own.iter().enumerate() {
            assert_eq!(own.expose_secret(), &[i as u8; 32]);
        }
        assert!(own_vector.expose_secret().iter().all(|&byte| byte == 3));
        assert_eq!(shared.expose_secret(), &[9; 32]);
        shared.expose_secret_mut()[0] = 1;
        drop(shared);
    });
    assert_eq!(code, 0);
}

#[test]
fn a_conversion_that_fails_gives_back_what_it_was_given() {
    if !alone("forked::a_conversion_that_fails_gives_back_what_it_was_given") {
        return;
    }
    let guarded = GuardedBox::<[u8; 32]>::init_with(|value| value.fill(2));
    let code = in_child(|| {
        let failed = guarded.try_into_secret_box().unwrap_err();
        assert_eq!(failed.error().kind(), ErrorKind::Inherited);
        let text = "the secure buffer belongs to the parent process and is not here";
        assert_eq!(failed.to_string(), text);
        assert!(format!("{failed:?}").starts_with("IntoSecretBoxError(SecureError"));
        let (kept, error) = failed.into_parts();
        assert_eq!(kept.try_borrow().map(drop).unwrap_err(), error);
        let again: casemate::secure::SecureError = kept.try_into_secret_box().unwrap_err().into();
        assert_eq!(again, error);
    });
    assert_eq!(code, 0);
}

#[test]
fn the_parent_keeps_what_it_has() {
    if !alone("forked::the_parent_keeps_what_it_has") {
        return;
    }
    let secret = SecretBox::new([1u8; 32]);
    let guarded = GuardedBox::<[u8; 32]>::init_with(|value| value.fill(2));
    let guard = guarded.borrow();
    let copy = std::mem::ManuallyDrop::new(SecretVec::from(vec![7u8; 100]));
    // The child drops all of it.
    assert_eq!(
        in_child(|| {
            // SAFETY: a bitwise copy, of which this process drops one.
            drop(unsafe { std::ptr::read(&raw const *copy) });
            assert!(catch_unwind(AssertUnwindSafe(|| guard[0])).is_err(), "a guard is inherited");
        }),
        0
    );
    assert_eq!(secret.expose_secret(), &[1; 32]);
    assert_eq!(*guard, [2; 32]);
    assert_eq!(copy.expose_secret(), [7; 100]);
    drop(std::mem::ManuallyDrop::into_inner(copy));
}

#[test]
fn infallible_forms_panic_with_the_reason() {
    if !alone("forked::infallible_forms_panic_with_the_reason") {
        return;
    }
    let secret = SecretBox::new([1u8; 32]);
    let code = in_child(|| {
        let panic = catch_unwind(AssertUnwindSafe(|| secret.expose_secret()[0])).unwrap_err();
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert_eq!(
            text,
            "casemate: secure memory: the secure buffer belongs to the parent process and is not here"
        );
    });
    assert_eq!(code, 0);
    // The control: in the parent the same works.
    assert_eq!(secret.expose_secret()[0], 1);
    assert_eq!(in_child(|| assert_eq!(secret.expose_secret()[0], 1)), 101);
}

#[test]
fn a_fork_that_runs_no_handlers_is_noticed() {
    if !alone("forked::a_fork_that_runs_no_handlers_is_noticed") {
        return;
    }
    let secret = SecretBox::new([1u8; 32]);
    let flags = libc::SIGCHLD;
    // SAFETY: as `fork`, without handlers: the child has a copy of everything and one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if child == 0 {
        let own = SecretBox::new([2u8; 32]);
        let kind = secret.try_expose_secret().map_err(|error| error.kind());
        let good = kind == Err(ErrorKind::Inherited) && own.expose_secret() == &[2; 32];
        drop(secret);
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!good)) }
    }
    let mut status = 0;
    // SAFETY: a place for the status of a child of ours.
    assert_eq!(unsafe { libc::waitpid(child as i32, &mut status, 0) }, child as i32);
    assert_eq!(status, 0);
    assert_eq!(secret.expose_secret(), &[1; 32]);
}

#[cfg(feature = "shielded")]
#[test]
fn a_shielded_value_stays_with_its_process() {
    use casemate::secure::{ShieldError, Shielded};

    if !alone("forked::a_shielded_value_stays_with_its_process") {
        return;
    }
    let shielded = Shielded::new(SecretBox::new([5u8; 32])).unwrap();
    let code = in_child(|| {
        let error = shielded.try_borrow().map(drop).unwrap_err();
        assert!(
            matches!(error, ShieldError::Secure(error) if error.kind() == ErrorKind::Inherited)
        );
        let own = Shielded::new(SecretBox::new([6u8; 32])).unwrap();
        assert_eq!(*own.try_borrow().unwrap(), [6; 32]);
        drop(shielded);
    });
    assert_eq!(code, 0);
}
