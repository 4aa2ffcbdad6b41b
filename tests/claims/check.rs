//! All that is checked of the document.

use crate::document::{Table, quoted, strays, tables};
use crate::{tests, tree};
use casemate::policy::Set;

const CLAIMS: [&str; 4] = ["claim", "mechanism", "where", "test"];
const NAMES: [&str; 2] = ["protection", "claim that it belongs to"];
const LIMITS: [&str; 2] = ["limit", "why"];
const SECURE: &str = "Secure memory";

/// What is wrong with the document.
pub fn faults(text: &str) -> Vec<String> {
    let tables = tables(text);
    let stray = |line| format!("a row outside a table: {line}");
    let mut faults: Vec<String> = strays(text).into_iter().map(stray).collect();
    let mut claims = Vec::new();
    let mut seen = [0; 3];
    for table in &tables {
        let secure = table.is_under(SECURE);
        for row in &table.rows {
            let first = row.first().map_or("", String::as_str);
            let short: String = first.chars().take(60).collect();
            let mut say = |what: String| faults.push(format!("\"{short}\": {what}"));
            if row.len() != table.columns.len() {
                say(format!("{} cells in {} columns", row.len(), table.columns.len()));
                continue;
            }
            if let Some(i) = row.iter().position(String::is_empty) {
                say(format!("nothing is said of \"{}\"", table.columns[i]));
                continue;
            }
            if table.is(&CLAIMS) {
                places(&row[2], secure).into_iter().for_each(&mut say);
                tests::faults(&row[3], secure).into_iter().for_each(&mut say);
            }
        }
        for (number, columns) in [&CLAIMS[..], &LIMITS, &NAMES].into_iter().enumerate() {
            if table.is(columns) && !table.rows.is_empty() {
                seen[number] += 1;
            }
        }
        if table.is(&CLAIMS) {
            claims.extend(table.rows.iter().map(|row| (secure, row[0].as_str())));
        }
    }
    if seen != [2, 2, 2] {
        faults.push(format!("claims, limits and names of the heap and of secure memory: {seen:?}"));
    }
    for secure in [false, true] {
        let rows =
            tables.iter().filter(|table| table.is(&NAMES) && table.is_under(SECURE) == secure);
        let wanted = if secure { secure_names() } else { heap_names() };
        names(rows, &wanted, secure, &claims, &mut faults);
    }
    faults
}

/// Files and directories of the "where" column.
fn places(cell: &str, secure: bool) -> Vec<String> {
    if cell == "all of it" {
        return Vec::new();
    }
    let roots = if secure { &["src/secure/", "src/", ""][..] } else { &["src/", ""] };
    let is_there = |name: &str| roots.iter().any(|root| tree::exists(&format!("{root}{name}")));
    let named: Vec<_> = quoted(cell).collect();
    if named.is_empty() {
        return vec!["no file is named".into()];
    }
    let missing = named.into_iter().filter(|name| !is_there(name));
    missing.map(|name| format!("there is no file {name}")).collect()
}

/// The fields of a public structure.
fn fields(file: &str, name: &str) -> Vec<String> {
    let text = tree::text(file).expect(file);
    let (_, after) = text.split_once(&format!("pub struct {name} {{")).expect(name);
    let (body, _) = after.split_once("\n}").expect("its end");
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix("pub "));
    lines.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

/// Every protection that the heap's policies can lack, and every field of its report.
fn heap_names() -> Vec<String> {
    let switches = Set::EACH.iter().map(|(name, _)| (*name).to_owned());
    switches.chain(fields("src/heap/stats.rs", "ProtectionReport")).collect()
}

/// Every protection of secure memory that a control switches off, and every field of its report.
fn secure_names() -> Vec<String> {
    let text = tree::text("src/secure/protection.rs").expect("its protections");
    let (_, list) = text.split_once("\nprotections! {").expect("the list");
    let (list, _) = list.split_once("\n}").expect("its end");
    let named = |line: &str| Some(line.split_once(" = \"")?.1.split_once('"')?.0.to_owned());
    let switches = list.lines().filter_map(named);
    switches.chain(fields("src/secure/protections.rs", "Protections")).collect()
}

/// The tables of names have a row for each protection, and each row leads to a claim.
fn names<'t>(
    found: impl Iterator<Item = &'t Table>,
    wanted: &[String],
    secure: bool,
    claims: &[(bool, &str)],
    faults: &mut Vec<String>,
) {
    let rows: Vec<_> = found.flat_map(|table| &table.rows).collect();
    let of = |row: &Vec<String>| quoted(&row[0]).map(str::to_owned).collect::<Vec<_>>();
    let have: Vec<_> = rows.iter().flat_map(|row| of(row)).collect();
    assert!(wanted.len() > 8, "protections are found");
    for name in wanted.iter().filter(|name| !have.contains(name)) {
        faults.push(format!("the protection \"{name}\" has no row"));
    }
    for name in have.iter().filter(|name| !wanted.contains(name)) {
        faults.push(format!("there is no protection \"{name}\""));
    }
    for row in rows {
        let [_, claim] = &row[..] else { continue };
        let start = claim.trim_end_matches("...").trim_end();
        let leads = |&(of, text): &(bool, &str)| of == secure && text.starts_with(start);
        if start.len() < 12 || !claims.iter().any(leads) {
            faults.push(format!("\"{}\": no claim starts with \"{start}\"", row[0]));
        }
    }
}
