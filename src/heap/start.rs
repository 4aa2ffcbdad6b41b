//! Layer: heap. Start-up: probing the kernel, choosing a rung of the ladder, drawing addresses
//! and secrets, and making the page that holds them read-only. No copy of these is left behind.

#![expect(unsafe_code, reason = "erases values that nobody reads any more")]

use super::frozen::{Frozen, Hook, Plan, Turn};
use super::shared::{GUESTS, LIVE, MOST_HEAPS, READ_ONLY, SEALED, SharedState, fork_word, shared};
use super::thread_heap::{Standing, ThreadHeap};
use super::{Heap, Outcome};
use crate::canary::Key;
use crate::geometry::{MOST_REGIONS, Region, Rung, Shape, ladder};
use crate::large;
use crate::nothing::Extent;
use crate::os::{MapError, Os};
use crate::policy::{Policy, Set};
use crate::rng::Stream;
use crate::size_class::{CLASSES, SizeClass};
use crate::slab::ground::most_step;
use crate::units::{GIB, MIB, align_up, round_up};
use crate::violation::{Kind, Violation};
use core::sync::atomic::Ordering::Relaxed;

/// What the program chose where it named its allocator.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Runs before anything else is done about a violation, even before it is reported. It must
    /// make no system call: a sandbox may end the process at the first one of the report.
    pub witness: Option<Hook>,
    /// Runs before the abort.
    pub hook: Option<Hook>,
    /// Runs on slow paths of allocation, in any thread, outside the heap's locks: for whoever keeps
    /// a record of the heap's numbers. It must not allocate.
    pub tick: Option<fn()>,
    /// Whether reports name addresses.
    pub addresses: bool,
    /// Whether the start-up page is a static, which may be made read-only for good.
    pub(crate) for_good: bool,
}

/// Tries to find free address space before a rung is given up.
const TRIES: usize = 32;

/// Where everything goes on one rung.
struct Spans {
    /// Usable address bits.
    bits: u32,
    rung: Rung,
    slots: usize,
    meta: usize,
    layout: MetaLayout,
}

/// Offsets in the metadata span.
struct MetaLayout {
    shared: usize,
    heaps: usize,
    most_heaps: usize,
    nothing: usize,
    nothing_len: usize,
    table: usize,
    table_entries: usize,
    regions: usize,
    len: usize,
}

