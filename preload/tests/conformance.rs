//! Every exported function in its normal use and at its edges, in C and C++, under every policy.
//! What glibc does alike is checked without the library too.

mod support;

use support::{Policy, command, compile, run};

#[test]
fn c_functions() {
    let program = compile("conformance.c", "conformance_c", &[]);
    for policy in Policy::ALL {
        let mut command = command(&program, Some(policy));
        if policy != Policy::Light {
            command.env("WIPES", "1");
        }
        let end = run(&mut command);
        println!("{policy:?}: {}", end.out.trim_end());
        end.is_fine("all right");
    }
    run(command(&program, None).arg("plain")).is_fine("all right");
}

#[test]
fn operators() {
    let program = compile("conformance.cpp", "conformance_cpp", &["-fsized-deallocation"]);
    for policy in Policy::ALL {
        let end = run(&mut command(&program, Some(policy)));
        println!("{policy:?}: {}", end.out.trim_end());
        end.is_fine("all right");
    }
    run(command(&program, None).arg("plain")).is_fine("all right");
}

/// What C++ makes the other forms of.
#[test]
fn replaced_operators() {
    for (name, flags) in [
        ("replacing", ["-std=c++17", "-fsized-deallocation"].as_slice()),
        ("replacing_aligned", &["-std=c++17", "-fsized-deallocation", "-DALIGNED"]),
    ] {
        let program = compile("replacing.cpp", name, flags);
        for policy in Policy::ALL {
            run(&mut command(&program, Some(policy))).is_fine("all right");
        }
        run(&mut command(&program, None)).is_fine("all right");
    }
}

/// `new` without memory where C++ comes with a plug-in.
#[test]
fn plain_programs_with_plug_ins() {
    let plugin = compile("later.cpp", "liblater.so", &["-shared", "-fPIC"]);
    let program = compile("later.c", "later", &[]);
    for policy in Policy::ALL {
        run(command(&program, Some(policy)).arg(&plugin)).is_fine("all right");
    }
    run(command(&program, None).arg(&plugin)).is_fine("all right");
}

/// Names that a program may define, and mean something else by.
#[test]
fn names_of_the_programs_own() {
    let program = compile("names.c", "names", &["-std=c11", "-fno-builtin", "-pthread"]);
    for policy in Policy::ALL {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
    run(&mut command(&program, None)).is_fine("all right");
}

/// A question, for most programs: any thread may ask it.
#[test]
fn usable_sizes_asked_by_many() {
    let program = compile("usable.c", "usable", &[]);
    for policy in Policy::ALL {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
}

/// What large objects and children would cost.
#[test]
fn untouched_pages() {
    let program = compile("sparse.c", "sparse", &[]);
    for policy in Policy::ALL {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
}
