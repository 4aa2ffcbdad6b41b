//! The check finds what it is for: copies of the document with one fault each.

use crate::{check, security};

/// A change that makes the document wrong, and what must be said of it.
const FAULTS: [(&str, &str, &str, &str); 20] = [
    (
        "a test binary that is not there",
        "`lethal` foreign",
        "`lethel` foreign",
        "no test binary lethel",
    ),
    ("a file that is not there", "`lethal` foreign", "`lethal` foreigner", "no test foreigner"),
    (
        "another package's file",
        "`casemate-cli` secure",
        "`casemate-cli` secured",
        "no file secured",
    ),
    (
        "another package's test",
        "an_overread_is_stopped",
        "an_overread_is_not",
        "no test an_overread_is_not",
    ),
    ("a test that is ignored", "| `model` |", "| `model` child |", "the test child is ignored"),
    ("a form that is not defined", "| `model` |", "| the model test |", "none of the forms"),
    ("no test", "| `model` |", "| |", "nothing is said of \"test\""),
    ("only a remark", "| `model` |", "| (surely) |", "no test is named"),
    (
        "unit tests that are not there",
        "`rng` unit tests",
        "`process` unit tests",
        "has no unit tests",
    ),
    ("a module that is not there", "`rng` unit tests", "`rang` unit tests", "no module rang"),
    ("a script that is not there", "`ci/mlockall`", "`ci/unlock`", "no script ci/unlock"),
    (
        "a script that is not run",
        "`ci/mlockall`",
        "`ci/guarded-cost`",
        "does not run ci/guarded-cost",
    ),
    (
        "a source file that is not there",
        "| `heap/refill.rs` |",
        "| `heap/fill.rs` |",
        "no file heap/fill.rs",
    ),
    ("a limit without a reason", "| the record is 4 bytes |", "| |", "nothing is said of \"why\""),
    ("a protection without a row", "`take-up sweep`", "", "\"take-up sweep\" has no row"),
    (
        "a protection that is not there",
        "`take-up sweep`",
        "`take-up sweep`, `luck`",
        "no protection \"luck\"",
    ),
    (
        "rows behind an empty line",
        "\n| Freed memory holds nothing",
        "\n\n| Freed memory holds nothing",
        "a row outside a table: | Freed memory holds nothing",
    ),
    (
        "a row that is indented",
        "\n| Freed memory holds nothing",
        "\n | Freed memory holds nothing",
        "a row outside a table:  | Freed memory holds nothing",
    ),
    (
        "a row after the text",
        "\n## Reporting\n",
        "\n## Reporting\n\n| Everything is safe | magic | nowhere | none |\n",
        "a row outside a table: | Everything is safe",
    ),
    (
        "a row that leads nowhere",
        "| Freed memory holds nothing",
        "| Freed objects hold nothing",
        "no claim starts with",
    ),
];

#[test]
fn each_fault_is_found() {
    let document = security();
    for (fault, right, wrong, said) in FAULTS {
        assert!(document.contains(right), "{fault}: \"{right}\" is not in the document");
        let faults = check::faults(&document.replacen(right, wrong, 1));
        assert!(faults.iter().any(|line| line.contains(said)), "{fault}: {faults:?}");
    }
}

#[test]
fn a_table_that_is_gone_is_missed() {
    let document = security();
    for heading in ["| claim | mechanism | where | test |", "| limit | why |"] {
        let faults = check::faults(&document.replacen(heading, "| what | ever |", 1));
        assert!(!faults.is_empty(), "{heading}");
    }
}
