//! Rust source is parsed by `syn` into a tree, as every derive macro does.

use std::fmt::Write;
use std::hint::black_box;

use crate::measure::Clock;

/// About 3,000 lines.
fn text() -> String {
    let mut text = String::new();
    for i in 0..120 {
        let _ = write!(
            text,
            r#"
/// A record of kind {i}.
#[derive(Clone, Debug, PartialEq)]
pub struct Record{i}<'a, T: Clone + 'static> where T: Send {{
    name: &'a str,
    values: Vec<Option<(u{bits}, T)>>,
    next: Option<Box<Record{i}<'a, T>>>,
}}

impl<'a, T: Clone + Send + 'static> Record{i}<'a, T> {{
    pub fn walk(&self, limit: usize, found: &mut impl FnMut(&T) -> bool) -> Result<usize, String> {{
        let mut at = Some(self);
        let mut count = 0usize;
        while let Some(record) = at {{
            for (index, value) in record.values.iter().flatten().enumerate() {{
                match value {{
                    (0, _) if index > limit => return Err(format!("{{}} at {{index}}", record.name)),
                    (bits @ 1..=0x1f, value) => count += (*bits as usize >> 2) & 0xff,
                    (_, value) if found(value) => break,
                    _ => continue,
                }}
            }}
            at = record.next.as_deref();
        }}
        Ok(count * {i} + [1, 2, 3].iter().map(|x| x * 2).sum::<usize>())
    }}
}}
"#,
            bits = [8, 16, 32, 64][i % 4],
        );
    }
    text
}

pub fn run(clock: &mut Clock) {
    let text = text();
    clock.start();
    for _ in 0..clock.share(40) {
        match syn::parse_file(&text) {
            Ok(file) => black_box(file.items.len()),
            Err(error) => panic!("{error}"),
        };
    }
}
