//! A child with one processor, whatever the machine has.

/// Leaves one of those that the process may run on.
pub fn on_one_processor() -> std::io::Result<()> {
    let mut mask = [0u64; 128];
    // SAFETY: the kernel writes at most this length.
    let len = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr())
    };
    let word = mask.iter().position(|&word| word != 0);
    let (true, Some(word)) = (len > 0, word) else { return Err(std::io::ErrorKind::Other.into()) };
    let bit = mask[word] & mask[word].wrapping_neg();
    mask = [0; 128];
    mask[word] = bit;
    // SAFETY: a mask of this length; the child's alone.
    match unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask), mask.as_ptr())
    } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
