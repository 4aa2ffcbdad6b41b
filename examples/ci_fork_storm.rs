//! For `ci/fork-storm`: forks of a program with many busy threads, one after the other; every
//! child uses the heap, frees what its parent made, starts a thread and verifies.

#![expect(unsafe_code, reason = "fork and its kin")]

#[path = "ci_shared/bare_thread.rs"]
mod bare_thread;

use bare_thread::BareThread;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

static STOP: AtomicBool = AtomicBool::new(false);

fn object(i: usize) -> Vec<u8> {
    vec![1; if i % 50 == 49 { 150_000 } else { [16, 100, 500, 2000, 7000][i % 5] + i % 30 }]
}

fn use_heap(objects: usize) {
    let mut held: Vec<_> = (0..objects).map(object).collect();
    held.iter_mut().step_by(3).for_each(|bytes| bytes.extend_from_slice(&[2; 100]));
    assert!(held.iter().all(|bytes| bytes[0] == 1));
}

fn busy() -> Vec<std::thread::JoinHandle<()>> {
    let (send, receive) = sync_channel(300);
    let maker = move || {
        let mut i = 0;
        while !STOP.load(Relaxed) {
            let _ = send.try_send(object(i));
            i += 1;
        }
    };
    let comes_and_goes = || {
        while !STOP.load(Relaxed) {
            std::thread::spawn(|| use_heap(150)).join().expect("no panic");
        }
    };
    let works = || {
        while !STOP.load(Relaxed) {
            use_heap(100);
        }
    };
    let takes = move || receive.iter().for_each(drop);
    vec![
        std::thread::spawn(maker),
        std::thread::spawn(takes),
        std::thread::spawn(comes_and_goes),
        std::thread::spawn(works),
    ]
}

/// Makes a child by `fork`, or now and then by the bare system call.
fn child(bare: bool, body: impl FnOnce()) -> i32 {
    // SAFETY: the child has one thread, runs `body` and leaves without exit handlers.
    unsafe {
        let flags = libc::SIGCHLD;
        let pid = match bare {
            true => libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) as i32,
            false => libc::fork(),
        };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            libc::alarm(60);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            libc::_exit(i32::from(done.is_err()));
        }
        let mut status = 0;
        while libc::waitpid(pid, &raw mut status, 0) != pid {}
        status
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let forks: usize = arguments.next().map_or(1000, |n| n.parse().expect("a number"));
    let bare = arguments.next().is_some_and(|word| word == "bare");
    let threads = busy();
    for i in 0..forks {
        let inherited: Vec<_> = (0..60).map(object).collect();
        let status = child(bare, || {
            drop(inherited.clone());
            // What the parent made, freed here; the parent frees its own copy.
            // SAFETY: this process's copies are not used again: it leaves by `_exit`.
            inherited.iter().for_each(|bytes| drop(unsafe { std::ptr::read(bytes) }));
            use_heap(60);
            if !bare {
                BareThread::start(|| use_heap(120)).join();
            }
            casemate::verify().expect("every invariant");
        });
        assert_eq!(status, 0, "child {i}: wait status {status:#x}");
    }
    STOP.store(true, Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    casemate::verify().expect("every invariant");
    println!("{forks} forks seen: {}", casemate::stats().forks);
}
