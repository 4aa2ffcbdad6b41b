//! The child's threads: where objects come from, and who misuses them.
#![expect(unsafe_code, reason = "calls the allocator, rightly and wrongly")]

use crate::child::leave;
use crate::plan::share_group;
use crate::setting::{Role, Setting, Target, layout};
use crate::subject::{self, Subject};
use crate::verdict::Exit;
use casemate::inside::{HEAP_SHIFT, replace_thread_word, thread_word};
use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::with_exposed_provenance_mut;
use std::sync::mpsc;

/// A thread's access to the allocator. Objects are addresses: they go from thread to thread.
///
/// Its functions look safe and are not; see `memory`.
#[derive(Clone, Copy)]
pub struct Hand {
    subject: &'static dyn Subject,
    guest: bool,
}

impl Hand {
    /// Allocates.
    pub fn take(self, layout: Layout) -> usize {
        if self.guest {
            // The thread's next allocations are its first ones again: it never earns a heap.
            // SAFETY: the thread is a guest and has no heap to forget.
            unsafe { replace_thread_word(0) };
        }
        let at = black_box(self.subject.alloc(layout));
        if at.is_null() {
            leave(Exit::SetUp);
        }
        at.expose_provenance()
    }

    /// Allocates many.
    pub fn take_many(self, layout: Layout, n: usize) -> Vec<usize> {
        (0..n).map(|_| self.take(layout)).collect()
    }

    /// Frees.
    pub fn free(self, at: usize, layout: Layout) {
        // SAFETY: none where it matters: the cases pass what must not be passed.
        unsafe { self.subject.dealloc(black_box(with_exposed_provenance_mut(at)), layout) }
    }

    /// Frees those that are not in `but`.
    pub fn free_all(self, all: &[usize], but: &[usize], layout: Layout) {
        all.iter().filter(|at| !but.contains(at)).for_each(|&at| self.free(at, layout));
    }

    /// Resizes.
    pub fn resize(self, at: usize, layout: Layout, size: usize) -> usize {
        let at = black_box(with_exposed_provenance_mut(at));
        // SAFETY: as for `free`.
        unsafe { self.subject.realloc(at, layout, size) }.expose_provenance()
    }

    /// Correct use, one object at a time.
    pub fn churn(self, layout: Layout, pairs: usize) {
        for _ in 0..pairs {
            let at = self.take(layout);
            self.free(at, layout);
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A child's setting and threads.
pub struct Scene {
    pub setting: Setting,
    pub target: Target,
    /// The thread that runs the case, and misuses.
    pub here: Hand,
    /// The thread that allocates, if it is another.
    elsewhere: Option<mpsc::Sender<Job>>,
}

impl Scene {
    /// Makes the calling thread what the role asks for, and the heap start.
    pub fn new(setting: Setting) -> Scene {
        let here =
            Hand { subject: subject::named(setting.policy), guest: setting.role == Role::Guest };
        let elsewhere = (setting.role == Role::Other).then(|| {
            let (jobs, work) = mpsc::channel::<Job>();
            std::thread::spawn(move || work.iter().for_each(|job| job()));
            jobs
        });
        let scene = Scene { setting, target: setting.target, here, elsewhere };
        if scene.is_first_use() {
            return scene;
        }
        if !here.guest {
            scene.home(become_owner);
            become_owner(here);
        }
        here.churn(layout(300, 8), 1);
        scene
    }

    /// Runs `job` in the thread that allocates.
    pub fn home<R: Send + 'static>(&self, job: impl FnOnce(Hand) -> R + Send + 'static) -> R {
        let hand = self.here;
        let Some(jobs) = &self.elsewhere else { return job(hand) };
        let (give, result) = mpsc::channel();
        let job = move || {
            let _ = give.send(job(hand));
        };
        match jobs.send(Box::new(job)).ok().and_then(|()| result.recv().ok()) {
            Some(result) => result,
            // The thread panicked.
            None => leave(Exit::SetUp),
        }
    }

    /// Whether the case is the process's first use of the heap.
    pub fn is_first_use(&self) -> bool {
        self.setting.case.starts_with("first ")
    }

    /// An object.
    pub fn take(&self, layout: Layout) -> usize {
        self.home(move |hand| hand.take(layout))
    }

    /// Many.
    pub fn take_many(&self, layout: Layout, n: usize) -> Vec<usize> {
        self.home(move |hand| hand.take_many(layout, n))
    }

    /// Correct use where objects come from, until what is wrong comes to light: through several
    /// times the longest delay.
    pub fn churn(&self, layout: Layout) {
        let pairs = match self.target {
            Target::Smallest => 60_000,
            Target::Middle => 6_000,
            _ => 200,
        };
        self.home(move |hand| hand.churn(layout, pairs));
    }

    /// Enough objects to fill several groups.
    pub fn crowd(&self, layout: Layout) -> Vec<usize> {
        let n = if self.target.has_neighbours() { 400 } else { 4 };
        self.take_many(layout, n)
    }

    /// Many live objects, and two of them in slots of one group that touch, the lower one first.
    pub fn neighbours(&self, layout: Layout) -> (Vec<usize>, [usize; 2]) {
        let mut all = self.crowd(layout);
        all.sort_unstable();
        let slot = self.target.slot();
        let touch = |pair: &&[usize]| pair[1] - pair[0] == slot && share_group(pair[0], pair[1]);
        let pair = all[all.len() / 3..].windows(2).find(touch);
        match pair.map(|pair| [pair[0], pair[1]]) {
            Some(pair) => (all, pair),
            None => leave(Exit::SetUp),
        }
    }
}

/// Makes enough allocations to earn a heap.
fn become_owner(hand: Hand) {
    hand.churn(layout(200, 8), 70);
    if thread_word() >> HEAP_SHIFT == 0 {
        leave(Exit::SetUp);
    }
}
