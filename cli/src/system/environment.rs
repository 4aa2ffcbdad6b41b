//! The environment, entry by entry as the launcher was given it: in its order, with names that are
//! there twice and entries without a `=`, none of which `std` keeps.
#![expect(unsafe_code, reason = "reads and sets environ")]

use libc::c_char;
use std::ffi::{CStr, CString};
use std::iter;
use std::ptr;

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// What a program shall have.
pub struct Environment {
    entries: Vec<CString>,
    /// Of all entries, and a null behind them.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers are of texts that the same value owns and nobody changes.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

impl Environment {
    /// The launcher's.
    pub fn inherited() -> Environment {
        let mut entries = Vec::new();
        // SAFETY: an array of C strings that ends with a null; the launcher never changes it, and has
        // one thread.
        unsafe {
            let mut at = environ;
            while !at.is_null() && !(*at).is_null() {
                entries.push(CStr::from_ptr(*at).to_owned());
                at = at.add(1);
            }
        }
        Environment::of(entries)
    }

    fn of(entries: Vec<CString>) -> Environment {
        let pointers = entries.iter().map(|entry| entry.as_ptr()).chain(iter::once(ptr::null()));
        Environment { pointers: pointers.collect(), entries }
    }

    /// What a name has for the dynamic loader: of several the last.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.entries.iter().rev().find_map(|entry| value(entry, name))
    }

    /// The same with this value, where the name was first or else at the end. `None` if the value
    /// has a byte that is 0.
    pub fn with(self, name: &str, new: &[u8]) -> Option<Environment> {
        let mut new = CString::new([name.as_bytes(), b"=", new].concat()).ok().map(Some)?;
        let mut entries = Vec::with_capacity(self.entries.len() + 1);
        for entry in self.entries {
            if value(&entry, name).is_none() {
                entries.push(entry);
            } else {
                entries.extend(new.take());
            }
        }
        entries.extend(new);
        Some(Environment::of(entries))
    }

    /// Gives it to what this process executes next. For a child, before that: async-signal-safe.
    pub fn install(&self) {
        // SAFETY: the array ends with a null; it and its texts live as long as the child, which has
        // one thread, does not execute.
        unsafe { environ = self.pointers.as_ptr() };
    }
}

fn value<'e>(entry: &'e CStr, name: &str) -> Option<&'e [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&CStr]) -> Environment {
        Environment::of(entries.iter().map(|&entry| entry.to_owned()).collect())
    }

    #[test]
    fn only_the_name_changes() {
        let before = of(&[c"B=1", c"A=2", c"none", c"X=old", c"A=3", c"=y", c"X=older", c"XY=z"]);
        assert_eq!(before.value("X"), Some(&b"older"[..]));
        let after = before.with("X", b"new").unwrap();
        assert_eq!(
            after.entries,
            [c"B=1", c"A=2", c"none", c"X=new", c"A=3", c"=y", c"XY=z"].map(CStr::to_owned)
        );
        assert_eq!(after.pointers.len(), after.entries.len() + 1);
        assert!(after.pointers.last().unwrap().is_null());
        let after = of(&[c"A=1"]).with("X", b"").unwrap();
        assert_eq!(after.entries, [c"A=1", c"X="].map(CStr::to_owned));
        assert!(after.with("X", b"\0").is_none());
    }
}
