//! What the machine code of the allocation path contains: no way to a panic, and the wipe.
//!
//! Builds a release static library that exports alloc, dealloc and realloc, and follows every
//! reference from their sections to all others. Needs `readelf` and `objdump` (binutils, which
//! every C compiler brings along).

mod graph;

use graph::Graph;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXPORTS: [&str; 3] = ["exported_alloc", "exported_dealloc", "exported_realloc"];

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
        assert!(reached.iter().any(|name| name == "mmap"), "{export} reaches mmap");
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
        // One body for each small slot size, a store for 16 bytes, and the general form.
        let reached = graph.reach("exported_dealloc");
        let stores = |body: &&String| {
            let section = format!("--section=.text.{body}");
            graph::zero_stores(&tool("objdump", &["-d", "--no-show-raw-insn", &section], &library))
        };
        let is_body = |name: &&String| name.contains("Bodies") && name.contains("7free_of");
        let (calling, alone): (Vec<_>, Vec<_>) =
            reached.iter().filter(is_body).partition(|body| graph.refers(body, "wipe"));
        let mut alone: Vec<_> = alone.iter().map(stores).collect();
        alone.sort_unstable();
        let slots = [
            16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 240, 272, 320, 384, 448, 528,
        ];
        assert_eq!(alone, slots.map(|bytes| bytes / 16), "the wipe is in the code of every free");
        // Larger ones call the wide form, or the one for CPUs without AVX2.
        assert_eq!(calling.len(), 12, "640 to 4,160 bytes: {calling:?}");
        for body in calling {
            assert!(graph.refers(body, "9wipe_avx2") && graph.refers(body, "9wipe_long"), "{body}");
        }
        let is_wide = |name: &&String| name.starts_with("_ZN") && name.contains("9wipe_avx2");
        let mut wide = reached.iter().filter(is_wide);
        assert!(wide.any(|body| stores(&body) >= 6), "the wide wipe has its stores");
        let is_rest = |name: &&String| name.starts_with("_ZN") && name.contains("9free_rest");
        let mut rest = reached.iter().filter(is_rest);
        assert!(rest.any(|body| stores(&body) >= 2), "the wipe is in the machine code of free");
    }
}
