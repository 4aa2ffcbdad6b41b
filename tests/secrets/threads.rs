//! Handles that go from thread to thread, guards that many hold, and threads that end.

use crate::child;
use crate::mark::{CONTROL, SECRET};
use crate::search::own;
use casemate::secure::{
    Access, GuardedBox, Policy, SafeBuffer, SecretBox, SecretString, SecretVec, secure_stats,
    secure_verify,
};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, RwLock, mpsc};
use std::thread;

fn nothing_is_left() {
    assert!(own(&SECRET).is_clear(), "{:x?}", own(&SECRET).runs);
    let seen = secure_stats();
    assert_eq!((seen.pooled_buffers, seen.own_pages_buffers), (0, 0), "{seen}");
    secure_verify().expect("every invariant");
}

#[test]
fn thread_locals_are_wiped_at_exit() {
    thread_local! {
        static KEYS: RefCell<Vec<SecretVec<u8>>> = const { RefCell::new(Vec::new()) };
        static BOX: RefCell<Option<GuardedBox<[u8; 64]>>> = const { RefCell::new(None) };
    }
    child::run("threads::thread_locals_are_wiped_at_exit", || {
        let (made, looked) = (Arc::new(Barrier::new(5)), Arc::new(Barrier::new(5)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (made, looked) = (Arc::clone(&made), Arc::clone(&looked));
                thread::spawn(move || {
                    KEYS.with_borrow_mut(|keys| {
                        for size in [64, 640, 6400] {
                            keys.push(SecretVec::from(SECRET.vec(size)));
                        }
                    });
                    BOX.set(Some(GuardedBox::init_with(|b: &mut [u8; 64]| SECRET.fill(b))));
                    std::mem::forget(CONTROL.vec(4096));
                    made.wait();
                    looked.wait();
                })
            })
            .collect();
        made.wait();
        assert!(own(&SECRET).runs.len() >= 12, "they are there");
        looked.wait();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        nothing_is_left();
        assert!(own(&CONTROL).runs.len() >= 4, "the control: what they leaked is there");
    });
}

/// Made by some, changed and dropped by others, some of which panic.
#[test]
fn handles_are_dropped_elsewhere() {
    child::run("threads::handles_are_dropped_elsewhere", || {
        enum Any {
            Box(SecretBox<[u8; 64]>),
            Vec(SecretVec<u8>),
            Text(SecretString),
            Guarded(GuardedBox<[u8; 64]>),
            Buffer(SafeBuffer),
        }
        let (send, receive) = mpsc::sync_channel::<Any>(64);
        thread::scope(|scope| {
            for t in 0..3 {
                let send = send.clone();
                scope.spawn(move || {
                    for i in t..600 {
                        let any = match i % 20 {
                            0 => Any::Guarded(GuardedBox::init_with(|b: &mut [u8; 64]| {
                                SECRET.fill(b)
                            })),
                            1 => {
                                let mut buffer = SafeBuffer::protectable(4096).expect("memory");
                                SECRET.fill(&mut buffer.borrow_mut());
                                buffer.set_rest(Access::NoAccess).expect("own pages");
                                Any::Buffer(buffer)
                            }
                            i if i % 3 == 0 => {
                                Any::Box(SecretBox::init_with(|b: &mut [u8; 64]| SECRET.fill(b)))
                            }
                            i if i % 3 == 1 => Any::Vec(SecretVec::from(SECRET.vec(64 * i))),
                            _ => {
                                let text = String::from_utf8(SECRET.vec(320)).expect("ASCII");
                                Any::Text(SecretString::from(text))
                            }
                        };
                        send.send(any).expect("the other end");
                    }
                });
            }
            drop(send);
            scope.spawn(move || {
                for any in receive {
                    match any {
                        Any::Box(one) => assert!(SECRET.is_all(one.expose_secret())),
                        Any::Vec(mut one) => {
                            one.extend_from_slice(&[7; 100]);
                            // Ends with the vector in the middle of something.
                            let _ = thread::spawn(move || {
                                assert!(SECRET.is_all(&one.expose_secret()[..one.len() - 100]));
                                std::panic::resume_unwind(Box::new(()));
                            })
                            .join();
                        }
                        Any::Text(one) => assert_eq!(one.len(), 320),
                        Any::Guarded(one) => assert!(SECRET.is_all(&*one.borrow())),
                        Any::Buffer(one) => assert!(SECRET.is_all(&one.borrow())),
                    }
                }
            });
        });
        nothing_is_left();
    });
}

/// Readers and writers of closed values, in all orders; closed whenever nobody is at them.
#[test]
fn borrow_guards_under_load() {
    child::run("threads::borrow_guards_under_load", || {
        let boxes: Vec<_> = (0..4)
            .map(|i| {
                let policy = Policy::best_effort();
                let policy = if i % 2 == 0 { policy } else { policy.hibernation_friendly() };
                let fill = |bytes: &mut [u8; 128]| {
                    SECRET.fill(&mut bytes[..64]);
                    Ok::<(), casemate::secure::SecureError>(())
                };
                let guarded = GuardedBox::<[u8; 128]>::try_init_with_policy(&policy, fill);
                RwLock::new(guarded.expect("memory"))
            })
            .collect();
        let together = Barrier::new(4);
        thread::scope(|scope| {
            for t in 0..4usize {
                let (boxes, together) = (&boxes, &together);
                scope.spawn(move || {
                    together.wait();
                    for i in 0..1500 {
                        let one = &boxes[(i * 7 + t) % boxes.len()];
                        if (i + t) % 8 == 0 {
                            let mut one = one.write().expect("no panic");
                            let mut open = one.borrow_mut();
                            open[64..].fill(t as u8);
                        } else {
                            let one = one.read().expect("no panic");
                            let (first, second) = (one.borrow(), one.borrow());
                            drop(first);
                            assert!(SECRET.is_all(&second[..64]));
                            let filler = second[127];
                            assert!(second[64..].iter().all(|&byte| byte == filler));
                            // Closed by another thread than it was opened by.
                            if i % 300 == 1 {
                                scope_drop(second);
                            }
                        }
                    }
                });
            }
        });
        for one in boxes {
            let one = one.into_inner().expect("no panic");
            assert_eq!(one.protections().expect("a buffer").access, Access::NoAccess);
        }
        assert_eq!(secure_stats().unclosed, 0);
        nothing_is_left();
    });
}

fn scope_drop(guard: casemate::secure::Opened<'_, [u8; 128]>) {
    thread::scope(|scope| {
        scope.spawn(move || drop(guard));
    });
}

/// The program ends while threads are at it.
#[test]
fn the_program_ends_meanwhile() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    child::run("threads::the_program_ends_meanwhile", || {
        for _ in 0..3 {
            thread::spawn(|| {
                let guarded = GuardedBox::<[u8; 64]>::init_with(|bytes| SECRET.fill(bytes));
                loop {
                    drop(SecretVec::from(SECRET.vec(640)));
                    drop(guarded.borrow());
                    STARTED.store(true, Ordering::Release);
                }
            });
        }
        while !STARTED.load(Ordering::Acquire) {
            thread::yield_now();
        }
    });
}
