//! What the linked libraries are: their symbols, what they need, their thread-local storage, and
//! that no function that they export can reach a panic. Needs `readelf` and `objdump` (binutils,
//! which every C compiler brings along).

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use support::Policy;

const EXPORTS: &[&str] = &[
    "_ZdaPv",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdaPvSt11align_val_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvm",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdlPvmSt11align_val_t",
    "_Znam",
    "_ZnamRKSt9nothrow_t",
    "_ZnamSt11align_val_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_Znwm",
    "_ZnwmRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "__libc_calloc",
    "__libc_free",
    "__libc_malloc",
    "__libc_memalign",
    "__libc_pvalloc",
    "__libc_realloc",
    "__libc_valloc",
    "aligned_alloc",
    "calloc",
    "free",
    "free_aligned_sized",
    "free_sized",
    "mallinfo",
    "mallinfo2",
    "malloc",
    "malloc_info",
    "malloc_object_size",
    "malloc_stats",
    "malloc_trim",
    "malloc_usable_size",
    "mallopt",
    "memalign",
    "posix_memalign",
    "pvalloc",
    "realloc",
    "reallocarray",
    "valloc",
];

fn tool(name: &str, arguments: &[&str], library: &Path) -> String {
    let output = Command::new(name)
        .args(arguments)
        .arg(library)
        .output()
        .unwrap_or_else(|error| panic!("{name} (binutils) is needed: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Names of a library's dynamic symbols: those it defines, those it needs.
fn symbols(library: &Path) -> [BTreeSet<String>; 2] {
    let mut sets = [BTreeSet::new(), BTreeSet::new()];
    for line in tool("readelf", &["-W", "--dyn-syms"], library).lines() {
        // Num Value Size Type Bind Vis Ndx Name
        let fields: Vec<_> = line.split_whitespace().collect();
        if fields.len() >= 8 && fields[0].ends_with(':') && fields[0] != "Num:" {
            let name = fields[7].split('@').next().unwrap_or_default().to_owned();
            sets[usize::from(fields[6] == "UND")].insert(name);
        }
    }
    sets
}

#[test]
fn only_the_allocation_functions_are_exported() {
    for policy in Policy::ALL {
        let [defined, needed] = symbols(&policy.library());
        let expected: BTreeSet<_> = EXPORTS.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(defined, expected, "{policy:?}");
        // Thread-local storage is no call, and the environment is no function's business.
        for absent in ["__tls_get_addr", "getenv", "secure_getenv", "dlsym", "dlopen"] {
            assert!(!needed.contains(absent), "{policy:?} needs {absent}");
        }
        assert!(needed.contains("mmap"));
    }
}

#[test]
fn the_linkage_is_as_it_must_be() {
    for policy in Policy::ALL {
        let library = policy.library();
        let dynamic = tool("readelf", &["-W", "--dynamic"], &library);
        let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
        assert!(needed.len() == 1 && needed[0].contains("[libc.so"), "{needed:?}");
        let flags = |tag| dynamic.lines().find(|line| line.contains(tag)).unwrap_or_default();
        assert!(flags("(FLAGS_1)").contains("NOW") && flags("(FLAGS_1)").contains("NODELETE"));
        assert!(flags("(FLAGS)").contains("STATIC_TLS"));
        let headers = tool("readelf", &["-W", "--segments"], &library);
        // Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align
        let segment = |kind: &str| {
            let line = headers.lines().find(|line| line.trim_start().starts_with(kind));
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(segment("TLS")[5], "0x000010", "16 bytes of thread-local storage");
        assert!(!segment("GNU_RELRO").is_empty());
        assert_eq!(segment("GNU_STACK")[6], "RW", "the stack is not executable");
        let writable_code =
            headers.lines().any(|line| line.contains("LOAD") && line.contains("RWE"));
        assert!(!writable_code);
    }
}

/// Which function calls or jumps to which, or names it, by their symbols.
fn calls(library: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut calls = BTreeMap::<_, BTreeSet<String>>::new();
    let mut function = String::new();
    for line in tool("objdump", &["-d", "--no-show-raw-insn"], library).lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
            function = name.1.to_owned();
        } else if let Some((_, rest)) = line.split_once('<')
            && let Some((name, _)) = rest.split_once('>')
        {
            let name = name.split('+').next().unwrap_or_default();
            calls.entry(function.clone()).or_default().insert(name.to_owned());
        }
    }
    calls
}

fn is_panic(name: &str) -> bool {
    ["panic", "unwrap_failed", "expect_failed", "slice_index_fail"]
        .iter()
        .any(|part| name.contains(part))
}

#[test]
fn no_export_reaches_a_panic() {
    // As one unit: otherwise calls between crates go through a table that this does not see.
    let directory = support::build("libraries-fat", "fat");
    for policy in Policy::ALL {
        let calls = calls(&directory.join(policy.file()));
        for export in EXPORTS {
            // These print; formatting is allowed to contain one.
            if ["malloc_info", "malloc_stats"].contains(export) {
                continue;
            }
            let mut reached = BTreeSet::from([(*export).to_owned()]);
            let mut next = vec![(*export).to_owned()];
            while let Some(name) = next.pop() {
                for callee in calls.get(&name).into_iter().flatten() {
                    assert!(!is_panic(callee), "{policy:?}: {export} reaches {callee} by {name}");
                    if reached.insert(callee.clone()) {
                        next.push(callee.clone());
                    }
                }
            }
            // What goes through the table now is another export, which has its own turn.
            let leaf = ["mallopt", "malloc_object_size", "reallocarray"].contains(export)
                || export.starts_with("__libc_");
            let found = reached.iter().any(|name| name.starts_with("syscall"));
            assert!(found || leaf || export.starts_with("mallinfo"), "{export} reaches the abort");
        }
    }
}
