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
    "cfree",
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

/// The memory functions that look their objects up: none under the light policy, and under the
/// full one those that are not [`OFTEN`] called.
const GUARDED: &[&str] = &[
    "__explicit_bzero_chk",
    "__memcpy_chk",
    "__memmove_chk",
    "__mempcpy_chk",
    "__memset_chk",
    "__stpcpy_chk",
    "__stpncpy_chk",
    "__strcat_chk",
    "__strcpy_chk",
    "__strncat_chk",
    "__strncpy_chk",
    "bzero",
    "explicit_bzero",
    "memcpy",
    "memmove",
    "mempcpy",
    "memset",
    "stpcpy",
    "stpncpy",
    "strcat",
    "strcpy",
    "strncat",
    "strncpy",
];

const OFTEN: &[&str] = &["memcpy", "memmove", "mempcpy", "memset"];

/// What a policy's library exports.
fn exports(policy: Policy) -> impl Iterator<Item = &'static str> {
    let guarded = GUARDED.iter().filter(move |name| match policy {
        Policy::Light => false,
        Policy::Full => !OFTEN.contains(name),
        Policy::Strict => true,
    });
    EXPORTS.iter().chain(guarded).copied()
}

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
        let expected: BTreeSet<_> = exports(policy).map(str::to_owned).collect();
        assert_eq!(defined, expected, "{policy:?}");
        // Thread-local storage is no call, and the environment is no function's business.
        for absent in ["__tls_get_addr", "getenv", "secure_getenv"] {
            assert!(!needed.contains(absent), "{policy:?} needs {absent}");
        }
        // Names that ISO C leaves to programs; its own way to the kernel has none.
        for left in [
            "mmap",
            "munmap",
            "mprotect",
            "madvise",
            "mremap",
            "mlock",
            "getrlimit",
            "prlimit",
            "sysconf",
            "syscall",
            "fcntl",
            "fstat",
            "getpid",
            "getppid",
            "bcopy",
            "environ",
        ] {
            assert!(!needed.contains(left), "{policy:?} needs {left}");
        }
        assert!(needed.contains("write"), "the list is read");
        // Asked when `new` has no memory and C++ came later; nothing else may need them.
        let symbols = tool("readelf", &["-W", "--dyn-syms"], &policy.library());
        for weak in ["dlopen", "dlsym", "dlclose"] {
            let mut lines = symbols.lines().filter(|line| {
                line.split_whitespace()
                    .nth(7)
                    .is_some_and(|name| name.split('@').next() == Some(weak))
            });
            assert!(
                lines.clone().count() == 1 && lines.all(|line| line.contains(" WEAK ")),
                "{weak}"
            );
        }
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

/// What tells whether a program has replaced a form of `new` or `delete`: beside the word a slot, which
/// the loader fills in for calls.
#[test]
fn forms_that_may_be_replaced_have_slots() {
    let list = include_str!("../operators.list");
    let forms: Vec<_> = list.split_whitespace().filter_map(|word| word.strip_suffix(';')).collect();
    let forms = forms.iter().filter(|form| form.starts_with("_Z"));
    assert_eq!(forms.clone().count(), 8);
    for policy in Policy::ALL {
        let relocations = tool("readelf", &["-W", "--relocs"], &policy.library());
        // Offset Info Type Value Name + Addend
        let relocations: Vec<Vec<_>> =
            relocations.lines().map(|line| line.split_whitespace().collect()).collect();
        for form in forms.clone() {
            let of_form = relocations.iter().filter(|fields| fields.get(4) == Some(form));
            let slots = of_form.clone().filter(|fields| fields[2].contains("_JUMP_SL"));
            assert_eq!((slots.count(), of_form.count()), (1, 2), "{policy:?}, {form}");
        }
    }
}

/// Names of a library's functions by address, local ones included; equal functions may be one.
fn functions(library: &Path) -> BTreeMap<u64, BTreeSet<String>> {
    let mut functions = BTreeMap::<u64, BTreeSet<String>>::new();
    for line in tool("readelf", &["-W", "--symbols"], library).lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        if fields.len() >= 8 && fields[3] == "FUNC" && fields[6] != "UND" {
            let name = fields[7].split('@').next().unwrap_or_default().to_owned();
            let at = u64::from_str_radix(fields[1], 16).unwrap();
            functions.entry(at).or_default().insert(name);
        }
    }
    functions
}

