//! What objects hold: the model test's pattern, see `tests/model/harness/content.rs`.

pub use super::harness::content::{difference, fill, nonzero};
