//! The test column. SECURITY.md says what its words mean; items are separated by semicolons, and
//! what stands in round brackets is remark:
//!
//! ```text
//! `T` a, b            test binary T of the root package: its files or test functions a and b
//! `P` F, G            files F and G of package P's tests
//! `P` F: a, b         test functions a and b in file F of package P's tests
//! `m` unit tests      the unit tests in src/m
//! `m` doc tests       the examples in src/m, some of which must not compile
//! `controls`          src/secure/controls.rs
//! `ci/S`              a script of .ci/run
//! ```

use crate::tree;

/// The packages that have tests of their own, and where.
const PACKAGES: [(&str, &str); 3] =
    [("casemate-preload", "preload"), ("casemate-cli", "cli"), ("casemate-report", "report")];

/// What is wrong with a cell; nothing if all of it is right.
pub fn faults(cell: &str, secure: bool) -> Vec<String> {
    let text = without_remarks(cell);
    let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
    let found: Vec<_> = items.map(|item| check(item, secure)).collect();
    if found.is_empty() {
        return vec!["no test is named".into()];
    }
    found.into_iter().filter_map(Result::err).collect()
}

fn without_remarks(cell: &str) -> String {
    let mut depth = 0;
    let keep = |c: &char| {
        depth += i32::from(*c == '(');
        let outside = depth == 0;
        depth -= i32::from(*c == ')');
        outside
    };
    cell.chars().filter(keep).collect()
}

fn check(item: &str, secure: bool) -> Result<(), String> {
    let unclear = || format!("\"{item}\" is none of the forms that the document defines");
    let (name, rest) =
        item.strip_prefix('`').and_then(|item| item.split_once('`')).ok_or_else(unclear)?;
    let rest = rest.trim();
    if name.starts_with("ci/") && rest.is_empty() {
        return script(name);
    }
    if let Some((_, directory)) = PACKAGES.iter().find(|(package, _)| *package == name) {
        return package(name, directory, rest);
    }
    match rest {
        "unit tests" => return unit(name, secure),
        "doc tests" => return doc(name, secure),
        "" if secure && name == "controls" => return unit(name, true),
        _ => {}
    }
    target(name, rest)
}

