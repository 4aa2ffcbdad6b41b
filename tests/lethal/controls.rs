//! For every protection: the cases that show it, and that they fail without it.
//!
//! The list of protections is the policy's own. One without a witness here fails the test, so
//! nobody can add a protection that no test would miss.

use crate::setting::{Environment, Role, Setting, Target};
use crate::{child, matrix, verdict};
use casemate::policy::Set;

/// The cases that a protection, and it alone, makes end as they must.
fn witnesses(protection: &str) -> &'static [(&'static str, Target)] {
    use Target::{Large, Largest, Middle, Page, Smallest};
    match protection {
        "guards" => &[
            ("overflow out of a slab", Smallest),
            ("overflow out of a slab", Middle),
            ("overflow out of a page", Page),
            ("overflow out of a large object", Large),
            ("underflow out of a large object", Large),
        ],
        "random slot" => &[("slots in random order", Smallest)],
        "random slab" => &[("slabs in random order", Middle)],
        "random offset" => {
            &[("regions start at random", Middle), ("large guards of random size", Large)]
        }
        "canary" => &[
            ("a byte past the end", Smallest),
            ("a byte past the end", Middle),
            ("a byte past the end", Largest),
            ("a byte past the end", Large),
            ("a byte past the end, no slack", Smallest),
        ],
        "neighbour check" => &[
            ("neighbour below damaged", Smallest),
            ("neighbour below damaged", Middle),
            ("a byte before the start", Middle),
        ],
        "take-up sweep" => {
            &[("damaged and never freed", Smallest), ("damaged and never freed", Middle)]
        }
        "wipe" => &[
            ("freed memory is zero", Smallest),
            ("freed memory is zero", Middle),
            ("freed memory is zero", Largest),
            ("freed memory is zero", Page),
        ],
        "reuse check" => {
            &[("stale write, found at reuse", Smallest), ("stale write, found at reuse", Middle)]
        }
        "purge check" => &[
            ("stale write, found at purge", Smallest),
            ("stale write, found at purge", Middle),
            ("stale write, found at purge", Largest),
        ],
        "quarantine" => &[("freed slots wait", Smallest), ("freed slots wait", Middle)],
        "exact layout" => &[
            ("a byte more", Smallest),
            ("a byte less", Middle),
            ("a byte less", Largest),
            ("twice the alignment", Middle),
            ("realloc of a byte more", Middle),
        ],
        "owner check" => &[("another's index, allocating", Middle)],
        "read-only secrets" => &[("write to the start-up page", Middle)],
        "inaccessible after purge" => &[
            ("read of a purged slab", Smallest),
            ("read of a purged slab", Middle),
            ("write to a purged slab", Largest),
            ("read of a freed large object", Large),
            ("write to a freed large object", Large),
        ],
        "partitions" => &[("requests of one class lie apart", Smallest)],
        "sampled guards" => &[("some objects end at a guard", Smallest)],
        _ => &[],
    }
}

/// Who can be the misuser in a control: the owner, but where another thread is what it is about.
fn role(protection: &str) -> Role {
    if protection == "owner check" { Role::Other } else { Role::Owner }
}

#[test]
fn every_protection_is_missed_when_it_is_off() {
    let mut failures = Vec::new();
    let mut children = 0;
    for &(protection, bit) in Set::EACH {
        let with = if Set::FULL.has(bit) { "full" } else { "strict" };
        if witnesses(protection).is_empty() {
            failures.push(format!("{protection}: no case shows it"));
        }
        for &(case, target) in witnesses(protection) {
            let (role, environment) = (role(protection), Environment::Default);
            let on = Setting { case, policy: with, target, role, environment };
            match (matrix::find(case).end)(&on) {
                Some(end) => failures.extend(matrix::fails(&on, end)),
                None => failures.push(format!("{protection}: {case} does not apply")),
            }
            let off = Setting { policy: protection, ..on };
            let output = child::run(&off);
            if !verdict::survived(&output) {
                let end = verdict::describe(&output);
                failures.push(format!("{off}: must survive without {protection}, was {end}"));
            }
            children += 2;
        }
    }
    println!("{} protections, {children} children", Set::EACH.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}