/// Words of the library's own memory that hold the address of one of its functions.
fn words(library: &Path) -> BTreeMap<u64, String> {
    let functions = functions(library);
    let mut words = BTreeMap::new();
    for line in tool("readelf", &["-W", "--relocs"], library).lines() {
        // Offset Info Type Addend, of the address itself
        let fields: Vec<_> = line.split_whitespace().collect();
        if fields.len() == 4 && fields[2].ends_with("_RELATIVE") {
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let names = functions.get(&number(fields[3]));
            if let Some(name) = names.and_then(|names| names.first()) {
                words.insert(number(fields[0]), name.clone());
            }
        }
    }
    words
}

/// Which function calls or jumps to which, or names it, by their symbols: directly, or through a
/// word that the loader has filled in.
fn calls(library: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let words = words(library);
    let mut calls = BTreeMap::<_, BTreeSet<String>>::new();
    let mut function = String::new();
    for line in tool("objdump", &["-d", "--no-show-raw-insn"], library).lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once('<')) {
            function = name.1.to_owned();
        } else if let Some((before, rest)) = line.split_once('<')
            && let Some((name, _)) = rest.split_once('>')
        {
            // A jump within the function.
            if name.split_once('+').is_some_and(|(name, _)| name == function) {
                continue;
            }
            let name = name.split(['+', '@']).next().unwrap_or_default();
            let word = before
                .rsplit_once('#')
                .and_then(|(_, at)| words.get(&u64::from_str_radix(at.trim(), 16).ok()?));
            let name = word.map_or(name, String::as_str);
            calls.entry(function.clone()).or_default().insert(name.to_owned());
        }
    }
    // The disassembly shows one of the names.
    for names in functions(library).values().filter(|names| names.len() > 1) {
        let all: BTreeSet<_> =
            names.iter().filter_map(|name| calls.get(name)).flatten().cloned().collect();
        calls.extend(names.iter().map(|name| (name.clone(), all.clone())));
    }
    calls
}

/// What the heap does for itself is not looked up: no allocation, free or resize calls a memory
/// function that is guarded, and none of these calls itself or another.
#[test]
fn the_heap_does_not_come_back_to_the_guarded_functions() {
    for policy in [Policy::Full, Policy::Strict] {
        let calls = calls(&policy.library());
        // It sees such calls where they are: what starts the heap copies its plan.
        let is_start = |name: &str| {
            ["start", "stats", "malloc_info", "mallinfo", "LargeState", "library", "lock"]
                .iter()
                .any(|part| name.contains(part))
        };
        let own: BTreeSet<_> = exports(policy).collect();
        let is_guarded = |name: &str| GUARDED.contains(&name) && own.contains(name);
        let mut seen = 0;
        for (caller, callees) in &calls {
            for callee in callees.iter().filter(|name| is_guarded(name)) {
                seen += 1;
                assert!(is_start(caller), "{policy:?}: {caller} calls {callee}");
            }
        }
        // The compiler's calls are seen, where they are this library's.
        assert_eq!(seen > 0, policy == Policy::Strict);
        for guarded in exports(policy).filter(|name| GUARDED.contains(name)) {
            let reached = reach(&calls, guarded);
            for callee in reached.iter().filter_map(|name| calls.get(name)).flatten() {
                let again = is_guarded(callee);
                assert!(!again, "{policy:?}: {guarded} leads to a call of {callee}");
            }
        }
    }
}

/// All names that a function's code leads to, itself included.
fn reach(calls: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::from([from.to_owned()]);
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for callee in calls.get(&name).into_iter().flatten() {
            if reached.insert(callee.clone()) {
                next.push(callee.clone());
            }
        }
    }
    reached
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
        for export in exports(policy) {
            // These print; formatting is allowed to contain one.
            if ["malloc_info", "malloc_stats"].contains(&export) {
                continue;
            }
            let reached = reach(&calls, export);
            for name in &reached {
                for callee in calls.get(name).into_iter().flatten() {
                    assert!(!is_panic(callee), "{policy:?}: {export} reaches {callee} by {name}");
                }
            }
            // What goes through the table now is another export, which has its own turn.
            let leaf = ["mallopt", "malloc_object_size", "reallocarray"].contains(&export)
                || export.starts_with("__libc_");
            let found = reached.iter().any(|name| name.contains("by_number"));
            assert!(found || leaf || export.starts_with("mallinfo"), "{export} reaches the abort");
        }
    }
}
