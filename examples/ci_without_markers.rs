//! For `ci/map-count`: executes a program under a seccomp filter that refuses guard markers, as an
//! older kernel or a sandbox would. `ci_without_markers PROGRAM ARGUMENTS...`

#![expect(unsafe_code, reason = "installs a seccomp filter")]

#[path = "../tests/environment/filter.rs"]
mod filter;

use std::os::unix::process::CommandExt;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().expect("a program");
    filter::refuse_markers(libc::EINVAL).expect("the filter is installed");
    assert!(!filter::markers_work(), "the filter binds");
    panic!("{}", std::process::Command::new(program).args(arguments).exec());
}
