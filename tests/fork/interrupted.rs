//! Forks by signal handlers that interrupted the heap, and handlers that come while a child starts
//! over. (C and Rust forbid what they do; a heap that ends up there anyway must not be damaged.)

use crate::child;
use crate::load::{some, use_heap};
use crate::raw::Raw;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a child ends with whose work went well; a thread that panics ends it with another status.
const WELL: libc::c_int = 77;

/// The thread that works; signals that reach another (the harness's) are passed on.
static WORKER: AtomicUsize = AtomicUsize::new(0);
static FORKS: AtomicUsize = AtomicUsize::new(0);
static PERIOD: AtomicUsize = AtomicUsize::new(0);
static IN_CHILD: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicUsize = AtomicUsize::new(0);

fn install(handler: extern "C" fn(libc::c_int), signal: libc::c_int) {
    // SAFETY: the handler makes no assumption about what it interrupts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Sends this process the signal when it has worked for so long, or stops that. Once: a handler
/// asks for the next, or a fork that takes longer than that would leave no time for work between
/// two.
fn after(micros: libc::suseconds_t) {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval {
        it_interval: never,
        it_value: libc::timeval { tv_sec: 0, tv_usec: micros },
    };
    // SAFETY: the structure is valid for the call.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
}

/// Has the calling thread fork again and again.
fn start(micros: libc::suseconds_t) {
    // SAFETY: takes nothing.
    WORKER.store(unsafe { libc::pthread_self() } as usize, Ordering::SeqCst);
    PERIOD.store(micros as usize, Ordering::SeqCst);
    install(forks, libc::SIGPROF);
    after(micros);
}

/// The child goes back to whatever was interrupted; the parent waits for it, then does so too.
extern "C" fn forks(signal: libc::c_int) {
    if IN_CHILD.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the worker runs as long as there are signals.
    unsafe {
        let worker = WORKER.load(Ordering::Relaxed) as libc::pthread_t;
        if libc::pthread_self() != worker {
            libc::pthread_kill(worker, signal);
            return;
        }
    }
    // SAFETY: both sides go on with the heap alone, which is what is tested.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        IN_CHILD.store(true, Ordering::Relaxed);
        // SAFETY: of this child alone.
        unsafe { libc::alarm(60) };
    }
    if let Some(object) = Raw::new(500) {
        object.free();
    }
    if pid > 0 {
        FORKS.fetch_add(1, Ordering::Relaxed);
        let mut status = 0;
        // SAFETY: this handler's child, and a valid place.
        while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
        if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != WELL {
            BROKEN.store(status as usize | 1 << 32, Ordering::Relaxed);
        }
        after(PERIOD.load(Ordering::Relaxed) as libc::suseconds_t);
    }
}

/// Allocates and frees until there were enough forks; a child ends here.
fn work(sizes: &[usize], forks: usize) {
    let mut held: Vec<Raw> = Vec::with_capacity(8);
    let (mut done, mut as_a_child) = (0, 0);
    let end = Instant::now() + Duration::from_secs(20);
    while IN_CHILD.load(Ordering::Relaxed)
        || FORKS.load(Ordering::Relaxed) < forks && Instant::now() < end
    {
        held.push(Raw::new(sizes[done % sizes.len()] + done % 5).expect("memory"));
        if held.len() == held.capacity() {
            held.swap_remove(done % 8).free();
        }
        done += 1;
        as_a_child += usize::from(IN_CHILD.load(Ordering::Relaxed));
        if as_a_child == 30 {
            held.drain(..).for_each(Raw::free);
            use_heap(1);
            casemate::verify().expect("every invariant");
            // SAFETY: ends the child.
            unsafe { libc::_exit(WELL) };
        }
    }
    PERIOD.store(0, Ordering::SeqCst);
    after(0);
    held.into_iter().for_each(Raw::free);
    let forks = FORKS.load(Ordering::Relaxed);
    println!("{forks} forks");
    assert!(forks > 0);
    let broken = BROKEN.load(Ordering::Relaxed);
    assert_eq!(broken, 0, "a child ended with status {:#x}", broken as u32);
    casemate::verify().expect("every invariant");
}

