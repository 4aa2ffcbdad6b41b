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
