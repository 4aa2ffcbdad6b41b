//! Random sequences of calls through the loaded libraries, and the fuzz target's stored inputs.

mod sequence;
mod support;

use sequence::{Abi, Traits, run};
use std::ffi::CString;
use std::path::Path;
use support::Policy;

/// The functions of a policy's library, loaded beside this process's own malloc.
fn load(policy: Policy) -> Abi {
    let path = CString::new(policy.library().into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a library without constructors that do anything here.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "{path:?} loads");
    macro_rules! symbol {
        ($name:literal) => {{
            let name = concat!($name, "\0");
            // SAFETY: the symbol is there, with the type that its place in `Abi` has.
            unsafe {
                let found = libc::dlsym(library, name.as_ptr().cast());
                assert!(!found.is_null(), "{name}");
                std::ptr::read((&raw const found).cast())
            }
        }};
    }
    Abi {
        malloc: symbol!("malloc"),
        calloc: symbol!("calloc"),
        realloc: symbol!("realloc"),
        reallocarray: symbol!("reallocarray"),
        free: symbol!("free"),
        free_sized: symbol!("free_sized"),
        free_aligned_sized: symbol!("free_aligned_sized"),
        posix_memalign: symbol!("posix_memalign"),
        aligned_alloc: symbol!("aligned_alloc"),
        malloc_usable_size: symbol!("malloc_usable_size"),
        malloc_object_size: symbol!("malloc_object_size"),
        malloc_trim: symbol!("malloc_trim"),
        new: symbol!("_Znwm"),
        new_aligned: symbol!("_ZnwmSt11align_val_t"),
        new_array: symbol!("_Znam"),
        delete: symbol!("_ZdlPv"),
        delete_sized: symbol!("_ZdlPvm"),
        delete_aligned: symbol!("_ZdlPvSt11align_val_t"),
        delete_aligned_sized: symbol!("_ZdlPvmSt11align_val_t"),
        delete_array: symbol!("_ZdaPv"),
        delete_array_sized: symbol!("_ZdaPvm"),
    }
}

/// Bytes from a number, the same every time.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn many(policy: Policy) {
    let abi = load(policy);
    let traits = Traits { wipes: policy != Policy::Light, samples: policy == Policy::Strict };
    let mut steps = 0;
    for seed in 1..=40 {
        match run(&abi, traits, &bytes(seed, 4000)) {
            Ok(more) => steps += more,
            Err(what) => panic!("{policy:?}, sequence {seed}: {what}"),
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/c_abi");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let stored = std::fs::read(&path).unwrap();
        if let Err(what) = run(&abi, traits, &stored) {
            panic!("{policy:?}, {}: {what}", path.display());
        }
    }
    println!("{policy:?}: {steps} steps");
    assert!(steps == 40_000);
}

#[test]
fn light() {
    many(Policy::Light);
}

#[test]
fn full() {
    many(Policy::Full);
}

#[test]
fn strict() {
    many(Policy::Strict);
}
