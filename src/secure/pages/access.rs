//! Layer: faces. What may be done with a buffer's bytes: at rest, and while guards hold it open.

use super::{Table, fail};
use crate::os::{Linux, Os};
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::policy::Access;
use crate::secure::protection::{Protection, on};

impl Table<'_> {
    /// Changes what may be done with a buffer's bytes now.
    pub(super) fn set_now(&mut self, number: u32, access: Access) -> Result<(), SecureError> {
        let Some(entry) = self.entry_mut(number) else { return fail(ErrorKind::NotABuffer) };
        if entry.now == access {
            return Ok(());
        }
        let (at, len) = (entry.made.data, entry.made.data_len);
        let done = match access {
            _ if !on(Protection::Access) => Ok(()),
            Access::NoAccess => Linux::close(at, len),
            Access::ReadOnly => Linux::read_only(at, len),
            Access::ReadWrite => Linux::open(at, len),
        };
        match done {
            Ok(()) => {
                entry.now = access;
                Ok(())
            }
            Err(_) => fail(ErrorKind::Protect),
        }
    }

    /// Gives an open buffer the access that it had. What the kernel refuses to close is counted.
    pub fn close_again(&mut self, number: u32, access: Access) {
        if self.set_now(number, access).is_err() {
            self.pages.unclosed += 1;
        }
    }

    /// Sets the access without guards.
    pub fn protect(&mut self, at: usize, access: Access) -> Result<(), SecureError> {
        let number = self.live(at)?;
        if self.entry(number).is_some_and(|entry| entry.readers + entry.writers != 0) {
            return fail(ErrorKind::Borrowed);
        }
        self.protect_alone(at, access)
    }

    /// Sets the access; guards that are counted are forgotten.
    pub fn protect_alone(&mut self, at: usize, access: Access) -> Result<(), SecureError> {
        let number = self.live(at)?;
        self.set_now(number, access)?;
        if let Some(entry) = self.entry_mut(number) {
            (entry.rest, entry.readers, entry.writers) = (access, 0, 0);
        }
        Ok(())
    }

    /// Opens the buffer for one more guard.
    pub fn open(&mut self, at: usize, writes: bool) -> Result<usize, SecureError> {
        let number = self.live(at)?;
        let Some(&entry) = self.entry(number) else { return fail(ErrorKind::NotABuffer) };
        let count = if writes { entry.writers } else { entry.readers };
        if count == u32::MAX / 2 {
            return fail(ErrorKind::Borrowed);
        }
        let (readers, writers) =
            (entry.readers + u32::from(!writes), entry.writers + u32::from(writes));
        self.set_now(number, needed(entry.rest, readers, writers))?;
        if let Some(entry) = self.entry_mut(number) {
            (entry.readers, entry.writers) = (readers, writers);
        }
        Ok(entry.size)
    }

    /// A guard is gone: the last one takes the access away.
    pub fn close(&mut self, at: usize, writes: bool) -> Result<(), SecureError> {
        let number = self.live(at)?;
        let Some(entry) = self.entry_mut(number) else { return fail(ErrorKind::NotABuffer) };
        let count = if writes { &mut entry.writers } else { &mut entry.readers };
        *count = count.saturating_sub(1);
        let now = needed(entry.rest, entry.readers, entry.writers);
        self.set_now(number, now).inspect_err(|_| self.pages.unclosed += 1)
    }
}

/// The access that guards need, on top of that without them.
fn needed(rest: Access, readers: u32, writers: u32) -> Access {
    match rest {
        _ if writers != 0 => Access::ReadWrite,
        Access::NoAccess if readers != 0 => Access::ReadOnly,
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_add_to_the_access_without_them() {
        use Access::{NoAccess, ReadOnly, ReadWrite};
        for (rest, readers, writers, expected) in [
            (NoAccess, 0, 0, NoAccess),
            (NoAccess, 2, 0, ReadOnly),
            (NoAccess, 1, 1, ReadWrite),
            (ReadOnly, 1, 0, ReadOnly),
            (ReadOnly, 0, 1, ReadWrite),
            (ReadWrite, 3, 0, ReadWrite),
        ] {
            assert_eq!(needed(rest, readers, writers), expected);
        }
    }
}
