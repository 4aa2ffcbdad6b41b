//! Many runs of one attack on each heap, counted.

use crate::arena::child;
use crate::arena::heap::{CASEMATE, HEAPS, LIGHT, NAIVE, STRICT};
use crate::arena::outcome::{End, Outcome};
use crate::arena::scenario::{Chance, Scenario};
use crate::arena::statistics::interval;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Outcomes of one attack on one heap.
pub struct Tally {
    pub heap: &'static str,
    pub runs: u64,
    /// Runs in which the goal was reached.
    pub effects: u64,
    /// How often the goal was reached, or not, and the program then ended so.
    pub outcomes: BTreeMap<(bool, End), u64>,
}

/// One attack on all heaps.
pub struct Row {
    pub family: &'static str,
    pub scenario: &'static Scenario,
    pub tallies: Vec<Tally>,
}

impl Tally {
    fn of(heap: &'static str, scenario: &'static Scenario, runs: u64) -> Tally {
        let begun = AtomicU64::new(0);
        let one_more = || begun.fetch_add(1, Ordering::Relaxed) < runs;
        let work = || {
            let mut mine = Vec::new();
            while one_more() {
                mine.push(child::run(heap, scenario));
            }
            mine
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let all: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            all.into_iter().flat_map(|one| one.join().expect("no panic in a worker")).collect()
        });
        let mut tally = Tally { heap, runs, effects: 0, outcomes: BTreeMap::new() };
        for Outcome { effect, end } in outcomes {
            tally.effects += u64::from(effect);
            *tally.outcomes.entry((effect, end)).or_default() += 1;
        }
        tally
    }

    /// The outcomes in words, the most frequent first, each with its count unless it is the only
    /// one.
    pub fn words(&self) -> String {
        let mut all: Vec<_> = self.outcomes.iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let alone = all.len() == 1;
        let one = |((effect, end), count): (&(bool, End), &u64)| {
            let outcome = Outcome { effect: *effect, end: end.clone() };
            if alone { outcome.to_string() } else { format!("{count}x {outcome}") }
        };
        all.into_iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// How often the goal was reached, with the 95 % interval of its probability.
    pub fn sureness(&self) -> String {
        let (low, high) = interval(self.effects, self.runs);
        let (low, high) = (low * 100.0, high * 100.0);
        format!("{} of {} ({low:.1} to {high:.1} %)", self.effects, self.runs)
    }
}

impl Row {
    /// Runs it.
    pub fn of(family: &'static str, scenario: &'static Scenario, runs: u64) -> Row {
        let wanted = |heap: &str| match heap {
            NAIVE => runs.min(5),
            // What nothing stops takes longest, and is soon seen.
            CASEMATE if matches!(scenario.effect, Chance::Between(low, _) if low > 0.9) => {
                runs.min(50)
            }
            CASEMATE => runs,
            _ => runs.min(50),
        };
        let heaps = HEAPS.iter().copied().chain([LIGHT, STRICT]);
        let tallies = heaps.map(|heap| Tally::of(heap, scenario, wanted(heap))).collect();
        Row { family, scenario, tallies }
    }

    /// The outcomes on a heap.
    pub fn on(&self, heap: &str) -> Option<&Tally> {
        self.tallies.iter().find(|tally| tally.heap == heap)
    }

    /// How sure Casemate's outcome is.
    pub fn sureness(&self) -> String {
        let Some(tally) = self.on(CASEMATE) else { return String::new() };
        match self.scenario.effect {
            Chance::Never => format!("never, by construction (0 of {})", tally.runs),
            _ => tally.sureness(),
        }
    }

    /// Whether the control took effect, and Casemate ended it in one of the ways it should.
    pub fn is_expected(&self) -> bool {
        let control = self.on(NAIVE).is_some_and(|tally| tally.effects == tally.runs);
        let subject = self.on(CASEMATE).is_some_and(|tally| {
            let never = self.scenario.effect == Chance::Never;
            !(never && tally.effects > 0)
                && tally.outcomes.keys().all(|(_, end)| self.scenario.expects(end))
        });
        control && subject
    }
}
