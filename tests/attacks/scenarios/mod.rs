//! The attacks, by family.

pub mod boundary_tags;
pub mod canaries;
pub mod double_free;
pub mod free_lists;
pub mod known_bugs;
pub mod neighbours;
pub mod sizes;
pub mod stale;
pub mod threads;

use crate::arena::scenario::Scenario;

/// Every family with its title.
pub const FAMILIES: &[(&str, &[Scenario])] = &[
    ("Boundary tags", boundary_tags::ALL),
    ("Free lists", free_lists::ALL),
    ("Double free", double_free::ALL),
    ("Threads", threads::ALL),
    ("Use after free", stale::ALL),
    ("Neighbours", neighbours::ALL),
    ("Canaries", canaries::ALL),
    ("Sizes", sizes::ALL),
    ("Known bugs", known_bugs::ALL),
];

/// Every attack.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    FAMILIES.iter().flat_map(|(_, family)| family.iter())
}
