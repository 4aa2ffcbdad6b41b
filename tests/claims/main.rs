//! SECURITY.md's tables, checked: each row names tests that exist and run, files that exist, and
//! every public protection has a row. The tests named are not run here; that they are part of
//! `cargo test`, or of a script of `.ci/run`, is checked.
//!
//! | file | subject |
//! |---|---|
//! | `document` | Markdown tables |
//! | `tests` | the test column: what its words mean and whether that exists |
//! | `tree` | the repository's files |
//! | `check` | all that is checked |
//! | `controls` | changed copies of the document, each of which must be rejected |

mod check;
mod controls;
mod document;
mod tests;
mod tree;

/// The document as it is.
fn security() -> String {
    tree::text("SECURITY.md").expect("SECURITY.md")
}

#[test]
fn security_md_is_right() {
    let faults = check::faults(&security());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
