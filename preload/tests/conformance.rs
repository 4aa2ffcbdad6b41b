//! Every exported function in its normal use and at its edges, in C and C++, under every policy.
//! What glibc does alike is checked without the library too.

mod support;

use heap::Kind;
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

/// An executable with fixed addresses has an entry of its own for each function whose address it
/// takes, which the loader finds under the function's name: no replacement.
#[test]
fn operators_whose_address_is_taken() {
    let fixed = ["-no-pie", "-fno-pie", "-fsized-deallocation"];
    for binding in ["-Wl,-z,lazy", "-Wl,-z,now"] {
        let flags = |more: &[&'static str]| [&fixed[..], &[binding], more].concat();
        let name = |name| format!("{name}_{}", &binding[8..]);
        let program = compile("taken.cpp", &name("taken"), &flags(&[]));
        let replacing = compile("taken.cpp", &name("taken_replaced"), &flags(&["-DREPLACES"]));
        for policy in Policy::ALL {
            for wrong in ["size", "array", "aligned"] {
                let end = run(command(&program, Some(policy)).arg(wrong));
                let said = end.err.contains(Kind::WrongSize.message());
                assert!(end.signal == Some(libc::SIGABRT) && said, "{policy:?}, {wrong}");
            }
            run(&mut command(&program, Some(policy))).is_fine("all right");
            run(&mut command(&replacing, Some(policy))).is_fine("all right");
        }
        run(&mut command(&program, None)).is_fine("all right");
        run(&mut command(&replacing, None)).is_fine("all right");
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

/// Statistics on the smallest stack that a thread may have.
#[test]
fn descriptions_need_little_stack() {
    let program = compile("little.c", "little", &[]);
    for policy in Policy::ALL {
        let end = run(&mut command(&program, Some(policy)));
        assert!(end.code == Some(0) && end.out == "all right\n", "{policy:?}: {:?}", end.signal);
        assert!(end.err.contains("canaries by"), "{policy:?}: {}", end.err);
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
