//! Makes the child's kernel an older or a poorer one, and checks that it worked.
#![expect(unsafe_code, reason = "prctl and setrlimit")]

use crate::setting::Environment;

/// The advice of `casemate`'s guards, which is in no libc crate yet.
const GUARD_INSTALL: u32 = 102;
const GUARD_REMOVE: u32 = 103;

/// Address space of the lowest rung.
const SHORT: u64 = 512 << 20;

impl Environment {
    /// Enters it. Before the first use of the heap, and before threads are made.
    pub fn enter(self) {
        limit(libc::RLIMIT_CORE, 0);
        match self {
            Environment::Default => {}
            Environment::Mprotect => refuse_guards(),
            Environment::Lowest => limit(libc::RLIMIT_AS, SHORT),
        }
    }

    /// Whether the heap, which has started, is affected as intended.
    pub fn binds(self) -> bool {
        let report = casemate::protections();
        match self {
            Environment::Default => report.reserved,
            Environment::Mprotect => report.reserved && !report.guard_markers,
            Environment::Lowest => !report.reserved,
        }
    }
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure is read during the call; the limit is this child's alone.
    let status = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(status, 0, "setrlimit");
}

/// A filter by which `madvise(.., 102)` and `103` fail as on kernels that do not know them.
fn refuse_guards() {
    let load = |offset: usize| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32);
    let unless = |value: u32, skip: u8| {
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        libc::sock_filter { code, jt: 0, jf: skip, k: value }
    };
    let when = |value: u32, skip: u8| {
        let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        libc::sock_filter { code, jt: skip, jf: 0, k: value }
    };
    let answer = |value: u32| statement(libc::BPF_RET | libc::BPF_K, value);
    let low_half = if cfg!(target_endian = "little") { 0 } else { 4 };
    let third = std::mem::offset_of!(libc::seccomp_data, args) + 2 * 8 + low_half;
    let mut program = [
        load(std::mem::offset_of!(libc::seccomp_data, nr)),
        unless(libc::SYS_madvise as u32, 4),
        load(third),
        when(GUARD_INSTALL, 1),
        unless(GUARD_REMOVE, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it; both settings only take rights
    // away from this thread and those it makes.
    let status = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    assert_eq!(status, 0, "prctl");
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}
