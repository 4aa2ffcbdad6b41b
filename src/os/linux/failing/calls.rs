//! Layer: os, tests only. The calls that can be made to fail, with the errors they have.

use libc::c_int;

macro_rules! calls {
    ($($name:ident = $text:literal: $($errno:ident),+;)*) => {
        /// A system call, with what it is asked to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call { $($name,)* }

        impl Call {
            /// Every one.
            pub const EACH: &[Call] = &[$(Call::$name,)*];

            /// Its name and arguments.
            pub const fn name(self) -> &'static str {
                match self { $(Call::$name => $text,)* }
            }

            /// The errors that the kernel, or a filter, gives for it.
            pub const fn errors(self) -> &'static [c_int] {
                match self { $(Call::$name => &[$(libc::$errno),+],)* }
            }
        }
    };
}

calls! {
    MapAnywhere = "mmap anywhere": ENOMEM, EPERM, EAGAIN;
    MapReserve = "mmap, inaccessible": ENOMEM, EEXIST, EPERM;
    MapPlace = "mmap at a place": ENOMEM, EEXIST, EPERM, EAGAIN;
    MapOver = "mmap over own memory": ENOMEM, EPERM, EAGAIN;
    TakeAway = "mmap over own memory, inaccessible": ENOMEM, EPERM;
    MapFile = "mmap of a descriptor": ENOMEM, EAGAIN, EPERM;
    Unmap = "munmap": ENOMEM, EPERM, EINVAL;
    Open = "mprotect, read and write": ENOMEM, EACCES, EPERM;
    Close = "mprotect, none": ENOMEM, EACCES, EPERM;
    ReadOnly = "mprotect, read": ENOMEM, EACCES, EPERM;
    Move = "mremap": ENOMEM, EINVAL, EFAULT, EAGAIN, EPERM;
    Ask = "madvise NORMAL": ENOMEM, EPERM;
    Seal = "mseal": ENOSYS, EPERM, ENOMEM;
    NoFork = "madvise DONTFORK": EINVAL, EPERM, ENOMEM;
    WipeOnFork = "madvise WIPEONFORK": EINVAL, EPERM, ENOMEM;
    Discard = "madvise DONTNEED": EINVAL, EPERM, EAGAIN;
    DiscardLocked = "madvise DONTNEED_LOCKED": EINVAL, EPERM;
    Dump = "madvise DODUMP": EINVAL, EPERM, ENOMEM;
    NoDump = "madvise DONTDUMP": EINVAL, EPERM, ENOMEM;
    Populate = "madvise POPULATE_WRITE": EINVAL, ENOMEM, EFAULT, EPERM;
    Guard = "madvise GUARD_INSTALL": EINVAL, ENOMEM, EAGAIN, EPERM;
    Unguard = "madvise GUARD_REMOVE": EINVAL, ENOMEM, EAGAIN, EPERM;
    OtherAdvice = "madvise, other": EINVAL;
    Lock = "mlock": ENOMEM, EPERM, EAGAIN;
    Touch = "rt_sigprocmask, to touch a page": EFAULT, EPERM;
    SecretFile = "memfd_secret": ENOSYS, EMFILE, EPERM, ENOMEM;
    Truncate = "ftruncate": ENOMEM, EINVAL, EPERM;
    Random = "getrandom": ENOSYS, EPERM, EFAULT;
    OpenFile = "openat": ENOENT, EMFILE, EACCES, ENOMEM;
    ReadFile = "read": EIO, EPERM;
    CloseFile = "close": EIO;
    Limit = "getrlimit": EPERM, EINVAL;
    Processors = "sched_getaffinity": ENOSYS, EPERM, EINVAL;
    Machine = "sysinfo": EPERM, EFAULT;
    AtFork = "pthread_atfork": ENOMEM;
    Key = "pthread_key_create": EAGAIN, ENOMEM;
    KeyValue = "pthread_setspecific": ENOMEM;
    GetModes = "tcgetattr": EIO, ENOTTY;
    SetModes = "tcsetattr": EIO, EINTR;
    Action = "sigaction": EINVAL;
    Signal = "kill": EPERM;
    ReadTyped = "read, of a terminal": EIO, EBADF, EAGAIN;
    WritePrompt = "write, to a terminal": EIO, EBADF, EAGAIN;
    Sleep = "futex, wait": ENOSYS, EAGAIN, EPERM;
    Wake = "futex, wake": ENOSYS, EPERM;
    Write = "write": EBADF, EPIPE, EAGAIN, ENOSPC;
    Who = "getpid, gettid": ENOSYS;
    Kill = "tgkill": EPERM, EAGAIN, ENOSYS;
    Exit = "exit_group": EPERM, ENOSYS;
    OtherNumber = "syscall, other": ENOSYS;
}

impl Call {
    /// What the code takes an error of this call for; it tells no two of the same kind apart, but
    /// for the number in an error's text. Conservative: not every caller looks.
    const fn kind(self, errno: c_int) -> c_int {
        match (self, errno) {
            // No caller of `os/linux` is told which.
            (
                Call::OpenFile
                | Call::ReadFile
                | Call::Random
                | Call::Limit
                | Call::Machine
                | Call::AtFork
                | Call::Key
                | Call::KeyValue
                | Call::Ask,
                _,
            ) => 0,
            // Repeated; late; taken for locked memory; a guard seen; remembered as missing.
            (Call::Guard | Call::Unguard, libc::EAGAIN)
            | (Call::Move, libc::EFAULT)
            | (Call::Discard, libc::EINVAL)
            | (Call::Populate, libc::EFAULT)
            | (Call::SecretFile, libc::ENOSYS)
            | (_, libc::EEXIST) => errno,
            // `super::cause` and `Refusal::of`: there is none now.
            (Call::SecretFile, libc::EMFILE) | (Call::Touch, libc::EFAULT) => libc::ENOMEM,
            (_, libc::ENOMEM | libc::EAGAIN) => libc::ENOMEM,
            // There never is.
            _ => libc::EPERM,
        }
    }

    /// Numbers of errors, one of each kind that the code tells apart.
    pub fn kinds(self) -> impl Iterator<Item = usize> {
        let kind = move |&errno: &c_int| self.kind(errno);
        let errors = self.errors();
        let is_first = move |i: &usize| !errors[..*i].iter().any(|e| kind(e) == kind(&errors[*i]));
        (0..errors.len()).filter(is_first)
    }

    /// Whether the kernel may have done a part of it when it fails, in a single mapping.
    pub const fn is_done_by_halves(self) -> bool {
        matches!(self, Call::Move | Call::Discard | Call::Guard)
    }
}

/// How many there are.
pub const CALLS: usize = Call::EACH.len();

/// A set of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls(pub(super) u64);

impl Calls {
    pub const NONE: Calls = Calls(0);
    /// All, but for waking: where a filter forbids that, it forbids sleeping as well; and but for
    /// what a process makes in its end, which has cases of its own.
    pub const ALL: Calls = Calls((1 << Call::Wake as u64) - 1);

    pub const fn and(self, call: Call) -> Calls {
        Calls(self.0 | 1 << call as u64)
    }

    pub const fn only(call: Call) -> Calls {
        match call {
            // Who cannot wake others may not have them sleep.
            Call::Wake => Calls::NONE.and(Call::Wake).and(Call::Sleep),
            _ => Calls::NONE.and(call),
        }
    }

    pub const fn has(self, call: Call) -> bool {
        self.0 >> call as u64 & 1 == 1
    }
}
