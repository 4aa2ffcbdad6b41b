//! How the shared object is linked.

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
    println!("cargo::rerun-if-changed=build.rs");
}
