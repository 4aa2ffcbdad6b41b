//! Who refers to whom in an archive, from what `readelf` prints.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Sections and undefined symbols, with the references between them.
pub struct Graph {
    edges: HashMap<String, BTreeSet<String>>,
}

/// The section of a function or object with this symbol: Rust gives each its own.
fn stem(name: &str) -> &str {
    [".text.unlikely.", ".text.hot.", ".text.", ".rodata.", ".data.rel.ro.", ".data.", ".bss."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

impl Graph {
    /// Reads the output of `readelf -W --symbols` and of `readelf -W --relocs`.
    pub fn read(symbols: &str, relocs: &str) -> Graph {
        let mut edges: HashMap<String, BTreeSet<String>> = HashMap::new();
        // Symbols that are an alias of another at the same place of a section are rare enough to
        // leave out: a reference to one shows as an undefined name, which the test would reject
        // if it were a panic.
        let _ = symbols;
        let mut section = String::new();
        for line in relocs.lines() {
            if let Some(rest) = line.strip_prefix("Relocation section '.rela") {
                section = stem(rest.split('\'').next().unwrap_or("")).to_owned();
                continue;
            }
            // Offset Info Type Value Name [+ Addend]
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields.len() < 5 || !fields[2].starts_with("R_") {
                continue;
            }
            if section.starts_with(".eh_frame") || section.starts_with(".debug") {
                continue;
            }
            edges.entry(section.clone()).or_default().insert(stem(fields[4]).to_owned());
        }
        Graph { edges }
    }

    /// Every name in the graph.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.edges.values().flatten().map(String::as_str)
    }

    /// Whether a name itself refers to one with this in it.
    #[cfg(target_arch = "x86_64")]
    pub fn refers(&self, from: &str, part: &str) -> bool {
        self.edges.get(from).is_some_and(|names| names.iter().any(|name| name.contains(part)))
    }

    /// Every name that can be reached from one.
    pub fn reach(&self, from: &str) -> BTreeSet<String> {
        self.search(from).into_keys().collect()
    }

    /// How a name is reached.
    pub fn path(&self, from: &str, to: &str) -> Vec<String> {
        let before = self.search(from);
        let mut path = vec![to.to_owned()];
        while let Some(name) = path.last().and_then(|name| before.get(name)) {
            if name.is_empty() {
                break;
            }
            path.push(name.clone());
        }
        path.reverse();
        path
    }

    /// Reached names, each with the one before it.
    fn search(&self, from: &str) -> HashMap<String, String> {
        let mut before = HashMap::from([(from.to_owned(), String::new())]);
        let mut queue = VecDeque::from([from.to_owned()]);
        while let Some(name) = queue.pop_front() {
            for next in self.edges.get(&name).into_iter().flatten() {
                if !before.contains_key(next) {
                    before.insert(next.clone(), name.clone());
                    queue.push_back(next.clone());
                }
            }
        }
        before
    }
}

/// Bytes that stores of zeroed vector registers write, in AT&T syntax.
#[cfg(target_arch = "x86_64")]
pub fn zeroed_bytes(code: &str) -> usize {
    let mut zeroed = BTreeSet::new();
    let mut bytes = 0;
    // `vxorps %xmm0,%xmm0,%xmm0` zeroes all of `%ymm0`.
    let number = |register: &str| register.replace("%ymm", "%xmm");
    for line in code.lines() {
        let mut words = line.split('\t').nth(1).unwrap_or("").split_whitespace();
        let (Some(name), Some(operands)) = (words.next(), words.next()) else { continue };
        let Some((from, rest)) = operands.split_once(',') else { continue };
        // What an address is made of is not told from operands: no register of its is a vector.
        let to = operands.rsplit(',').next().unwrap_or(rest);
        if name.contains("xor") && rest.split(',').all(|other| other == from) {
            zeroed.insert(number(from));
        } else if to.contains("%xmm") || to.contains("%ymm") {
            // It holds something else from here on.
            zeroed.remove(&number(to));
        } else if name.contains("mova") || name.contains("movdqa") || name.contains("movup") {
            let is_zero = rest.contains('(') && zeroed.contains(&number(from));
            bytes += if !is_zero {
                0
            } else if from.contains("%ymm") {
                32
            } else {
                16
            };
        }
    }
    bytes
}
