//! Markdown tables.

/// A table: the headings it is under, its column names, its rows.
pub struct Table {
    /// Outermost first, without marks.
    pub under: Vec<String>,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Whether its columns are these.
    pub fn is(&self, columns: &[&str]) -> bool {
        self.columns == columns
    }

    /// Whether it stands under a heading of this text.
    pub fn is_under(&self, heading: &str) -> bool {
        self.under.iter().any(|above| above == heading)
    }
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Whether a line is the one between these names of columns and their rows.
fn is_rule(line: &str, names: &str) -> bool {
    let is_dash = |byte: u8| byte == b'-' || byte == b':';
    let dashes = |cell: &String| cell.contains("---") && cell.bytes().all(is_dash);
    let cells_of = cells(line);
    line.starts_with('|') && cells_of.iter().all(dashes) && cells_of.len() == cells(names).len()
}

/// All tables in order. The rows of one end at the first line that does not begin with a stroke.
pub fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut under: Vec<String> = Vec::new();
    let mut inside = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let level = line.bytes().take_while(|&byte| byte == b'#').count();
        if level > 0 {
            under.truncate(level - 1);
            under.resize(level - 1, String::new());
            under.push(line[level..].trim().to_owned());
        }
        if !line.starts_with('|') {
            inside = false;
        } else if inside {
            tables.last_mut().expect("a table").rows.push(cells(line));
        } else if lines.next_if(|rule| is_rule(rule, line)).is_some() {
            inside = true;
            let columns = cells(line);
            tables.push(Table { under: under.clone(), columns, rows: Vec::new() });
        }
    }
    tables
}

/// Lines that look like a row and are in no table: nobody renders them as one or checks them.
pub fn strays(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut strays = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let row = line.starts_with('|');
        let begins = row && !inside && lines.peek().is_some_and(|rule| is_rule(rule, line));
        inside = row && (inside || begins);
        if line.trim_start().starts_with('|') && !inside {
            strays.push(line);
        }
    }
    strays
}

/// What stands in backticks.
pub fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn tables_are_found() {
    let text = "# A\n## B\n| x | y |\n| --- | --- |\n| `a` | b |\n| c | |\n\n# C\n| z |\n| --- |\n";
    let found = tables(text);
    assert_eq!(found.len(), 2);
    assert!(found[0].is(&["x", "y"]) && found[0].is_under("A") && found[0].is_under("B"));
    assert_eq!(found[0].rows, [["`a`", "b"], ["c", ""]]);
    assert!(found[1].is(&["z"]) && found[1].is_under("C") && !found[1].is_under("B"));
    assert_eq!(quoted("`a` and `b`, c").collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn rows_without_a_table_are_found() {
    let table = "| x | y |\n| --- | --- |\n| a | b |\n";
    assert!(strays(table).is_empty());
    let two = format!("{table}\n{table}");
    assert!(strays(&two).is_empty() && tables(&two).len() == 2);
    for (text, stray) in [
        (format!("{table}\n| c | d |\n"), "| c | d |"),
        (format!("{table} | c | d |\n"), " | c | d |"),
        (format!("| c | d |\n\n{table}"), "| c | d |"),
        (format!("{table}\n| --- | --- |\n"), "| --- | --- |"),
        ("| x | y |\n| --- |\n".to_owned(), "| x | y |"),
        (format!("{table}text\n| c | d |\n"), "| c | d |"),
    ] {
        assert_eq!(strays(&text).first(), Some(&stray), "{text}");
    }
    // A row is one even if it begins as the rule does.
    let rows = &tables(&format!("{table}| --- | d |\n"))[0].rows;
    assert_eq!(rows[1], ["---", "d"]);
}
