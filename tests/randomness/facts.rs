//! What one start of a heap drew, as numbers: seen with the heap's plan at hand.
#![expect(unsafe_code, reason = "reads canaries and patterns behind objects")]

use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::inside::{Linux, unmap};
use casemate::policy::Policy;
use casemate::size_class::{CLASSES, SizeClass};
use std::alloc::Layout;

/// A kind of number that the heap draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Page of the slot span.
    SlotSpan,
    /// Page of the metadata span.
    MetaSpan,
    /// Pages before the first metadata.
    MetaGuard,
    /// First page of the window of large objects.
    Window,
    /// Pages before a region's first slab: one a region, but for those of whole pages, whose slabs
    /// are aligned.
    Offset,
    /// Slab of a class's first object: one a class of several slabs.
    Slab,
    /// Slot of a class's first object; classes in order.
    Slot,
    /// Page of a large object in the window.
    Place,
    /// Pages of guard before and behind a large object, in turn.
    Guard,
    /// Frees of a class until a slot of it was handed out again, in a program that has one object
    /// at a time: of the class that this start was for.
    Wait,
    /// The word at the end of a slot.
    Canary,
    /// A whole word of slack before it.
    Slack,
}

impl Fact {
    /// All of them.
    pub const ALL: [Fact; 12] = [
        Fact::SlotSpan,
        Fact::MetaSpan,
        Fact::MetaGuard,
        Fact::Window,
        Fact::Offset,
        Fact::Slab,
        Fact::Slot,
        Fact::Place,
        Fact::Guard,
        Fact::Wait,
        Fact::Canary,
        Fact::Slack,
    ];

    /// Bits that it should have, with unlimited address space and 4 KiB pages; a slot's and a
    /// wait's depend on the class. SECURITY.md has the same table.
    pub fn design(self) -> Option<f64> {
        match self {
            Fact::SlotSpan | Fact::MetaSpan => Some(34.8),
            Fact::MetaGuard => Some(8.0),
            Fact::Window => Some(34.7),
            Fact::Offset => Some(22.0),
            Fact::Slab => Some(3.0),
            Fact::Slot | Fact::Wait => None,
            Fact::Place => Some(30.0),
            Fact::Guard => Some(4.0),
            Fact::Canary => Some(55.0),
            Fact::Slack => Some(56.0),
        }
    }
}

/// Large objects that each start makes.
pub const LARGE: usize = 16;
/// Canaries and words of slack that each start tells.
pub const WATCHED: usize = 16;
/// Objects of this size lie in slots of 48 bytes, with a whole word of slack.
const WATCHED_SIZE: usize = 32;
const WATCHED_SLOT: usize = 48;

/// Requests whose wait is measured, one a start: what one class holds back shortens the others'
/// wait.
pub const WAITS: [usize; 4] = [40, 500, 4000, 32_768];

/// What one heap drew: lists in the order of [`Fact::ALL`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(Vec<Vec<u64>>);

impl Facts {
    /// The numbers of a kind.
    pub fn of(&self, fact: Fact) -> &[u64] {
        &self.0[fact as usize]
    }

