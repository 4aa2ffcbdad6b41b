//! The heap part of published bugs: who overflows what by how much, and what the attacker wanted
//! to reach. From their public descriptions; nothing of an exploit.

use crate::arena::field::Field;
use crate::arena::memory::{fill_words, find, get, put, write};
use crate::arena::scenario::{Chance, Ending, Scenario, slot};
use casemate::Kind;

const LIBRARY: &str = "the name of a library to be loaded is overwritten";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "CVE-2023-6246",
        technique: "glibc syslog: a buffer of 1 byte, 1 KiB of program name (Qualys, 2024)",
        goal: LIBRARY,
        run: syslog,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 16), Ending::Fault],
    },
    Scenario {
        name: "CVE-2021-3156",
        technique: "sudo: a buffer of the attacker's size, placed before a record, overflows by 256 bytes (Qualys, 2021)",
        goal: LIBRARY,
        run: sudo,
        effect: Chance::Between(0.0, 0.5),
        ends: &[slot(Kind::Overflow, 64), Ending::Fault],
    },
    Scenario {
        name: "CVE-2024-2961",
        technique: "glibc iconv: one byte of a fixed value past the end",
        goal: "an allocation overlaps a live object",
        run: iconv,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 32), slot(Kind::Underflow, 32)],
    },
    Scenario {
        name: "CVE-2022-0185",
        technique: "Linux fs context, as its user-space pattern: linear overflow from a page-sized buffer among sprayed messages into a message's length",
        goal: "a message's length is overwritten",
        run: messages,
        effect: Chance::Between(0.3, 1.0),
        ends: &[slot(Kind::Overflow, 4160), Ending::Fault],
    },
    Scenario {
        name: "CVE-2023-4863",
        technique: "libwebp: entries of 4 bytes, every second one, past the end of a Huffman table of 11,816 bytes",
        goal: "a field of the decoder, allocated next, is overwritten",
        run: huffman,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 13824), Ending::Fault],
    },
    Scenario {
        name: "CVE-2023-38545",
        technique: "curl SOCKS5: a host name of 64 KiB in a buffer of 16 KiB; a callback lies after it",
        goal: "the callback's record is overwritten",
        run: socks,
        effect: Chance::Never,
        ends: &[slot(Kind::Overflow, 16448), Ending::Fault],
    },
    Scenario {
        name: "CVE-2019-11932",
        technique: "GIF decoder: a reallocation to no bytes frees a buffer twice, two frames share it with the decoder's record",
        goal: "the record's function index is the attacker's",
        run: gif,
        effect: Chance::Never,
        ends: &[slot(Kind::DoubleFree, 128)],
    },
    Scenario {
        name: "Heartbleed, the key",
        technique: "CVE-2014-0160: 64 KiB are read from a record of 18,000 bytes; a private key lies after it",
        goal: "the key is read",
        run: heartbleed_key,
        effect: Chance::Never,
        ends: &[Ending::GoesOn, Ending::Fault],
    },
    Scenario {
        name: "Heartbleed, other connections",
        technique: "CVE-2014-0160: the same; eight connections have records of the same size",
        goal: "another connection's record is read",
        run: heartbleed_records,
        effect: Chance::Between(0.4, 0.97),
        ends: &[Ending::GoesOn, Ending::Fault],
    },
];

const HIS: usize = 0x4154_5441_434b;
const SECRET: usize = 0x5345_4352_4554;

fn syslog(f: &Field) {
    let hole = f.take(8);
    let service = f.take(56);
    f.free(hole);
    let buffer = f.take(1);
    fill_words(buffer, 1024, HIS);
    f.goal(get(service + 16) == HIS);
    f.free(buffer);
}

fn sudo(f: &Field) {
    let [hole, passwd, group, hosts] = f.take_many(56);
    f.free(hole);
    let buffer = f.take(56);
    fill_words(buffer, 256, HIS);
    f.goal([passwd, group, hosts].iter().any(|&service| get(service + 16) == HIS));
    f.free(buffer);
}

fn iconv(f: &Field) {
    let [buffer, next, live] = f.take_many(24);
    write(buffer + 24, b'H');
    f.free(next);
    f.goal(Field::overlap((f.take(56), 56), (live, 24)));
    f.free(buffer);
}

fn messages(f: &Field) {
    let before = f.take_many::<32>(4088);
    f.free(before[16]);
    let buffer = f.take(4088);
    let after = f.take_many::<64>(4088);
    fill_words(buffer, 4088 + 96, HIS);
    let mut messages = before.iter().chain(&after).filter(|&&at| at != before[16]);
    f.goal(messages.any(|&message| get(message + 8) == HIS));
    f.free(buffer);
}

fn huffman(f: &Field) {
    let table = f.take(2954 * 4);
    let decoder = f.take(296);
    fill_words(decoder, 296, 0);
    for i in (0..400).step_by(2) {
        let entry = table + 2954 * 4 + i * 4;
        (0..4).for_each(|byte| write(entry + byte, 0x41));
    }
    f.goal((decoder..decoder + 296).step_by(8).any(|at| get(at) != 0));
    f.free(table);
}

fn socks(f: &Field) {
    let buffer = f.take(16 << 10);
    let callback = f.take(120);
    // What else a program has, so that the name does not end where memory does.
    f.take(120_000);
    fill_words(callback, 120, 0);
    fill_words(buffer, 64 << 10, HIS);
    f.goal(get(callback + 8) == HIS);
    f.free(buffer);
}

fn gif(f: &Field) {
    let fillers = f.take_many::<7>(120);
    let [buffer, other] = f.take_many(120);
    f.free_all(&fillers);
    f.free(buffer);
    f.free(other);
    f.free(buffer);
    let records = f.take_many::<16>(120);
    let decoder = records[9];
    fill_words(decoder, 120, 0);
    records.iter().enumerate().filter(|(i, _)| *i != 9).for_each(|(_, &frame)| put(frame + 8, HIS));
    f.goal(get(decoder + 8) == HIS);
}

const RECORD: usize = 18_000;
const CLAIMED: usize = 65_528;

fn heartbleed_key(f: &Field) {
    let record = f.take(RECORD);
    let key = f.take(1000);
    fill_words(key, 1000, SECRET);
    f.goal(find(record, CLAIMED, SECRET).is_some());
}

fn heartbleed_records(f: &Field) {
    let records = f.take_many::<8>(RECORD);
    records[1..].iter().for_each(|&one| fill_words(one, RECORD, SECRET));
    put(records[0], 0);
    f.goal(find(records[0], CLAIMED, SECRET).is_some());
}
