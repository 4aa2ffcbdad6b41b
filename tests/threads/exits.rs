//! Allocation and free inside whatever runs at a thread's end, however late.

use crate::child;
use crate::raw::Raw;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Destructors that ran to their end.
static RAN: AtomicUsize = AtomicUsize::new(0);

const THREADS: usize = 50;

/// Objects that a destructor inherits.
struct Kept(Vec<Raw>);

/// What a destructor does: takes and frees small and large objects, and frees some that the
/// thread's own heap made when the thread still had it.
fn busy(Kept(kept): &mut Kept) {
    for size in [16, 200, 3000, 20_000, 200_000] {
        let mut object = Raw::new(size).expect("memory");
        object.resize(size * 2).expect("memory");
        kept.push(object);
        if kept.len() > 20 {
            kept.swap_remove(3).free();
        }
    }
    RAN.fetch_add(1, Ordering::SeqCst);
}

fn in_threads(body: fn()) {
    for _ in 0..THREADS / 2 {
        let pair = [(); 2].map(|()| std::thread::spawn(body));
        pair.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
    casemate::verify().expect("every invariant");
}

/// More than the thread's first allocations, which guest heaps serve.
fn earn_a_heap() -> Vec<Raw> {
    (0..300).map(|i| Raw::new(16 + i % 900).expect("memory")).collect()
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last(Kept(Vec::new()))) };
    static ROUND: Cell<u32> = const { Cell::new(0) };
}

/// Rust's own destructors of thread-locals.
struct Last(Kept);

impl Drop for Last {
    fn drop(&mut self) {
        busy(&mut self.0);
        self.0.0.drain(..).for_each(Raw::free);
    }
}

#[test]
fn destructors_of_thread_locals() {
    child::run("exits::destructors_of_thread_locals", || {
        in_threads(|| LAST.with_borrow_mut(|last| last.0 = Kept(earn_a_heap())));
        assert_eq!(RAN.load(Ordering::SeqCst), THREADS);
    });
}

static KEY: AtomicUsize = AtomicUsize::new(0);

/// A key's destructor that asks for as many rounds as there are, the last ones after the heap was
/// given up: four in glibc.
unsafe extern "C" fn every_round(value: *mut c_void) {
    // SAFETY: the value is what `set` made from a box, used by one round after the other.
    let mut kept = unsafe { Box::from_raw(value.cast::<Kept>()) };
    busy(&mut kept);
    ROUND.set(ROUND.get() + 1);
    if ROUND.get() < 4 {
        set(kept);
    } else {
        kept.0.drain(..).for_each(Raw::free);
    }
}

fn set(kept: Box<Kept>) {
    let key = KEY.load(Ordering::SeqCst) as libc::pthread_key_t;
    // SAFETY: the key exists; its destructor takes the box back.
    assert_eq!(unsafe { libc::pthread_setspecific(key, Box::into_raw(kept).cast()) }, 0);
}

fn make_key() {
    let mut key = 0;
    // SAFETY: a valid place for the number, and a destructor for values that `set` makes.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(every_round)) }, 0);
    KEY.store(key as usize, Ordering::SeqCst);
}

#[test]
fn four_rounds_of_an_earlier_key() {
    // Made before the heap made its own: destroyed before it in every round.
    child::run("exits::four_rounds_of_an_earlier_key", || {
        make_key();
        in_threads(|| set(Box::new(Kept(earn_a_heap()))));
        assert_eq!(RAN.load(Ordering::SeqCst), 4 * THREADS);
    });
}

#[test]
fn four_rounds_of_a_later_key() {
    child::run("exits::four_rounds_of_a_later_key", || {
        earn_a_heap().into_iter().for_each(Raw::free);
        make_key();
        in_threads(|| set(Box::new(Kept(earn_a_heap()))));
        assert_eq!(RAN.load(Ordering::SeqCst), 4 * THREADS);
    });
}

unsafe extern "C" {
    /// What a C++ `thread_local` with a destructor calls.
    fn __cxa_thread_atexit_impl(
        run: unsafe extern "C" fn(*mut c_void),
        object: *mut c_void,
        library: *mut c_void,
    ) -> libc::c_int;
}

unsafe extern "C" fn at_exit(object: *mut c_void) {
    // SAFETY: the object is a box that the registration gave away.
    let mut kept = unsafe { Box::from_raw(object.cast::<Kept>()) };
    busy(&mut kept);
    // Once more from within, as a destructor that uses another thread-local would.
    if kept.0.len() < 300 {
        kept.0.extend(earn_a_heap());
        register(kept);
    } else {
        kept.0.drain(..).for_each(Raw::free);
    }
}

fn register(kept: Box<Kept>) {
    let object = Box::into_raw(kept).cast();
    // SAFETY: the function takes what is passed with it, and this program is never unloaded.
    let done = unsafe { __cxa_thread_atexit_impl(at_exit, object, std::ptr::null_mut()) };
    assert_eq!(done, 0);
}

#[test]
fn destructors_of_other_languages() {
    child::run("exits::destructors_of_other_languages", || {
        in_threads(|| register(Box::new(Kept(earn_a_heap().split_off(290)))));
        assert_eq!(RAN.load(Ordering::SeqCst), 2 * THREADS);
    });
}

/// The process's own end, with threads still running.
#[test]
fn the_end_of_the_process() {
    extern "C" fn late() {
        let mut kept = Kept(Vec::new());
        busy(&mut kept);
        kept.0.drain(..).for_each(Raw::free);
    }
    child::run("exits::the_end_of_the_process", || {
        // SAFETY: the function takes nothing.
        assert_eq!(unsafe { libc::atexit(late) }, 0);
        for _ in 0..4 {
            std::thread::spawn(|| {
                loop {
                    earn_a_heap().into_iter().for_each(Raw::free);
                }
            });
        }
    });
}
