//! What the results depend on: the C library and the kernel.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "asks the C library"))]

/// The C library's version, if it is glibc.
pub fn glibc() -> Option<String> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: glibc returns a constant C string.
        let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
        Some(version.to_string_lossy().into_owned())
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

/// The kernel's release.
pub fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Without what a vendor adds.
    release.trim().split('-').next().unwrap_or_default().to_owned()
}