#[test]
fn in_the_middle_of_large_objects() {
    child::run("interrupted::in_the_middle_of_large_objects", || {
        start(700);
        work(&[1_100_000, 1_300_000], 60);
    });
}

#[test]
fn in_the_middle_of_growth() {
    child::run("interrupted::in_the_middle_of_growth", || {
        start(700);
        work(&[16, 300, 4096, 40_000, 70_000, 200_000, 1 << 20], 60);
    });
}

/// The handler of another thread forks while this one waits for locks or holds them.
#[test]
fn beside_a_thread_that_uses_the_same_locks() {
    child::run("interrupted::beside_a_thread_that_uses_the_same_locks", || {
        static STOP: AtomicBool = AtomicBool::new(false);
        let beside = std::thread::spawn(|| {
            // SAFETY: an initialised set, of this thread alone.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigaddset(&raw mut set, libc::SIGPROF);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            }
            while !STOP.load(Ordering::Relaxed) {
                Raw::new(1_200_000).expect("memory").free();
                use_heap(1);
            }
        });
        start(900);
        work(&[1_200_000, 40_000, 70_000, 200_000], 50);
        STOP.store(true, Ordering::SeqCst);
        beside.join().expect("no panic");
    });
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

/// Takes objects of the sizes whose magazines a child has yet to shuffle, and frees some.
extern "C" fn allocates(_: libc::c_int) {
    let n = HANDLED.fetch_add(1, Ordering::Relaxed);
    for size in [24, 90, 400, 1500, 6000] {
        if let Some(object) = Raw::new(size + n % 3)
            && n.is_multiple_of(3)
        {
            object.free();
        }
    }
}

/// Signals reach the child from its first instruction on.
#[test]
fn handlers_while_a_child_starts_over() {
    child::run("interrupted::handlers_while_a_child_starts_over", || {
        install(allocates, libc::SIGUSR1);
        // Much to take in.
        let kept: Vec<Raw> = (0..200).flat_map(|_| some()).collect();
        let mut handled = 0;
        for i in 0..40 {
            let mut ends = [0; 2];
            // SAFETY: room for two descriptors; the child uses the heap, writes and leaves.
            let pid = unsafe {
                assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
                libc::fork()
            };
            assert!(pid >= 0, "{}", io::Error::last_os_error());
            if pid == 0 {
                // SAFETY: of this child alone.
                unsafe { libc::alarm(60) };
                some().into_iter().for_each(Raw::free);
                let count = HANDLED.load(Ordering::Relaxed);
                // No more of them: the walk needs quiet.
                // SAFETY: valid for the calls; ends the child.
                unsafe {
                    libc::signal(libc::SIGUSR1, libc::SIG_IGN);
                    let sound = casemate::verify().is_ok();
                    libc::write(ends[1], (&raw const count).cast(), size_of::<usize>());
                    libc::_exit(if sound { WELL } else { 1 });
                }
            }
            let (mut status, mut count) = (0, 0usize);
            // SAFETY: the child is this function's own until it was waited for, so are the
            // descriptors; all places are valid.
            unsafe {
                while libc::waitpid(pid, &raw mut status, libc::WNOHANG) == 0 {
                    libc::kill(pid, libc::SIGUSR1);
                }
                libc::close(ends[1]);
                libc::read(ends[0], (&raw mut count).cast(), size_of::<usize>());
                libc::close(ends[0]);
            }
            let well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == WELL;
            assert!(well, "child {i}: status {status:#x}");
            handled += count;
        }
        println!("{handled} signals in children");
        assert!(handled > 0);
        kept.into_iter().for_each(Raw::free);
        casemate::verify().expect("every invariant");
    });
}
