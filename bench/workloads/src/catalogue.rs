//! Which workloads there are.

use crate::measure::Clock;
use crate::{
    buffers, channels, curves, fragmentation, handover, json, lru_cache, maps, patterns, service,
    source, startup, threads,
};

/// One workload.
pub struct Workload {
    /// The table it stands in: `rust`, `service`, `large`, `size` or `threads`.
    pub group: &'static str,
    pub name: &'static str,
    pub run: fn(&mut Clock),
}

const fn workload(group: &'static str, name: &'static str, run: fn(&mut Clock)) -> Workload {
    Workload { group, name, run }
}

/// All of them, in the order of the tables.
pub fn all() -> Vec<Workload> {
    vec![
        workload("rust", "json", json::run),
        workload("rust", "regex", patterns::run),
        workload("rust", "syn", source::run),
        workload("rust", "b-tree", maps::tree),
        workload("rust", "hash map", maps::hash),
        workload("rust", "channels", channels::run),
        workload("rust", "lru cache", lru_cache::run),
        workload("rust", "larson", handover::larson),
        workload("rust", "queue of 200,000", handover::queue),
        workload("rust", "short-lived threads", threads::run),
        workload("rust", "fragmentation", fragmentation::run),
        workload("rust", "start-up", startup::run),
        workload("service", "key service", service::run),
        workload("large", "growing buffers", buffers::growing),
        workload("large", "large buffers", buffers::replaced),
        workload("size", "16", |clock| curves::size(clock, 16)),
        workload("size", "64", |clock| curves::size(clock, 64)),
        workload("size", "256", |clock| curves::size(clock, 256)),
        workload("size", "1024", |clock| curves::size(clock, 1024)),
        workload("size", "4096", |clock| curves::size(clock, 4096)),
        workload("size", "16384", |clock| curves::size(clock, 16_384)),
        workload("size", "65536", |clock| curves::size(clock, 65_536)),
        workload("size", "262144", |clock| curves::size(clock, 262_144)),
        workload("size", "1048576", |clock| curves::size(clock, 1_048_576)),
        workload("threads", "1", |clock| curves::threads(clock, 1)),
        workload("threads", "2", |clock| curves::threads(clock, 2)),
        workload("threads", "4", |clock| curves::threads(clock, 4)),
        workload("threads", "8", |clock| curves::threads(clock, 8)),
    ]
}
