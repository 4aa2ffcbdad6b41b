//! Where a case happens: which objects, whose, under which policy, on what kind of machine.

use casemate::Place;
use casemate::inside::page_size;
use casemate::size_class::classify;
use std::alloc::Layout;
use std::fmt;

/// Bytes that no machine has, and that a layout can have.
pub const TOO_MUCH: usize = isize::MAX as usize - (1 << 20);

/// What kind of object is misused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of the smallest size class.
    Smallest,
    /// Of one in the middle: several slots in a group, several groups in a slab.
    Middle,
    /// Of the largest size class: one slot in a slab.
    Largest,
    /// A page aligned to a page: no canary, a guard instead.
    Page,
    /// A mapping of its own.
    Large,
}

/// Who misuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The thread whose heap it comes from.
    Owner,
    /// A thread that has no heap of its own yet.
    Guest,
    /// A thread with a heap of its own that got it from another.
    Other,
}

/// On what kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// This one.
    Default,
    /// A kernel without guards in page tables.
    Mprotect,
    /// Address space so short that nothing is reserved.
    Lowest,
}

impl Target {
    pub const ALL: [Target; 5] =
        [Target::Smallest, Target::Middle, Target::Largest, Target::Page, Target::Large];

    /// A layout that leaves slack behind the object.
    pub fn loose(self) -> Layout {
        match self {
            Target::Smallest => layout(5, 1),
            Target::Middle => layout(1001, 8),
            Target::Largest => layout(1_000_003, 8),
            Target::Page => self.snug(),
            Target::Large => layout((3 << 20) + 5, 8),
        }
    }

    /// One that leaves none, or as little as there can be.
    pub fn snug(self) -> Layout {
        match self {
            Target::Smallest => layout(8, 8),
            Target::Middle => layout(1080, 16),
            Target::Largest => layout(1 << 20, 16),
            Target::Page => layout(page_size(), page_size()),
            Target::Large => layout(3 << 20, 16),
        }
    }

    /// Bytes of its slot; of its mapping for a large one.
    pub fn slot(self) -> usize {
        match self.place() {
            Place::Slot(size) => size as usize,
            _ => self.snug().size(),
        }
    }

    /// Where reports say it lives.
    pub fn place(self) -> Place {
        let (layout, shift) = (self.snug(), page_size().trailing_zeros());
        match classify(layout.size(), layout.align(), shift) {
            Some(class) => Place::Slot(class.slot(shift) as u32),
            None => Place::Large,
        }
    }

    /// Whether its slab has more than one slot.
    pub fn has_neighbours(self) -> bool {
        matches!(self, Target::Smallest | Target::Middle)
    }
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Owner, Role::Guest, Role::Other];
}

impl Environment {
    pub const ALL: [Environment; 3] =
        [Environment::Default, Environment::Mprotect, Environment::Lowest];
}

pub fn layout(size: usize, align: usize) -> Layout {
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => unreachable!("a constant layout"),
    }
}

/// All of it, as a line that the child can read back.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub case: &'static str,
    /// A policy by its name in `subject`.
    pub policy: &'static str,
    pub target: Target,
    pub role: Role,
    pub environment: Environment,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { case, policy, target, role, environment } = self;
        write!(f, "{case}/{policy}/{target:?}/{role:?}/{environment:?}")
    }
}

impl Setting {
    /// Reads what [`Display`](fmt::Display) wrote. Panics on anything else.
    pub fn parse(line: &'static str) -> Setting {
        let parts: Vec<&'static str> = line.split('/').collect();
        let [case, policy, target, role, environment] = parts[..] else {
            panic!("not a setting: {line}");
        };
        Setting {
            case,
            policy,
            target: named(&Target::ALL, target),
            role: named(&Role::ALL, role),
            environment: named(&Environment::ALL, environment),
        }
    }
}

fn named<T: Copy + fmt::Debug>(all: &[T], name: &str) -> T {
    *all.iter().find(|one| format!("{one:?}") == name).expect(name)
}