impl Options {
    /// No hook, no addresses, a heap that may end.
    pub const DEFAULT: Options =
        Options { witness: None, hook: None, tick: None, addresses: false, for_good: false };
}

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Starts the heap at its first use. A later one under another policy is a violation; it is
    /// noticed where a slow path leads here, at the latest when a magazine is empty. False for a
    /// signal handler that interrupted start-up: there is nothing to be had.
    #[inline]
    pub(super) fn ensure_started(&self) -> Outcome<bool> {
        if is_ready(self.frozen) && self.is_of_policy() {
            return Ok(true);
        }
        self.start_up()
    }

    /// Whether the heap was started under this policy.
    fn is_of_policy(&self) -> bool {
        self.plan().policy == P::SET && self.has_regions_of_policy()
    }

    /// Starts the heap if nobody has; waits while another thread does.
    pub fn start(&self) -> Outcome<()> {
        self.start_up().map(|_| ())
    }

    #[cold]
    fn start_up(&self) -> Outcome<bool> {
        let me = O::thread().identity;
        loop {
            if is_ready(self.frozen) {
                let second = Violation::new(Kind::SecondHeap);
                return if self.is_of_policy() { Ok(true) } else { Err(second) };
            }
            match Turn::take(me) {
                Ok(turn) => {
                    let done = self.start_in_turn(&turn);
                    erase_below();
                    done?;
                }
                Err(who) if who == me => return Ok(false),
                Err(_) => O::pause(),
            }
        }
    }

    /// Starts the heap, unless another thread has done so meanwhile and has closed the page.
    #[inline(never)]
    pub(super) fn start_in_turn(&self, turn: &Turn) -> Outcome<()> {
        if is_ready(self.frozen) {
            return Ok(());
        }
        let start_up = Violation::new(Kind::StartUp);
        let mut random = Stream::from_kernel::<O>().ok_or(start_up)?;
        let mut plan = Plan::EMPTY;
        let done = self.draw_plan(turn, &mut plan, &mut random);
        erase(&mut plan);
        erase(&mut random);
        done.ok_or(start_up)
    }

    fn draw_plan(&self, turn: &Turn, plan: &mut Plan, random: &mut Stream) -> Option<()> {
        let options = self.options;
        let features = O::probe();
        let page = O::page_size();
        let limit = O::address_space_limit();
        // Reserving is worth trying where address space is not limited, or by far enough.
        let reserve = !features.emulated && limit.is_none_or(|limit| limit >> 44 != 0);
        let mut spans = place::<O, P>(page, limit, reserve, random)?;
        let mut secret = [0u8; 80];
        if !O::entropy(&mut secret) {
            return None;
        }
        plan.key = Key::new(secret, features.aes);
        erase(&mut secret);
        plan.slots = spans.slots;
        plan.regions = CLASSES * P::PARTITIONS;
        plan.region_shift = spans.rung.region_shift;
        plan.page_shift = page.trailing_zeros();
        plan.rung = spans.rung;
        plan.features = features;
        plan.shared = spans.meta + spans.layout.shared;
        plan.meta = (spans.meta, spans.layout.len);
        let slots_len = (plan.regions << plan.region_shift) + page + spans.layout.nothing_len;
        plan.large = large_window::<O>(slots_len, &spans, random);
        plan.large_table = (spans.meta + spans.layout.table, spans.layout.table_entries);
        plan.nothing = Extent {
            start: spans.slots + (plan.regions << plan.region_shift) + page,
            len: spans.layout.nothing_len,
            map: spans.meta + spans.layout.nothing,
            reserved: spans.rung.reserved,
        };
        plan.most_step = most_step(limit);
        plan.most_mappings = O::mapping_limit() / 4 * 3;
        // Of two threads on one processor each has a heap, too.
        plan.processors = O::processors().max(2);
        plan.policy = P::SET;
        plan.policy_name = P::NAME;
        plan.witness = options.witness;
        plan.hook = options.hook;
        plan.tick = options.tick;
        plan.addresses = options.addresses;
        lay_out_regions::<O, P>(plan, &spans, page, random);
        let done = self.finish(turn, plan, &spans);
        erase(&mut spans);
        done
    }

    /// Maps the shared state and the guest heaps, publishes the plan and closes its page.
    fn finish(&self, turn: &Turn, plan: &mut Plan, spans: &Spans) -> Option<()> {
        let page = 1usize << plan.page_shift;
        let make = |at, len| {
            if spans.rung.reserved { O::open(at, len) } else { O::map(at, len) }
        };
        let shared_len = align_up(size_of::<SharedState>(), page)?;
        make(plan.shared - page, page + shared_len).ok()?;
        let mut features = plan.features;
        features.wipe_on_fork =
            features.wipe_on_fork && O::wipe_on_fork(plan.shared - page, page).is_ok();
        plan.features = features;
        // Secrets and records do not belong into core dumps; a kernel that cannot is no reason
        // to fail.
        let _ = O::no_dump(plan.shared - page, page + shared_len);
        let heaps = spans.meta + spans.layout.heaps;
        make(heaps, (1 + GUESTS) * ThreadHeap::STRIDE).ok()?;

        self.frozen.publish(turn, plan, heaps, spans.layout.most_heaps);
        let state = shared(self.frozen);
        state.markers.store(u32::from(features.guards), Relaxed);
        fork_word(self.plan()).store(LIVE, Relaxed);
        for number in 1..=GUESTS {
            self.frozen.heap(number).set_up(
                number as u32,
                Standing::Guest,
                Stream::from_kernel::<O>()?,
            );
        }
        state.heaps.store(1 + GUESTS as u32, Relaxed);
        self.frozen.set_ready(turn);
        let (at, len) = self.frozen.extent();
        if P::SET.has(Set::SEAL) && self.options.for_good && O::read_only(at, len).is_ok() {
            let sealed = features.seal && O::seal(at, len).is_ok();
            state.page.store(if sealed { READ_ONLY | SEALED } else { READ_ONLY }, Relaxed);
        }
        if crate::process::is(self.frozen) {
            // May allocate, so it comes after everything else. Without it forks are still noticed
            // where the kernel zeroes the fork word.
            let _ = O::at_fork::<super::fork::Hooks<O, P>>();
        }
        Some(())
    }
}

