//! The allocators: how each comes to a Rust program and to a C program.

/// One allocator.
pub struct Recipe {
    pub name: &'static str,
    pub program: Option<Program>,
    pub library: Option<Library>,
    /// When it runs without being asked for.
    pub when: When,
}

/// A program of `bench/allocators`.
#[derive(Clone, Copy)]
pub struct Program {
    pub bin: &'static str,
    /// The Cargo feature that brings the allocator in, if it is not in every build.
    pub feature: Option<&'static str>,
    pub compiler: Compiler,
}

/// What the peer's C or C++ needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// Whatever `cc` and `c++` are.
    Any,
    /// These flags for C++ instead of those in `.cargo/config.toml`.
    CxxFlags(&'static str),
    /// C23: its own target directory, or everything else in C would be compiled again.
    C23,
}

/// A library to preload.
#[derive(Clone, Copy)]
pub enum Library {
    /// Nothing is preloaded.
    Nothing,
    /// A package of this workspace and the file it makes.
    Workspace(&'static str, &'static str),
    /// A source in `bench/stress`.
    Compiled(&'static str),
    /// A shared library that comes with a crate: the feature that has it built, and its name.
    Crate(&'static str, &'static str),
    /// An archive that a crate's build leaves behind, made a shared library.
    Archive(&'static str, &'static str, Compiler),
    /// Installed: the Debian package, and where the file may be (`*` for one directory's name).
    Installed(&'static str, &'static [&'static str]),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// Not with `--quick`.
    Full,
    /// Only for the group of large buffers.
    Large,
}

const fn own(bin: &'static str) -> Option<Program> {
    Some(Program { bin, feature: None, compiler: Compiler::Any })
}

const fn peer(bin: &'static str, feature: &'static str, compiler: Compiler) -> Option<Program> {
    Some(Program { bin, feature: Some(feature), compiler })
}

const fn recipe(
    name: &'static str,
    program: Option<Program>,
    library: Option<Library>,
    when: When,
) -> Recipe {
    Recipe { name, program, library, when }
}

/// All, in the order of the columns.
pub const ALL: &[Recipe] = {
    use Compiler::{Any, C23, CxxFlags};
    use Library::{Archive, Compiled, Crate, Installed, Nothing, Workspace};
    use When::{Always, Full, Large};
    &[
        recipe("system", own("bench-system"), Some(Nothing), Always),
        recipe("floor", own("bench-floor"), Some(Compiled("floor.c")), Large),
        recipe(
            "casemate",
            own("bench-casemate"),
            Some(Workspace("casemate-preload", "libcasemate.so")),
            Always,
        ),
        recipe(
            "light",
            own("bench-light"),
            Some(Workspace("casemate-preload-light", "libcasemate_light.so")),
            Full,
        ),
        recipe(
            "strict",
            own("bench-strict"),
            Some(Workspace("casemate-preload-strict", "libcasemate_strict.so")),
            Full,
        ),
        recipe(
            "hardened",
            peer("bench-hardened", "hardened", C23),
            Some(Archive("hardened", "libhardened_malloc.a", C23)),
            Always,
        ),
        recipe(
            "hardened-light",
            peer("bench-hardened", "hardened-light", C23),
            Some(Archive("hardened-light", "libhardened_malloc.a", C23)),
            Always,
        ),
        recipe(
            "scudo",
            peer("bench-scudo", "scudo", Any),
            Some(Installed(
                "libclang-rt-19-dev or another version",
                &["/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so"],
            )),
            Always,
        ),
        recipe(
            "compatmalloc",
            peer("bench-compatmalloc", "compatmalloc", Any),
            Some(Crate("compatmalloc-preload", "libcompatmalloc")),
            Always,
        ),
        recipe(
            "mimalloc-secure",
            peer("bench-mimalloc", "mimalloc-secure", Any),
            Some(Archive("mimalloc-secure-preload", "libmimalloc.a", Any)),
            Always,
        ),
        recipe(
            "snmalloc-check",
            peer("bench-snmalloc", "snmalloc-check", CxxFlags("-DSNMALLOC_CHECK_CLIENT -DNDEBUG")),
            None,
            Always,
        ),
        recipe("zeroizing", peer("bench-zeroizing", "zeroizing", Any), None, Always),
        recipe(
            "mimalloc",
            peer("bench-mimalloc", "mimalloc", Any),
            Some(Installed("libmimalloc2.0", &["/usr/lib/x86_64-linux-gnu/libmimalloc.so.2*"])),
            Always,
        ),
        recipe("snmalloc", peer("bench-snmalloc", "snmalloc", CxxFlags("-DNDEBUG")), None, Always),
        recipe(
            "jemalloc",
            peer("bench-jemalloc", "jemalloc", Any),
            Some(Installed("libjemalloc2", &["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"])),
            Always,
        ),
        recipe(
            "tcmalloc",
            None,
            Some(Installed(
                "libtcmalloc-minimal4",
                &["/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"],
            )),
            Always,
        ),
    ]
};
