//! What a program gets that depends on Casemate and asks for nothing more.

use std::collections::BTreeSet;
use std::process::Command;

/// The packages that the library is built with, without versions.
fn tree(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--locked", "--offline", "--target", "x86_64-unknown-linux-gnu"])
        .args(["--package", "casemate", "--features", features])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// `ppv-lite86` and `zerocopy` are `rand_chacha`'s.
const DEFAULT: &[&str] =
    &["casemate", "libc", "ppv-lite86", "rand_chacha", "rand_core", "zerocopy", "zeroize"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn the_default_tree_is_small() {
    assert_eq!(tree(""), set(DEFAULT));
}

#[test]
fn each_feature_adds_its_crate() {
    for (feature, added) in [
        ("subtle", &["subtle"][..]),
        ("allocator-api2", &["allocator-api2"]),
        ("serde", &["serde", "serde_core"]),
    ] {
        let more: Vec<_> = tree(feature).difference(&set(DEFAULT)).cloned().collect();
        assert_eq!(more, added, "{feature}");
    }
    assert!(tree("shielded").contains("chacha20poly1305"));
}