/// Finds address space for slots and metadata on the widest rung that holds.
fn place<O: Os, P: Policy>(
    page: usize,
    limit: Option<usize>,
    reserve: bool,
    random: &mut Stream,
) -> Option<Spans> {
    let bits = O::address_bits();
    let regions = CLASSES * P::PARTITIONS;
    for rung in ladder(regions, bits - 3, reserve) {
        let layout = meta_layout::<O, P>(rung, page, limit, random);
        // Behind the last region, after a page: the addresses of objects of no bytes.
        let slots_len = (regions << rung.region_shift) + page + layout.nothing_len;
        for _ in 0..TRIES {
            let slots = draw::<O>(bits, slots_len, page, random)?;
            let meta = draw::<O>(bits, layout.len, page, random)?;
            if slots < meta + layout.len && meta < slots + slots_len {
                continue;
            }
            if !rung.reserved {
                return Some(Spans { bits, rung, slots, meta, layout });
            }
            match O::reserve(slots, slots_len) {
                Ok(()) => {}
                Err(MapError::Exhausted) => break,
                Err(_) => continue,
            }
            if O::reserve(meta, layout.len).is_ok() {
                return Some(Spans { bits, rung, slots, meta, layout });
            }
            let _ = O::unmap(slots, slots_len);
        }
    }
    None
}

/// A random page-aligned address for `len` bytes in the lower half of the address space.
fn draw<O: Os>(bits: u32, len: usize, page: usize, random: &mut Stream) -> Option<usize> {
    // The lowest 64 GiB hold programs that are not position-independent and what they map low.
    let low = (64 * GIB).min(1 << (bits - 5));
    let high = (1usize << bits).checked_sub(1 << (bits - 4))?.checked_sub(len)?;
    let room = high.checked_sub(low)?;
    Some((low + random.below_long::<O>(room)) & !(page - 1))
}

/// The window in which large objects are placed, apart from the other spans: what is not reserved
/// there, or no longer, must not be taken by a large object, whose address would decode to a slot.
fn large_window<O: Os>(slots_len: usize, spans: &Spans, random: &mut Stream) -> (usize, usize) {
    let bits = spans.bits;
    let len = 1usize << (bits - 4).min(42);
    let others = [(spans.slots, slots_len), (spans.meta, spans.layout.len)];
    let mut best = 1 << (bits - 1);
    for _ in 0..TRIES {
        let Some(at) = draw::<O>(bits, len, O::page_size(), random) else { break };
        if others.iter().any(|&(other, other_len)| at < other + other_len && other < at + len) {
            continue;
        }
        best = at;
        if !spans.rung.reserved {
            // Asking takes address space, which is dear here.
            break;
        }
        // Somebody else's reservation (a sanitizer's shadow, a runtime's) can cover all of it:
        // then no large object would ever find a place. A few samples tell.
        let free = (0..4).filter(|i| is_free::<O>(at + len / 8 * (2 * i + 1)));
        if free.take(3).count() == 3 {
            break;
        }
    }
    (best, len)
}

/// Whether nothing is mapped at this page.
fn is_free<O: Os>(at: usize) -> bool {
    let page = O::page_size();
    O::reserve(at, page).is_ok_and(|()| O::unmap(at, page).is_ok())
}

