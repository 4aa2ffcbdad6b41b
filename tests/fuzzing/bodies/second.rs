//! A second thread that does what it is told, for as long as the first one lives.

use std::cell::OnceCell;
use std::sync::mpsc::{Receiver, Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

struct Second {
    jobs: Sender<Job>,
    done: Receiver<()>,
}

thread_local! {
    static SECOND: OnceCell<Second> = const { OnceCell::new() };
}

fn second() -> Second {
    let (jobs, work) = channel::<Job>();
    let (say, done) = channel();
    std::thread::spawn(move || {
        for job in work {
            job();
            if say.send(()).is_err() {
                break;
            }
        }
    });
    Second { jobs, done }
}

/// Has the second thread do `theirs` while this one does `ours`.
pub fn both<A: Send + 'static, B>(
    theirs: impl FnOnce() -> A + Send + 'static,
    ours: impl FnOnce() -> B,
) -> (A, B) {
    SECOND.with(|cell| {
        let second = cell.get_or_init(second);
        let (give, result) = channel();
        let job = move || {
            let _ = give.send(theirs());
        };
        second.jobs.send(Box::new(job)).expect("the second thread lives");
        let ours = ours();
        second.done.recv().expect("the second thread panicked");
        (result.recv().expect("it has an answer"), ours)
    })
}

/// Which thread does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The one that runs the body.
    First,
    /// The other.
    Second,
}

impl Who {
    /// Both.
    pub const ALL: [Who; 2] = [Who::First, Who::Second];

    /// One of them.
    pub fn of(byte: u8) -> Who {
        Who::ALL[usize::from(byte & 1)]
    }

    /// Has this thread do it.
    pub fn does<R: Send + 'static>(self, job: impl FnOnce() -> R + Send + 'static) -> R {
        match self {
            Who::First => job(),
            Who::Second => both(job, || ()).0,
        }
    }
}
