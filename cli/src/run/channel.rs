//! The report's file: made, handed down by number, read.

use crate::Failure;
use crate::system::environment::Environment;
use crate::system::process;
use casemate_report::layout::{Table, VARIABLE};
use casemate_report::mapping;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const PRELOAD: &str = "LD_PRELOAD";

/// A table and the descriptor that children inherit.
pub struct Channel {
    file: OwnedFd,
    table: &'static Table,
}

impl Channel {
    /// Makes an empty one.
    pub fn new() -> Result<Channel, Failure> {
        let failed = |what: &str| Failure::new(format!("no report file: {what}"));
        let file = process::report_file().map_err(|error| failed(&error.to_string()))?;
        let table = mapping::open(file.as_raw_fd()).ok_or_else(|| failed("it cannot be mapped"))?;
        Ok(Channel { file, table })
    }

    /// What the processes write to.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// The descriptor that children must inherit.
    pub fn descriptor(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// The launcher's environment with the two variables set.
    pub fn environment(&self, library: &Path) -> Result<Environment, Failure> {
        let inherited = Environment::inherited();
        let preloaded = preload(library, inherited.value(PRELOAD).unwrap_or_default())?;
        inherited
            .with(VARIABLE, self.descriptor().to_string().as_bytes())
            .and_then(|environment| environment.with(PRELOAD, &preloaded))
            .ok_or_else(|| Failure::new("an environment that cannot be"))
    }
}

/// The library before all that is preloaded already, other Casemates left out.
fn preload(library: &Path, before: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = library.as_os_str().as_bytes();
    // The dynamic loader takes some for separators, a `$` for the start of a name that it replaces,
    // and knows no escape.
    if path.iter().any(|byte| matches!(byte, b' ' | b':' | b'\n' | b'\t' | b'$')) {
        return Err(Failure::new(format!(
            "{}: LD_PRELOAD cannot hold a path with blanks, colons or dollar signs; name a copy \
             elsewhere with --lib",
            library.display()
        )));
    }
    let mut value = path.to_vec();
    for other in before.split(|byte| matches!(byte, b' ' | b':')) {
        let name = other.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !other.is_empty() && !name.starts_with(b"libcasemate") {
            value.push(b':');
            value.extend(other);
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(before: &str) -> String {
        let value = preload(Path::new("/opt/libcasemate.so"), before.as_bytes());
        String::from_utf8(value.ok().unwrap()).unwrap()
    }

    #[test]
    fn what_is_preloaded_stays_behind_the_library() {
        assert_eq!(joined(""), "/opt/libcasemate.so");
        assert_eq!(joined("/a.so"), "/opt/libcasemate.so:/a.so");
        assert_eq!(joined("/a.so b.so::"), "/opt/libcasemate.so:/a.so:b.so");
        assert_eq!(joined("/x/libcasemate_light.so:/a.so"), "/opt/libcasemate.so:/a.so");
    }

    #[test]
    fn what_the_loader_reads_otherwise_is_refused() {
        for path in ["/my files/libcasemate.so", "/a:b/libcasemate.so", "/$LIB/libcasemate.so"] {
            assert!(preload(Path::new(path), b"").is_err());
        }
    }
}