fn meta_layout<O: Os, P: Policy>(
    rung: Rung,
    page: usize,
    limit: Option<usize>,
    random: &mut Stream,
) -> MetaLayout {
    let mut at = page * (1 + random.below::<O>(256) as usize) + page;
    let mut next = |len: usize| {
        let start = at;
        at = round_up(start + len, page) + page;
        start
    };
    // The page before the shared state holds the fork word.
    let shared = next(page + size_of::<SharedState>()) + page;
    let most_heaps = if limit.is_some() { 256 } else { MOST_HEAPS };
    let heaps = next(most_heaps * ThreadHeap::STRIDE);
    let table_entries = match limit {
        // A large object is hardly ever below 64 KiB.
        Some(limit) => table_entries(limit),
        None => 1 << 20,
    };
    let nothing_len = if rung.reserved { 16 * MIB } else { MIB };
    let nothing = next(Extent::map_bytes(nothing_len));
    let table = next(large::table_bytes(table_entries));
    let mut regions_len = 0usize;
    for class in (0..CLASSES).filter_map(SizeClass::new) {
        let shape = Shape::of(class, page.trailing_zeros());
        let slabs = (1usize << rung.region_shift) >> shape.stride_shift;
        let meta = slabs * shape.slab_meta as usize;
        regions_len += P::PARTITIONS * (round_up(meta, page) + page);
    }
    let regions = next(regions_len);
    let len = at + page * (1 + random.below::<O>(256) as usize);
    MetaLayout {
        shared,
        heaps,
        most_heaps,
        nothing,
        nothing_len,
        table,
        table_entries,
        regions,
        len,
    }
}

/// Entries of the table of large objects under a limit: objects are hardly ever below 64 KiB.
fn table_entries(limit: usize) -> usize {
    let mut entries = 1 << 10;
    while entries < limit >> 16 && entries < 1 << 20 {
        entries *= 2;
    }
    entries
}

fn lay_out_regions<O: Os, P: Policy>(
    plan: &mut Plan,
    spans: &Spans,
    page: usize,
    random: &mut Stream,
) {
    let region_len = 1usize << spans.rung.region_shift;
    let mut meta = spans.meta + spans.layout.regions;
    for (i, cell) in plan.region.iter_mut().enumerate().take(MOST_REGIONS) {
        if i >= plan.regions {
            break;
        }
        let Some(class) = SizeClass::new(i / P::PARTITIONS) else { break };
        let start = spans.slots + (i << spans.rung.region_shift);
        // At least one page before the first slab stays inaccessible.
        let offset = if P::SET.has(Set::RANDOM_OFFSET) {
            page + (random.below_long::<O>(region_len / 4) & !(page - 1))
        } else {
            page
        };
        // At most a MiB up, with 4 KiB pages: there is room in the smallest region, too.
        let align = class.slab_align(plan.page_shift);
        let base = align_up(start + offset, align).unwrap_or(start + offset);
        *cell = Region::new(class, plan.page_shift, base, region_len - (base - start), meta);
        let slabs = region_len >> cell.shape.stride_shift;
        meta += round_up(slabs * cell.shape.slab_meta as usize, page) + page;
    }
}

/// Whether a heap was started at all.
pub fn is_ready(frozen: &Frozen) -> bool {
    frozen.is_ready()
}

/// Overwrites a value that nobody reads any more.
fn erase<T: Plain>(value: &mut T) {
    // SAFETY: valid for writing. Zeros need not be a value of the type: the caller reads it no
    // more, and it has no destructor.
    #[cfg(not(miri))]
    unsafe {
        zeroize::zeroize_flat_type(&raw mut *value)
    }
    // It has no optimiser to be kept from this, and takes seconds for tens of thousands of steps.
    // SAFETY: as above.
    #[cfg(miri)]
    unsafe {
        (&raw mut *value).write_bytes(0, 1)
    }
}

/// The same for what start-up has left on the stack: copies of registers and of results.
#[inline(never)]
fn erase_below() {
    let mut used = [0u8; size_of::<Plan>() + (8 << 10)];
    erase(&mut used);
}

/// Without destructor.
trait Plain {}
impl Plain for Plan {}
impl Plain for Stream {}
impl Plain for Spans {}
impl<const N: usize> Plain for [u8; N] {}
