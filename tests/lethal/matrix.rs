//! Which cases there are, and where each is run.

use crate::child;
use crate::setting::{Environment, Role, Setting, Target};
use crate::verdict::End;
use crate::{corruption, double_free, foreign, guards, hidden, identity, interior, layout};
use crate::{report, scene::Scene, stale};

/// A misuse, or a look for a protection that does not kill.
pub struct Case {
    pub name: &'static str,
    /// Commits it. Returning is having survived.
    pub run: fn(&Scene),
    /// How it must end; `None` where there is no such thing.
    pub end: fn(&Setting) -> Option<End>,
}

const FAMILIES: [&[Case]; 12] = [
    double_free::CASES,
    foreign::CASES,
    interior::CASES,
    layout::CASES,
    corruption::CASES,
    stale::CASES,
    guards::CASES,
    identity::CASES,
    report::CASES,
    report::OPTIONS,
    hidden::CASES,
    hidden::STRICT,
];

/// The case of this name.
pub fn find(name: &str) -> &'static Case {
    FAMILIES.into_iter().flatten().find(|case| case.name == name).expect(name)
}

/// Runs every case of a family wherever it applies, under the full policy.
pub fn run(family: &'static [Case]) {
    let mut failures = Vec::new();
    let mut children = 0;
    for case in family {
        for environment in Environment::ALL {
            for role in Role::ALL {
                for target in Target::ALL {
                    let setting =
                        Setting { case: case.name, policy: "full", target, role, environment };
                    let Some(end) = (case.end)(&setting) else { continue };
                    children += 1;
                    failures.extend(fails(&setting, end));
                }
            }
        }
    }
    println!("{} cases, {children} children", family.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Runs one child; what is wrong with its end, if anything.
pub fn fails(setting: &Setting, end: End) -> Option<String> {
    let output = child::run(setting);
    end.judge(&output).err().map(|difference| format!("{setting}: {difference}"))
}

#[test]
fn names_differ() {
    let mut names: Vec<_> = FAMILIES.into_iter().flatten().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    println!("{all} cases");
}
