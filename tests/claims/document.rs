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

/// All tables in order.
pub fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut under: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let level = line.bytes().take_while(|&byte| byte == b'#').count();
        if level > 0 {
            under.truncate(level - 1);
            under.resize(level - 1, String::new());
            under.push(line[level..].trim().to_owned());
        }
        if !line.starts_with('|') {
            inside = false;
        } else if !inside {
            inside = true;
            let columns = cells(line);
            tables.push(Table { under: under.clone(), columns, rows: Vec::new() });
        } else if !line.starts_with("| ---") {
            tables.last_mut().expect("a table").rows.push(cells(line));
        }
    }
    tables
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
