# Cargo builds, tests and documents a small crate without dependencies. rustc as it is distributed
# brings jemalloc, as malloc too; cargo, the linker, the program and its tests have Casemate's heap.
packages=(cargo binutils)
commands=(cargo)
loaded=(cargo)

work() {
    local path
    path=$(PATH=$rust:$PATH command -v cargo)
    PATH=$(dirname "$path"):$PATH
    export CARGO_TERM_COLOR=never CARGO_NET_OFFLINE=true CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$PWD/target
    unset CARGO_ENCODED_RUSTFLAGS RUSTFLAGS
    under cargo init -q --vcs none --name small crate
    cp "$data/small.rs" crate/src/main.rs
    cd crate
    under cargo build -q --release
    under cargo test -q 2>&1 | grep '^test result' | sed 's/; finished.*//' >"$results/tests"
    under cargo doc -q
    under cargo metadata -q --format-version 1 --no-deps | wc -l >"$results/metadata"
    under ../target/release/small >"$results/output"
    ls ../target/doc/small | sort >"$results/documents"
    ! defines_malloc "$(rustc --print sysroot)/bin/rustc" ||
        note "rustc defines malloc itself (jemalloc): its objects are not Casemate's"
}
