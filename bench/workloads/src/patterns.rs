//! Regular expressions are compiled and used once.

use std::hint::black_box;

use regex::Regex;

use crate::measure::Clock;

const PATTERNS: &[&str] = &[
    r"^([a-zA-Z0-9_.+-]+)@([a-zA-Z0-9-]+)\.([a-zA-Z0-9.-]+)$",
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:\d{2})",
    r"\b(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}\b",
    r#"(?i)<a\s+(?:[^>]*?\s+)?href=["']([^"']*)["'][^>]*>(.*?)</a>"#,
    r"(?m)^\s*(?:pub\s+)?(?:unsafe\s+)?fn\s+([a-z_][a-z0-9_]*)\s*(<[^>]*>)?\s*\(",
    r"(error|warning|note|help)(?:\[([A-Z]\d{4})\])?: (.+)",
    r"[\p{Lu}\p{Lt}][\p{Ll}]{2,20}(?:\s+[\p{Lu}][\p{Ll}]{2,20}){1,3}",
    r"(?:a|b|c|d|ab|bc|cd|abc|bcd|abcd){2,12}x{3,9}(?:y|z)+",
];

const TEXT: &str = "On 2024-05-17T09:31:07.250+02:00 Ada Augusta Lovelace <ada@example.org> saw \
    'error[E0308]: mismatched types' from 192.168.17.254, and wrote to <a class='x' \
    href=\"https://example.org/\">the list</a>.\n    pub unsafe fn decode<T>(ptr: *mut T) {}\n";

pub fn run(clock: &mut Clock) {
    for _ in 0..clock.share(80) {
        for pattern in PATTERNS {
            match Regex::new(pattern) {
                Ok(regex) => black_box(regex.captures_iter(TEXT).count()),
                Err(error) => panic!("{error}"),
            };
        }
    }
}
