//! Layer: pure. The single protections of secure memory, and the switch for each, which nothing but
//! this crate's own unit tests has.
//!
//! A protection that cannot be switched off is not shown to be real by a test that passes. The
//! heap's controls are policies ([`crate::policy::Without`]); secure memory has one state for the
//! whole process and no policy a program could lack protections by, so the switches exist only
//! where `cfg(test)` holds for this very crate. Neither a dependency nor a feature nor the
//! environment brings that about: in every other build [`on`] is the constant `true`.

macro_rules! protections {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        /// A protection of secure memory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Protection { $($(#[$doc])* $name,)* }

        #[cfg(test)]
        impl Protection {
            /// Every one with its name.
            pub const EACH: &[(&str, Protection)] = &[$(($key, Protection::$name),)*];
        }
    };
}

protections! {
    /// Inaccessible pages around chunks and around buffers with pages of their own.
    Guards = "guards";
    /// Mappings lie at random places.
    RandomPlace = "random place";
    /// A slot is drawn among those that are ready, a block among those that are free.
    RandomSlot = "random slot";
    /// The pattern before a buffer is compared.
    FrontCanary = "front canary";
    /// The pattern behind a buffer, from its last byte on, is compared.
    BackCanary = "back canary";
    /// A freed slot is overwritten with zeros.
    Wipe = "wipe";
    /// A slot must still be zero when it is handed out.
    ReuseCheck = "reuse check";
    /// A block must still be zero when a class gets it.
    BlockCheck = "block check";
    /// A block must still be zero when its class gives it up.
    PurgeCheck = "purge check";
    /// Freed slots wait.
    Quarantine = "quarantine";
    /// Freed ranges of pages wait.
    RangeWait = "range wait";
    /// Freed pages are taken away at once.
    TakeAway = "take away";
    /// Access that is not allowed is not possible.
    Access = "access";
    /// Pages are not in forked children.
    NoFork = "no fork";
    /// The parent's addresses are occupied in a child.
    Occupy = "occupied in a child";
    /// A fork that runs no handlers is noticed.
    ForkNotice = "fork notice";
    /// Pages are not in core dumps.
    NoDump = "no dump";
    /// Pages are locked.
    Lock = "lock";
    /// The start-up page, with the key, is read-only.
    Seal = "read-only secrets";
}

/// Whether a protection is on.
#[cfg(not(test))]
#[inline(always)]
pub const fn on(_: Protection) -> bool {
    true
}

#[cfg(test)]
pub use control::{off, on};

#[cfg(test)]
mod control {
    use super::Protection;
    use core::sync::atomic::{AtomicU32, Ordering};

    static OFF: AtomicU32 = AtomicU32::new(0);

    /// Whether a protection is on.
    pub fn on(one: Protection) -> bool {
        OFF.load(Ordering::Relaxed) & (1 << one as u32) == 0
    }

    /// Switches one off, in a process that is a control.
    pub fn off(one: Protection) {
        OFF.fetch_or(1 << one as u32, Ordering::Relaxed);
    }
}