    /// As lines of text.
    pub fn text(&self) -> String {
        let line = |list: &Vec<u64>| list.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// From such lines.
    pub fn parse(text: &str) -> Option<Facts> {
        let line = |line: &str| line.split_whitespace().map(|word| word.parse().ok()).collect();
        let lists: Option<Vec<Vec<u64>>> = text.lines().map(line).collect();
        lists.filter(|lists| lists.len() == Fact::ALL.len()).map(Facts)
    }

    /// Starts a heap, asks it for an object of each class and for large ones, waits for a slot of
    /// one of [`WAITS`], and ends it. The calling thread must use no other heap.
    pub fn gather<P: Policy>(wait: usize) -> Facts {
        static OPTIONS: Options = Options::DEFAULT;
        let frozen = Frozen::new();
        let heap = Heap::<Linux, P>::new(&frozen, &OPTIONS);
        let layout = |size: usize| Layout::from_size_align(size, 8).expect("a layout");
        let take = |size: usize| {
            let layout = layout(size);
            let object = heap.allocate(Request::layout(layout)).expect("no violation");
            object.expect("memory").addr().get()
        };
        take(8);
        let plan = frozen.started().expect("a heap that has started");
        let page = |bytes: usize| (bytes >> plan.page_shift) as u64;
        let mut facts = Facts(vec![Vec::new(); Fact::ALL.len()]);
        let mut tell = |fact: Fact, number: u64| facts.0[fact as usize].push(number);

        tell(Fact::SlotSpan, page(plan.slots));
        tell(Fact::MetaSpan, page(plan.meta.0));
        tell(Fact::MetaGuard, page(plan.shared - plan.meta.0));
        tell(Fact::Window, page(plan.large.0));
        let regions = plan.region.iter().enumerate().take(plan.regions);
        for (number, region) in regions.filter(|(_, region)| region.has_canary()) {
            let start = plan.slots + (number << plan.region_shift);
            tell(Fact::Offset, page(region.base - start));
        }
        for class in classes() {
            let at = take(class.slot(plan.page_shift) - 8);
            let region = &plan.region[(at - plan.slots) >> plan.region_shift];
            let (inside, shift) = (at - region.base, region.shape.stride_shift);
            tell(Fact::Slab, (inside >> shift) as u64);
            let slot = (inside & ((1 << shift) - 1)) / region.shape.slot as usize;
            tell(Fact::Slot, slot as u64);
        }
        for _ in 0..WATCHED {
            let at = take(WATCHED_SIZE);
            let word = |offset: usize| {
                // SAFETY: a whole slot of 48 bytes is mapped at `at`, and its last two words belong
                // to the heap, which writes them no more while the object lives.
                unsafe { std::ptr::with_exposed_provenance::<u64>(at + offset).read() }
            };
            tell(Fact::Slack, word(WATCHED_SLOT - 16));
            tell(Fact::Canary, word(WATCHED_SLOT - 8));
        }
        let size = 2 << 20;
        let large: Vec<_> = (0..LARGE).map(|_| take(size)).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        for &at in &large {
            tell(Fact::Place, page(at - plan.large.0));
            let (start, end) = around(&maps, at);
            tell(Fact::Guard, page(at - start));
            tell(Fact::Guard, page(end - at - size));
            // Whatever is left would be in the way of the next heap of this process.
            // SAFETY: the object and its guards, of this heap alone.
            unsafe { unmap(start, end - start) };
        }
        let churn = || {
            let at = take(wait);
            // SAFETY: just allocated, and used by nobody.
            unsafe { heap.free(at, Some(Request::layout(layout(wait)))) }.expect("its object");
            at
        };
        let watched = churn();
        let frees = (0..1 << 20).take_while(|_| churn() != watched).count();
        tell(Fact::Wait, frees as u64);
        let (meta, span) = (plan.meta, plan.regions << plan.region_shift);
        // SAFETY: this heap's alone, which nobody uses any more.
        unsafe {
            unmap(plan.slots, span + (1 << plan.page_shift) + plan.nothing.len);
            unmap(meta.0, meta.1);
        }
        facts
    }
}

/// Classes that a plain request for all of a slot leads to, without the first, of which there is an
/// object already, and that of the watched objects.
pub fn classes() -> impl Iterator<Item = SizeClass> {
    let own = |class: &SizeClass| {
        let size = class.slot(12) - 8;
        class.has_canary()
            && casemate::size_class::classify(size, 8, 12).map(SizeClass::index)
                == Some(class.index())
    };
    (1..CLASSES)
        .filter_map(SizeClass::new)
        .filter(own)
        .filter(|class| class.slot(12) != WATCHED_SLOT)
}

/// Start and end of the mappings without a gap between them in which an address lies: one with its
/// guards, whether those are markers or mappings of their own.
fn around(maps: &str, at: usize) -> (usize, usize) {
    let mut run = (0, 0);
    for line in maps.lines() {
        let ends = line.split_whitespace().next().and_then(|range| range.split_once('-'));
        let (start, end) = ends.expect("a range");
        let [start, end] = [start, end].map(|end| usize::from_str_radix(end, 16).expect("hex"));
        if start != run.1 {
            if (run.0..run.1).contains(&at) {
                break;
            }
            run.0 = start;
        }
        run.1 = end;
    }
    assert!((run.0..run.1).contains(&at), "mapped");
    run
}
