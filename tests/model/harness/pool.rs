//! Worker threads that carry out actions on the heap and look at the objects they touch.
//!
//! They persist from one sequence to the next, as does the heap: reuse, adoption and giving back
//! need a history.

#![expect(unsafe_code, reason = "calls an allocator and looks into its objects")]

use super::content;
use super::model::Object;
use super::subject::{Outcome, Subject};
use casemate::Verified;
use std::alloc::Layout;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What a worker is told to do.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Allocate, and fill with this seed's pattern.
    Allocate(Layout, Zeroed, u64),
    /// Look at an object and free it.
    Free(Object),
    /// Look at an object and give it another size, and a new pattern.
    Reallocate(Object, usize, u64),
    /// Walk the invariants.
    Verify,
    /// Behave as after the thread's exit handlers.
    Leave,
}

/// Whether zeroed memory is asked for.
pub type Zeroed = bool;

/// What came of an action.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// An object, new or moved.
    Object(Object),
    /// No memory for a new one.
    Null,
    /// No memory for the new size: the object is as it was.
    Kept(Object),
    /// What the walk saw.
    Verified(Verified),
    /// Nothing to tell.
    Nothing,
}

struct Worker {
    send: Sender<Vec<Action>>,
    receive: Receiver<Outcome<Vec<Done>>>,
    thread: JoinHandle<()>,
}

/// A heap and the threads that use it.
pub struct Pool<S: Subject> {
    subject: S,
    workers: Vec<Worker>,
}

impl<S: Subject> Pool<S> {
    /// A pool of this many threads.
    pub fn new(subject: S, workers: usize) -> Self {
        let workers = (0..workers).map(|number| start(subject.clone(), number)).collect();
        Pool { subject, workers }
    }

    /// How many threads.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Has all workers do their lists at the same time, and waits. Results come in the order of
    /// the actions.
    pub fn round(&self, lists: &mut [Vec<Action>]) -> Outcome<Vec<Done>> {
        let mut asked = Vec::new();
        for (worker, list) in self.workers.iter().zip(lists) {
            if !list.is_empty() {
                worker.send.send(std::mem::take(list)).map_err(|_| "a worker ended")?;
                asked.push(worker);
            }
        }
        let mut all = Vec::new();
        // Every answer is waited for even if one is bad: nothing may be under way afterwards.
        let answers: Vec<_> = asked.iter().map(|worker| worker.receive.recv()).collect();
        for answer in answers {
            all.extend(answer.map_err(|_| "a worker ended")??);
        }
        Ok(all)
    }

    /// Ends a worker's thread and starts another in its place.
    pub fn replace(&mut self, number: usize) -> Outcome<()> {
        let fresh = start(self.subject.clone(), number);
        let old = std::mem::replace(&mut self.workers[number], fresh);
        drop(old.send);
        old.thread.join().map_err(|_| "a worker panicked".into())
    }

    /// Ends the threads and gives up the heap, which nobody else uses.
    pub fn end(self) {
        let subject = self.subject.clone();
        drop(self);
        subject.discard();
    }

    /// Lets every worker walk the invariants, one after the other, since each sees its own heap
    /// and what belongs to no thread. Returns all live objects that the walks saw.
    pub fn verify(&self) -> Outcome<usize> {
        // This thread has no heap: what it sees is common to all.
        let common = self.subject.verify()?;
        let mut live = common.objects + common.large;
        for number in 0..self.workers.len() {
            let mut lists = vec![Vec::new(); self.workers.len()];
            lists[number].push(Action::Verify);
            if let [Done::Verified(seen)] = self.round(&mut lists)?[..] {
                live += seen.objects.saturating_sub(common.objects);
            }
        }
        Ok(live)
    }
}

impl<S: Subject> Drop for Pool<S> {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            drop(worker.send);
            let _ = worker.thread.join();
        }
    }
}

fn start<S: Subject>(subject: S, number: usize) -> Worker {
    let (send, actions) = channel::<Vec<Action>>();
    let (answer, receive) = channel();
    let thread = std::thread::spawn(move || {
        for list in actions {
            let done = list.into_iter().map(|action| act(&subject, number, action)).collect();
            if answer.send(done).is_err() {
                break;
            }
        }
        subject.leave();
    });
    Worker { send, receive, thread }
}

fn act<S: Subject>(subject: &S, by: usize, action: Action) -> Outcome<Done> {
    match action {
        Action::Allocate(layout, zeroed, seed) => {
            let object = Object { address: 0, layout, seed, by };
            allocate(subject, object, zeroed)
        }
        Action::Free(object) => {
            check(&object)?;
            // SAFETY: the model took the object out: it is live and this is its only use.
            unsafe { subject.free(pointer(object.address), object.layout) }?;
            Ok(Done::Nothing)
        }
        Action::Reallocate(object, size, seed) => {
            let layout =
                Layout::from_size_align(size, object.layout.align()).map_err(|e| e.to_string())?;
            reallocate(subject, object, Object { address: 0, layout, seed, by })
        }
        Action::Verify => subject.verify().map(Done::Verified),
        Action::Leave => {
            subject.leave();
            Ok(Done::Nothing)
        }
    }
}

fn allocate<S: Subject>(subject: &S, wanted: Object, zeroed: Zeroed) -> Outcome<Done> {
    let at = subject.allocate(wanted.layout, zeroed)?;
    if at.is_null() {
        return Ok(Done::Null);
    }
    let object = Object { address: at.expose_provenance(), ..wanted };
    // SAFETY: just allocated with this size, and nobody else knows it. Fresh memory of the
    // kernel or the heap's own writes: initialised in the sense that matters here.
    let bytes = unsafe { std::slice::from_raw_parts_mut(at, object.layout.size()) };
    if (zeroed || S::ZERO)
        && let Some(offset) = content::nonzero(bytes)
    {
        return Err(format!("not zero at offset {offset}: {object:x?}"));
    }
    content::fill(bytes, object.seed);
    Ok(Done::Object(object))
}

fn reallocate<S: Subject>(subject: &S, old: Object, wanted: Object) -> Outcome<Done> {
    check(&old)?;
    let size = wanted.layout.size();
    // SAFETY: the model took the object out: it is live and this is its only use; the size is
    // not 0 and keeps below the limit of layouts.
    let at = unsafe { subject.reallocate(pointer(old.address), old.layout, size) }?;
    if at.is_null() {
        check(&old)?;
        return Ok(Done::Kept(old));
    }
    let object = Object { address: at.expose_provenance(), ..wanted };
    // SAFETY: as for a new object.
    let bytes = unsafe { std::slice::from_raw_parts_mut(at, size) };
    let kept = size.min(old.layout.size());
    if let Some(offset) = content::difference(&bytes[..kept], old.layout.size(), old.seed) {
        return Err(format!("realloc lost offset {offset}: {old:x?} became {object:x?}"));
    }
    if S::ZERO
        && let Some(offset) = content::nonzero(&bytes[kept..])
    {
        return Err(format!("grown part not zero at {offset}: {old:x?} became {object:x?}"));
    }
    content::fill(bytes, object.seed);
    Ok(Done::Object(object))
}

/// The object holds what was written to it.
fn check(object: &Object) -> Outcome<()> {
    // SAFETY: live with this size, and the caller has the only use of it.
    let bytes =
        unsafe { std::slice::from_raw_parts(pointer(object.address), object.layout.size()) };
    match content::difference(bytes, bytes.len(), object.seed) {
        None => Ok(()),
        Some(offset) => Err(format!("changed at offset {offset}: {object:x?}")),
    }
}

fn pointer(address: usize) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(address)
}
