//! How the shared object is linked.

use std::env;
use std::path::PathBuf;

fn main() {
    let arguments = [
        // Never unloaded: objects, fork handlers and exit handlers refer to it.
        "-Wl,-z,nodelete",
        // `realloc` means this library's `malloc`, also where the program has one of its own.
        "-Wl,-Bsymbolic-functions",
        // Nothing of the linkage is left writable, and no symbol is looked up later.
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,-z,noexecstack",
    ];
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    // But for the forms of `operator new` that a program may replace: `src/abi/replaced.rs` asks.
    // The libraries of the other policies have this file as theirs.
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says"));
    let places = ["operators.list", "../operators.list", "../../preload/operators.list"];
    let list = places.iter().map(|place| package.join(place)).find(|list| list.exists());
    let list = list.and_then(|list| list.canonicalize().ok()).expect("it is beside this file");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--dynamic-list={}", list.display());
    println!("cargo::rerun-if-changed={}", list.display());
    println!("cargo::rerun-if-changed=build.rs");
}
