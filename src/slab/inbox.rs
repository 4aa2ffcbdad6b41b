//! Layer: mechanisms. A heap's inbox: the groups in which others have freed objects.
//!
//! A stack of groups linked through [`OthersPart::next`]. Any thread pushes; only the owner takes,
//! and takes everything at once, so no element is ever compared against a stale head.

use super::group::OthersPart;
use crate::sync::{AtomicU64, Ordering};

/// Names a group in an inbox; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// The head of the stack; 0 when empty.
#[derive(Default)]
#[repr(transparent)]
pub struct Inbox(AtomicU64);

impl Inbox {
    /// An inbox with nothing in it.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, never used in place"
    )]
    #[cfg(not(loom))]
    pub const EMPTY: Inbox = Inbox(AtomicU64::new(0));

    /// Puts a group on the inbox. The caller holds the group's [`Handover::Push`] and touches
    /// nothing of the group afterwards: the owner may give it away at once.
    ///
    /// [`Handover::Push`]: super::group::Handover::Push
    #[inline]
    pub fn push(&self, ticket: Ticket, group: &OthersPart) {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            group.next.store(head, Ordering::Relaxed);
            // Release: the owner that takes the head sees `next`.
            match self.0.compare_exchange_weak(head, ticket.0, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether there may be something to take: a hint, for the owner.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Owner: takes all of it; the first ticket of the chain. The next one is read with
    /// [`next`](Inbox::next) before the group is folded.
    #[inline]
    pub fn take(&self) -> Option<Ticket> {
        some(self.0.swap(0, Ordering::Acquire))
    }

    /// Owner: the ticket after a group that was taken.
    #[inline]
    pub fn next(group: &OthersPart) -> Option<Ticket> {
        some(group.next.load(Ordering::Relaxed))
    }
}

#[inline]
fn some(ticket: u64) -> Option<Ticket> {
    if ticket == 0 { None } else { Some(Ticket(ticket)) }
}
