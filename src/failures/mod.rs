//! Layer: faces, tests only. Failure injection: every call that `os/linux` makes of the kernel is
//! made to fail, one after the other, for some time or from some moment on, under workloads of the
//! heap and of secure memory.
//!
//! Whatever fails, the answer is null, an error, or the one fatal message of a heap that cannot
//! start; every invariant holds afterwards, every object has its contents and can be freed, and
//! once the kernel gives again, so does the heap.
//!
//! ```text
//! test ──► the test binary again ──► a child for each plan: workload, checks ──► its end, judged
//!                                    os/linux/failing.rs: fails calls by the plan, counts
//! ```
//!
//! `ci/failures` runs the long form: every call number, every error that the code tells from
//! others. A finding names its plan; with `CASEMATE_FAILURES_ONLY` set to it that plan alone is
//! run, with the name of a workload that workload.

mod child;
mod heap;
mod objects;
#[cfg(feature = "secure")]
mod secure;
mod sweep;
#[cfg(feature = "secure")]
mod terminal;
