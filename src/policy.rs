//! Layer: pure. Which protections a heap has: constants of a type, compiled out where off.
//!
//! A policy is named where the allocator is (`Casemate<Light>`), so neither a Cargo feature that
//! some dependency turns on nor an environment variable can change it.

/// A set of protections; the constants are the single ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set(u32);

macro_rules! protections {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $key:literal;)*) => {
        impl Set {
            $($(#[$doc])* pub const $name: Set = Set(1 << $bit);)*

            /// Every single protection with its name, in order of declaration.
            pub const EACH: &[(&str, Set)] = &[$(($key, Set::$name),)*];
        }

        /// Calls `$call!(NAME, "name")` once for every single protection: for tests that must
        /// not forget one.
        #[macro_export]
        #[doc(hidden)]
        macro_rules! for_each_protection {
            ($call:ident) => { $($call!($name, $key);)* };
        }
    };
}

protections! {
    /// Inaccessible pages after every slab, before a region's first slot and around large
    /// mappings.
    GUARDS = 0, "guards";
    /// A uniformly random free slot of the group; otherwise ascending.
    RANDOM_SLOT = 1, "random slot";
    /// A random free slab of the committed part of the region; otherwise the lowest.
    RANDOM_SLAB = 2, "random slab";
    /// Random distance from a region's start to its first slab, random large-guard sizes.
    RANDOM_OFFSET = 3, "random offset";
    /// A secret word after every object, checked when it is freed; the slack before it filled
    /// with a known pattern, so that one byte past the requested end is enough.
    CANARY = 4, "canary";
    /// At free, the canary of the slot below is checked too.
    NEIGHBOUR = 5, "neighbour check";
    /// When a group is taken up, the canaries of all its live objects are checked.
    SWEEP = 6, "take-up sweep";
    /// Freed memory is overwritten with zeros at once.
    WIPE = 7, "wipe";
    /// Memory must still be zero when it is handed out again.
    REUSE_CHECK = 8, "reuse check";
    /// Memory must still be zero when its slab is given back.
    PURGE_CHECK = 9, "purge check";
    /// Freed slots wait before they can be handed out again.
    QUARANTINE = 10, "quarantine";
    /// Size and alignment given to free and realloc must be exactly those allocated.
    EXACT = 11, "exact layout";
    /// A thread's heap index is trusted only if that heap records this thread as its owner.
    OWNER_CHECK = 12, "owner check";
    /// The page with secrets, bases and the hook is made read-only and sealed.
    SEAL = 13, "read-only secrets";
    /// Slabs given back and large ranges freed become inaccessible.
    PURGE_CLOSE = 14, "inaccessible after purge";
    /// Objects of one size class live in separate regions chosen by size and alignment.
    PARTITIONS = 15, "partitions";
    /// A random sample of small allocations is placed against a guard page of its own.
    SAMPLED_GUARDS = 16, "sampled guards";
}

impl Set {
    /// No protection beyond what the design cannot do without (state bitmaps, out-of-line
    /// metadata, isolation of size classes).
    pub const NONE: Set = Set(0);

    /// What [`Full`] has.
    pub const FULL: Set = Set::all_but(Set(Set::PARTITIONS.0 | Set::SAMPLED_GUARDS.0));

    /// What [`Light`] has.
    pub const LIGHT: Set = Set(Set::GUARDS.0
        | Set::RANDOM_SLOT.0
        | Set::RANDOM_SLAB.0
        | Set::RANDOM_OFFSET.0
        | Set::CANARY.0
        | Set::EXACT.0
        | Set::OWNER_CHECK.0
        | Set::SEAL.0
        | Set::PURGE_CLOSE.0);

    /// What [`Strict`] has.
    pub const STRICT: Set = Set::all_but(Set::NONE);

    const fn all_but(other: Set) -> Set {
        let mut bits = 0;
        let mut i = 0;
        while i < Set::EACH.len() {
            bits |= Set::EACH[i].1.0;
            i += 1;
        }
        Set(bits & !other.0)
    }

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Set) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set and `other`.
    #[must_use]
    pub const fn and(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    /// The bits, for a policy parameter such as [`Without`].
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// A heap's policy: a type with constants. See [`Full`], [`Light`], [`Strict`].
pub trait Policy: Send + Sync + 'static {
    /// The protections in force.
    const SET: Set;
    /// Regions a size class has, 1 to 4: one, or several with [`Set::PARTITIONS`].
    ///
    /// Another number does not compile where the policy is used:
    ///
    /// ```
    /// # use casemate::{Casemate, Policy, policy::Set};
    /// struct Mine;
    /// impl Policy for Mine {
    ///     const SET: Set = Set::STRICT;
    ///     const PARTITIONS: usize = 2;
    ///     const NAME: &'static str = "mine";
    /// }
    /// #[global_allocator]
    /// static HEAP: Casemate<Mine> = Casemate::new();
    /// ```
    ///
    /// ```compile_fail
    /// # use casemate::{Casemate, Policy, policy::Set};
    /// struct Mine;
    /// impl Policy for Mine {
    ///     const SET: Set = Set::STRICT;
    ///     const PARTITIONS: usize = 5;
    ///     const NAME: &'static str = "mine";
    /// }
    /// #[global_allocator]
    /// static HEAP: Casemate<Mine> = Casemate::new();
    /// ```
    const PARTITIONS: usize = if Self::SET.has(Set::PARTITIONS) { 4 } else { 1 };
    /// Whether freeing an object of `malloc`, `new` or `new[]` by another of these interfaces ends
    /// the process; otherwise it is counted. Many programs do it, and with this heap it is
    /// harmless.
    const MATCHED: bool = false;
    /// The preset's name, for reports.
    const NAME: &'static str;
}

/// The default: everything but type partitions and sampled guards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Full;

impl Policy for Full {
    const SET: Set = Set::FULL;
    const NAME: &'static str = "full";
}

/// Cheaper: no wiping, no quarantine, no checks of neighbours or of freed memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Light;

impl Policy for Light {
    const SET: Set = Set::LIGHT;
    const NAME: &'static str = "light";
}

/// Everything: [`Full`] with partitions of each size class and sampled guard pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl Policy for Strict {
    const SET: Set = Set::STRICT;
    const MATCHED: bool = true;
    const NAME: &'static str = "strict";
}

/// [`Full`] without the protections in `BITS` (of [`Set::bits`]): the control build that shows
/// that a test of a protection fails when the protection is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Without<const BITS: u32>;

impl<const BITS: u32> Policy for Without<BITS> {
    const SET: Set = Set::FULL.without(Set(BITS));
    const NAME: &'static str = "control";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_ordered() {
        assert!(Set::STRICT.has(Set::FULL) && Set::FULL.has(Set::LIGHT));
        assert_ne!(Set::STRICT, Set::FULL);
        assert_ne!(Set::FULL, Set::LIGHT);
    }

    #[test]
    fn a_control_lacks_exactly_its_protection() {
        type NoWipe = Without<{ Set::WIPE.bits() }>;
        for (_, one) in Set::EACH {
            let expected = Set::FULL.has(*one) && *one != Set::WIPE;
            assert_eq!(NoWipe::SET.has(*one), expected);
        }
    }
}