fn words(rest: &str) -> impl Iterator<Item = &str> {
    rest.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn script(name: &str) -> Result<(), String> {
    if !tree::exists(name) {
        return Err(format!("there is no script {name}"));
    }
    if run_by_ci(name) { Ok(()) } else { Err(format!(".ci/run does not run {name}")) }
}

fn run_by_ci(what: &str) -> bool {
    let run = tree::text(".ci/run").expect(".ci/run");
    let steps = run.lines().filter(|line| !line.trim_start().starts_with('#'));
    steps.map(str::trim_end).any(|line| {
        line.find(what).is_some_and(|at| {
            line[at + what.len()..].is_empty() || line[at + what.len()..].starts_with(' ')
        })
    })
}

/// Scripts of `ci/` that `.ci/run` runs, one after the other.
fn scripts() -> String {
    let names = std::fs::read_dir(tree::path("ci")).expect("ci/").filter_map(Result::ok);
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let run = names.map(|name| format!("ci/{name}")).filter(|name| run_by_ci(name));
    run.filter_map(|name| tree::text(&name)).collect()
}

/// The file or directory of a module of the library.
fn module(name: &str, secure: bool) -> Option<String> {
    let roots = if secure { &["src/secure", "src/secure/types", "src"][..] } else { &["src"] };
    roots.iter().find_map(|root| {
        let at = format!("{root}/{}", name.replace("::", "/"));
        [format!("{at}.rs"), at].into_iter().find(|at| tree::exists(at))
    })
}

fn unit(name: &str, secure: bool) -> Result<(), String> {
    let at = module(name, secure).ok_or_else(|| format!("there is no module {name}"))?;
    match has_test(&tree::sources(&at)) {
        true => Ok(()),
        false => Err(format!("{at} has no unit tests that run")),
    }
}

fn doc(name: &str, secure: bool) -> Result<(), String> {
    let at = module(name, secure).ok_or_else(|| format!("there is no module {name}"))?;
    match tree::sources(&at).contains("```compile_fail") {
        true => Ok(()),
        false => Err(format!("{at} has no example that must not compile")),
    }
}

/// Whether there is a test that is not ignored.
fn has_test(text: &str) -> bool {
    text.split("#[test]").skip(1).any(|after| !is_ignored(after))
}

/// Of the text behind `#[test]`: whether the attributes before the function ignore it.
fn is_ignored(after: &str) -> bool {
    let attributes = after.split_once("fn ").map_or(after, |(before, _)| before);
    attributes.contains("#[ignore")
}

/// Whether this function is a test that is not ignored.
fn function(text: &str, name: &str) -> Result<(), String> {
    let head = format!("fn {name}(");
    for after in text.split("#[test]").skip(1) {
        let next = after.find("fn ").unwrap_or(after.len());
        if after[next..].starts_with(&head) {
            return match is_ignored(after) {
                true => Err(format!("the test {name} is ignored")),
                false => Ok(()),
            };
        }
    }
    Err(format!("there is no test {name}"))
}

/// A test binary of the root package, and parts of it.
fn target(name: &str, rest: &str) -> Result<(), String> {
    let directory = format!("tests/{name}");
    let main = [format!("{directory}/main.rs"), format!("{directory}.rs")];
    let main = main.iter().find(|file| tree::exists(file));
    let main = main.ok_or_else(|| format!("there is no test binary {name}"))?;
    let text = tree::text(main).expect("a source file");
    if text.contains("#![cfg(") && !scripts().contains(&format!("--test {name} ")) {
        return Err(format!("no script of .ci/run runs {name}, which cargo test leaves out"));
    }
    let all = if main.ends_with("main.rs") { tree::sources(&directory) } else { text.clone() };
    if !has_test(&all) {
        return Err(format!("{name} has no test that runs"));
    }
    words(rest).try_for_each(|word| {
        if !text.contains(&format!("mod {word};")) {
            return function(&all, word).map_err(|why| format!("{name}: {why}"));
        }
        let files = [format!("{directory}/{word}.rs"), format!("{directory}/{word}")];
        let file = files.iter().find(|file| tree::exists(file));
        let file = file.ok_or_else(|| format!("{name} has no file {word}"))?;
        // Cases may be run by a function of another file, which then names this one.
        let used = all.contains(&format!("{word}::"));
        if has_test(&tree::sources(file)) || used && all.contains("#[test]") {
            Ok(())
        } else {
            Err(format!("{name}: {word} has no test that runs"))
        }
    })
}

/// Files of another package's tests, and functions in them.
fn package(name: &str, directory: &str, rest: &str) -> Result<(), String> {
    let named = |text: &str| {
        let at = text.find(&format!("-p {name}"));
        at.is_some_and(|at| !text[at + 3 + name.len()..].starts_with('-'))
    };
    let tested = |text: String| text.lines().any(|line| line.contains("cargo test") && named(line));
    if !tested(scripts()) && !tested(tree::text(".ci/run").expect(".ci/run")) {
        return Err(format!("nothing that .ci/run runs tests {name}"));
    }
    if rest == "unit tests" {
        let has = has_test(&tree::sources(&format!("{directory}/src")));
        return if has { Ok(()) } else { Err(format!("{name} has no unit tests that run")) };
    }
    let (files, functions) = rest.split_once(':').unwrap_or((rest, ""));
    let mut places = vec![format!("{directory}/tests"), format!("{directory}/src")];
    let binaries = tree::directories(&places[0]).into_iter();
    places.extend(binaries.map(|binary| format!("{directory}/tests/{binary}")));
    let mut known = 0;
    for word in words(files) {
        let found = places.iter().map(|place| format!("{place}/{word}.rs"));
        let file = found.clone().find(|file| tree::exists(file));
        let file = file.ok_or_else(|| format!("{name} has no file {word}"))?;
        let text = tree::text(&file).expect("a source file");
        if !has_test(&text) {
            return Err(format!("{file} has no test that runs"));
        }
        words(functions)
            .try_for_each(|test| function(&text, test))
            .map_err(|why| format!("{file}: {why}"))?;
        known += 1;
    }
    if known == 0 { Err(format!("no file of {name} is named")) } else { Ok(()) }
}

#[test]
fn ignored_tests_are_seen() {
    let text = "#[test]\nfn a() {}\n#[test]\n#[ignore = \"why\"]\nfn b() {}\n";
    assert_eq!(function(text, "a"), Ok(()));
    assert!(function(text, "b").is_err() && function(text, "c").is_err());
    assert!(has_test(text) && !has_test("#[test]\n#[ignore]\nfn b() {}"));
}
