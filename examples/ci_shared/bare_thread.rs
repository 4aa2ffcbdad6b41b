//! Threads without the standard library's part. It takes locks of its own when a thread starts
//! (its table of stack guards is one), so in a forked child of a program whose other threads come
//! and go `std::thread::spawn` can wait for a lock that nobody is left to release.

use core::ffi::c_void;
use core::ptr::null_mut;

/// A thread that runs a function, to be joined.
pub struct BareThread(libc::pthread_t);

impl BareThread {
    /// Starts one. A panic in `body` ends the process.
    pub fn start(body: fn()) -> BareThread {
        extern "C" fn run(body: *mut c_void) -> *mut c_void {
            // SAFETY: what `start` passed: a function without arguments.
            let body: fn() = unsafe { core::mem::transmute(body) };
            body();
            null_mut()
        }
        let mut thread = 0;
        // SAFETY: a valid place for the handle; `run` takes what is passed.
        let failed = unsafe {
            libc::pthread_create(&raw mut thread, core::ptr::null(), run, body as *mut c_void)
        };
        assert_eq!(failed, 0, "{}", std::io::Error::from_raw_os_error(failed));
        BareThread(thread)
    }

    /// Waits for its end.
    pub fn join(self) {
        // SAFETY: started and not joined before.
        let failed = unsafe { libc::pthread_join(self.0, null_mut()) };
        assert_eq!(failed, 0, "{}", std::io::Error::from_raw_os_error(failed));
    }
}
