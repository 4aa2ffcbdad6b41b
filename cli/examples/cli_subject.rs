//! The program that the launcher's tests run: it does what its first argument says.
//!
//! Its allocator is the C library's, so the preload library serves it.
#![expect(unsafe_code, reason = "forks, misuses the heap, ends in unusual ways")]

use casemate_report::layout::{GENERAL, VARIABLE};
use casemate_report::mapping;
use libc::{c_int, c_void};
use std::hint::black_box;
use std::io::Read;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{env, ptr, thread};

fn main() {
    let mut arguments = env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let number = || arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    match what.as_str() {
        "exit" => std::process::exit({ number }()),
        "raise" => raise({ number }()),
        "double-free" => double_free(),
        "mismatch" => free_in_the_middle(),
        "family" => family(),
        "child-violates" => child_violates(),
        "violate-and-wait" => {
            child_violates();
            thread::sleep(Duration::from_secs(60));
        }
        "close-all" => close_all(),
        "sandbox" => sandbox(),
        "full-table" => full_table(),
        "forge" => forge(),
        "exec" => exec(),
        "signals" => signals(),
        "catch" => catch({ number }()),
        "sleep" => thread::sleep(Duration::from_secs(60)),
        "copy" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).expect("text");
            print!("{text}");
        }
        "environment" => {
            for name in ["LD_PRELOAD", VARIABLE] {
                println!("{name}={}", env::var(name).unwrap_or_default());
            }
        }
        "start-library" => start_library(),
        _ => panic!("{what}?"),
    }
}

fn malloc(size: usize) -> *mut u8 {
    let malloc: unsafe extern "C" fn(usize) -> *mut c_void = black_box(libc::malloc);
    // SAFETY: any size.
    black_box(unsafe { malloc(size) }.cast())
}

fn free(at: *mut u8) {
    let free: unsafe extern "C" fn(*mut c_void) = black_box(libc::free);
    // SAFETY: none where it is called a second time: that is what the test is about.
    unsafe { free(black_box(at.cast())) };
}

fn double_free() {
    let at = malloc(40);
    free(at);
    free(at);
}

fn free_in_the_middle() {
    free(malloc(100).wrapping_add(16));
}

/// Holds 4 MiB in small objects.
fn fill() -> Vec<*mut u8> {
    let objects: Vec<_> = (0..4096).map(|_| malloc(1000)).collect();
    objects.iter().for_each(|&at| {
        // SAFETY: this long.
        unsafe { at.write_bytes(1, 1000) };
    });
    // Past the interval between two stores.
    thread::sleep(Duration::from_millis(25));
    (0..200).for_each(|_| {
        let kept = malloc(5000);
        black_box(kept);
    });
    objects
}

/// Runs `body` in a fork and gives its status.
fn forked(body: impl FnOnce()) -> c_int {
    // SAFETY: this program has one thread; the child ends in `body` or right behind it.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            body();
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        status
    }
}

fn raise(signal: c_int) {
    // SAFETY: numbers. `std` ignores some and handles some.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Children that end in each way.
fn family() {
    forked(|| {
        black_box(fill());
    });
    forked(|| {
        black_box(fill());
        raise(libc::SIGKILL);
    });
    forked(|| {
        black_box(fill()).into_iter().for_each(free);
        // SAFETY: ends this child, by way of its exit handlers.
        unsafe { libc::exit(3) };
    });
}

fn child_violates() {
    let status = forked(double_free);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT);
}

fn close_all() {
    // SAFETY: this program needs none of them any more.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    black_box(fill());
    double_free();
}

/// Only `read`, `write`, `exit` and `sigreturn` from here on: not even the abort works.
fn sandbox() {
    let objects = fill();
    // SAFETY: numbers.
    let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, 1, 0, 0, 0) };
    assert_eq!(strict, 0, "no strict mode");
    free(objects[17]);
    free(objects[17]);
    // SAFETY: not reached under the library.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// As if 4,032 processes had taken records.
fn full_table() {
    let file = env::var(VARIABLE).expect("a descriptor").parse().expect("a number");
    let table = mapping::open(file).expect("a table");
    table.header.next.store(GENERAL as u32, Relaxed);
    forked(|| {
        black_box(fill());
    });
    child_violates();
}

/// Overwrites the whole table but its counters with what terminals obey.
fn forge() {
    let file: c_int = env::var(VARIABLE).expect("a descriptor").parse().expect("a number");
    let table = mapping::open(file).expect("a table");
    table.header.next.store(u32::MAX, Relaxed);
    table.header.next_reserved.store(u32::MAX, Relaxed);
    for record in &table.record {
        record.name.store(b"\x1b]0;owned\x07\x1b[2J\xff\x9b2J\r");
        record.line.store(b"casemate: \x1b[31mdouble free\x1b[0m \xe2\x80\xae");
        record.violations.store(u32::MAX, Relaxed);
        record.pid.store(u32::MAX, Relaxed);
        record.policy.store(99, Relaxed);
        record.numbers.iter().for_each(|cell| cell.store(u64::MAX, Relaxed));
        record.state.store(4, Relaxed);
    }
    // SAFETY: ends the process before the library's destructor says that all was well.
    unsafe { libc::_exit(0) };
}

fn exec() {
    use std::os::unix::process::CommandExt;
    black_box(fill());
    let me = env::current_exe().expect("a path");
    panic!("{}", std::process::Command::new(me).args(["exit", "5"]).exec());
}

/// What was inherited: ignored signals, blocked signals.
fn signals() {
    let text = std::fs::read_to_string("/proc/self/status").expect("status");
    let kept = ["SigBlk", "SigIgn"];
    text.lines().filter(|line| kept.iter().any(|name| line.starts_with(name))).for_each(|line| {
        println!("{line}");
    });
}

/// Says that it waits, then which signal came; ends with 9.
fn catch(signal: c_int) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialised by the first call.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
        println!("waiting");
        let mut got = 0;
        libc::sigwait(set.as_ptr(), &raw mut got);
        println!("got {got}");
    }
    std::process::exit(9);
}

/// The library's start-up in a program that was not given the library: whether it takes a record.
fn start_library() {
    // SAFETY: takes a number.
    println!("secure {}", unsafe { libc::getauxval(libc::AT_SECURE) });
    casemate_report::library::start();
}
