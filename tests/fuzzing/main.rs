//! The fuzz targets' bodies without a fuzzer: on the stored inputs, on random ones, and on heaps
//! and models that are wrong, which every body must notice.
//!
//! The targets themselves are in `fuzz/`, see `docs/fuzzing.md`.

mod bodies;
mod controls;
mod corpus;
mod found;
mod random;
