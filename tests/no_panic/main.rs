//! What the machine code of the allocation path contains: no way to a panic, and the wipe.
//!
//! Builds a release static library that exports alloc, dealloc and realloc, and malloc and free of
//! the C ABI, and follows every reference from their sections to all others. Needs `readelf` and
//! `objdump` (binutils, which every C compiler brings along).

mod graph;

use graph::Graph;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXPORTS: [&str; 5] =
    ["exported_alloc", "exported_dealloc", "exported_realloc", "exported_malloc", "exported_free"];

fn library() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_panic/exports/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exports");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the exporting library builds");
    target.join("release/libcasemate_exports.a")
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

/// Whether a symbol or section belongs to panicking or unwinding.
fn is_panic(name: &str) -> bool {
    ["panic", "unwrap_failed", "expect_failed", "slice_index_fail", "_Unwind_", "begin_unwind"]
        .iter()
        .any(|part| name.contains(part))
}

#[test]
fn the_allocation_path_has_no_panic_and_the_free_wipes() {
    let library = library();
    let graph = Graph::read(
        &tool("readelf", &["-W", "--symbols"], &library),
        &tool("readelf", &["-W", "--relocs"], &library),
    );
    for export in EXPORTS {
        let reached = graph.reach(export);
        // It cannot pass for want of looking: the kernel is asked for memory somewhere.
        assert!(reached.len() > 20, "{export} reaches {} names only", reached.len());
        assert!(
            reached.iter().any(|name| name.contains("by_number")),
            "{export} makes system calls"
        );
        let panics: Vec<_> = reached.iter().filter(|name| is_panic(name)).collect();
        assert!(
            panics.is_empty(),
            "{export} reaches {panics:?}: {:?}",
            graph.path(export, panics[0])
        );
    }
    // The control: the standard library in the same archive does reach panics.
    assert!(graph.names().any(is_panic), "the archive names panics elsewhere");

    #[cfg(target_arch = "x86_64")]
    {
        let code = |body: &str| {
            let section = format!("--section=.text.{body}");
            tool("objdump", &["-d", "--no-show-raw-insn", &section], &library)
        };
        the_free_wipes(&graph, "exported_dealloc", ["7free_of", "9free_rest"], &code);
        the_free_wipes(&graph, "exported_free", ["11free_any_of", "13free_any_rest"], &code);
    }
}

/// The wipe is in the machine code of the bodies of free with this in their names, and of what
/// they leave the rest to.
#[cfg(target_arch = "x86_64")]
fn the_free_wipes(
    graph: &Graph,
    export: &str,
    [body, rest]: [&'static str; 2],
    code: &impl Fn(&str) -> String,
) {
    let reached = graph.reach(export);
    let zeroed = |name: &&String| graph::zeroed_bytes(&code(name));
    let named = |part: &'static str| {
        reached.iter().filter(move |name| name.starts_with("_ZN") && name.contains(part))
    };
    let bodies = reached.iter().filter(|name| name.contains("Bodies") && name.contains(body));
    // One for each small slot size, whose stores are all there, and the general form.
    let (calling, alone): (Vec<_>, Vec<_>) = bodies.partition(|name| graph.refers(name, "wipe"));
    let mut alone: Vec<_> = alone.iter().map(zeroed).collect();
    alone.sort_unstable();
    let slots =
        [16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 240, 272, 320, 384, 448, 528];
    assert_eq!(alone, slots, "the wipe is in the code of every {body}");
    // Larger ones call the wide form, or the one for CPUs without AVX2.
    assert_eq!(calling.len(), 12, "640 to 4,160 bytes: {calling:?}");
    for name in calling {
        assert!(graph.refers(name, "9wipe_avx2") && graph.refers(name, "9wipe_long"), "{name}");
    }
    let mut wide = named("9wipe_avx2");
    assert!(wide.any(|name| zeroed(&name) >= 6 * 32), "the wide wipe has its stores");
    let mut long = named("9wipe_long");
    assert!(long.any(|name| code(name).contains("rep stos")), "the long wipe has its store");
    let mut rest = named(rest);
    assert!(rest.any(|name| zeroed(&name) >= 2 * 16), "the wipe is in the rest of free");
}
