//! Compares the migrations of the two databases, and both with `schema.rs`. A simple reader: it knows `CREATE TABLE`,
//! `CREATE [UNIQUE] INDEX`, `ALTER TABLE … ADD COLUMN`, `DROP TABLE` and `DROP INDEX`, and says so when it meets more.

use std::collections::{BTreeMap, BTreeSet};

type Files = [(String, String)];

/// What a column is for both databases.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    kind: String,
    not_null: bool,
}

/// What migrations leave behind.
#[derive(Debug, Default)]
struct Schema {
    tables: BTreeMap<String, BTreeMap<String, Column>>,
    keys: BTreeMap<String, String>,
    indexes: BTreeMap<String, String>,
    /// What happens by itself, on which table.
    triggers: BTreeMap<String, String>,
}

/// Everything in which the two, or one of them and `schema.rs`, differ.
pub fn faults(sqlite: &Files, postgres: &Files, schema: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let names = |files: &Files| -> BTreeSet<String> {
        files.iter().map(|(path, _)| path.splitn(3, '/').nth(2).unwrap_or_default().to_owned()).collect()
    };
    for name in names(sqlite).symmetric_difference(&names(postgres)) {
        faults.push(format!("migrations: {name} stands in one of the two folders only"));
    }
    let mut read = |files: &Files| {
        let mut schema = Schema::default();
        for (path, text) in files.iter().filter(|(path, _)| path.ends_with("/up.sql")) {
            for statement in statements(text) {
                if let Err(why) = schema.apply(&statement) {
                    faults.push(format!("{path}: {why}"));
                }
            }
            let down = path.replace("up.sql", "down.sql");
            if !files.iter().any(|(path, _)| *path == down) {
                faults.push(format!("{down} is missing"));
            }
        }
        schema
    };
    let (ours, theirs) = (read(sqlite), read(postgres));
    differ("table", &ours.tables, &theirs.tables, &mut faults);
    differ("primary key of", &ours.keys, &theirs.keys, &mut faults);
    differ("index", &ours.indexes, &theirs.indexes, &mut faults);
    differ("trigger", &ours.triggers, &theirs.triggers, &mut faults);
    let columns =
        |tables: &BTreeMap<String, BTreeMap<String, Column>>| -> BTreeMap<String, BTreeSet<String>> {
            tables.iter().map(|(table, columns)| (table.clone(), columns.keys().cloned().collect())).collect()
        };
    differ("schema.rs: table", &columns(&ours.tables), &described(schema), &mut faults);
    faults
}

fn differ<T: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
    faults: &mut Vec<String>,
) {
    for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let (one, other) = (ours.get(name), theirs.get(name));
        if one != other {
            faults.push(format!("{what} {name} differs:\n  {one:?}\n  {other:?}"));
        }
    }
}

/// The statements of a script, without comments, in single spaces.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<_> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let spaced = code.join(" ").replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
    spaced
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
        .map(|statement| statement.replace(" IF NOT EXISTS ", " "))
        .filter(|statement| !statement.is_empty())
        .collect()
}

impl Schema {
    fn apply(&mut self, statement: &str) -> Result<(), String> {
        let words: Vec<&str> = statement.split(' ').collect();
        match words.as_slice() {
            ["CREATE", "TABLE", name, "(", ..] => {
                let start = statement.find('(').map_or(0, |at| at + 1);
                let end = statement.rfind(')').unwrap_or(statement.len());
                self.tables.insert((*name).to_owned(), BTreeMap::new());
                for part in parts(&statement[start..end]) {
                    self.part(name, &part)?;
                }
            }
            ["ALTER", "TABLE", name, "ADD", "COLUMN", rest @ ..] => self.part(name, &rest.join(" "))?,
            ["CREATE", "INDEX", name, "ON", rest @ ..] => {
                self.indexes.insert((*name).to_owned(), rest.join(" "));
            }
            ["CREATE", "UNIQUE", "INDEX", name, "ON", rest @ ..] => {
                self.indexes.insert((*name).to_owned(), format!("unique {}", rest.join(" ")));
            }
            ["DROP", "TABLE", name] => drop(self.tables.remove(*name)),
            ["DROP", "INDEX", name] => drop(self.indexes.remove(*name)),
            ["CREATE", "TRIGGER", name, rest @ ..] => {
                let on = rest.iter().skip_while(|word| **word != "ON").nth(1);
                let table = on.ok_or_else(|| format!("trigger {name} is on no table"))?;
                self.triggers.insert((*name).to_owned(), (*table).to_owned());
            }
            ["DROP", "TRIGGER", name, "ON", table]
                if self.triggers.get(*name).is_some_and(|on| on == table) =>
            {
                self.triggers.remove(*name);
            }
            ["DROP", "TRIGGER", name] if self.triggers.contains_key(*name) => {
                self.triggers.remove(*name);
            }
            // How they do it is each database's own affair; so are the ends of what has several statements.
            ["CREATE", "FUNCTION", ..] | ["CREATE", "OR", "REPLACE", "FUNCTION", ..] => {}
            ["RETURN", ..] | ["END", ..] | ["$$"] => {}
            // How full its pages are is PostgreSQL's own affair.
            ["ALTER", "TABLE", name, "SET", "(", "fillfactor", "=", _, ")"]
                if self.tables.contains_key(*name) => {}
            // Rows are no matter of the schema.
            ["INSERT", "INTO", name, ..] | ["UPDATE", name, ..] if self.tables.contains_key(*name) => {}
            _ => {
                return Err(format!(
                    "tests/architecture/migrations.rs cannot read `{statement:.60}`; teach it"
                ));
            }
        }
        Ok(())
    }

    fn part(&mut self, table: &str, part: &str) -> Result<(), String> {
        if let Some(key) = part.strip_prefix("PRIMARY KEY ") {
            self.keys.insert(table.to_owned(), key.trim_matches(['(', ')', ' ']).to_owned());
            return Ok(());
        }
        let (name, rest) = part.split_once(' ').ok_or_else(|| format!("`{part}` is no column"))?;
        let key = rest.contains("PRIMARY KEY");
        if key {
            self.keys.insert(table.to_owned(), name.to_owned());
        }
        let kind = match rest.split(' ').next().unwrap_or_default() {
            "INTEGER" | "BIGINT" | "TIMESTAMPTZ" | "BOOLEAN" => "number or time",
            "BLOB" | "BYTEA" | "UUID" => "bytes",
            "TEXT" | "JSONB" => "text",
            other => return Err(format!("`{other}` is a type this test does not know")),
        };
        let column = Column { kind: kind.to_owned(), not_null: key || rest.contains("NOT NULL") };
        self.tables.entry(table.to_owned()).or_default().insert(name.to_owned(), column);
        Ok(())
    }
}

/// Splits at commas that stand outside parentheses.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_i32);
    for character in list.chars() {
        match character {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(character == '(') - i32::from(character == ')');
                parts.last_mut().expect("it begins with one").push(character);
            }
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Tables and columns of every `table!`.
fn described(schema: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = None;
    for line in schema.lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|head| head.split_once(" (")) {
            tables.insert(name.to_owned(), BTreeSet::new());
            table = Some(name.to_owned());
        } else if let (Some(table), Some((column, _))) = (&table, line.split_once(" -> ")) {
            tables.entry(table.clone()).or_default().insert(column.to_owned());
        } else if line == "}" {
            table = None;
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::faults;

    const SQLITE: &str = "-- a; comment\nCREATE TABLE a (id INTEGER PRIMARY KEY, at BIGINT NOT NULL, key BLOB);\n\
        CREATE UNIQUE INDEX a_key ON a (key) WHERE key IS NOT NULL;";
    const POSTGRES: &str = "CREATE TABLE a (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n\
        at TIMESTAMPTZ NOT NULL, key BYTEA);\nCREATE UNIQUE INDEX a_key ON a (key) WHERE key IS NOT NULL;";
    const SCHEMA: &str = "table! {\n    a (id) {\n        id -> BigInt,\n        at -> Instant,\n        key -> Binary,\n    }\n}";

    fn compare(sqlite: &str, postgres: &str, schema: &str) -> Vec<String> {
        let files = |folder: &str, up: &str| {
            ["up.sql", "down.sql"].map(|name| (format!("migrations/{folder}/1/{name}"), up.to_owned()))
        };
        faults(&files("sqlite", sqlite), &files("postgres", postgres), schema)
    }

    #[test]
    fn like_schemas_are_alike() {
        assert_eq!(compare(SQLITE, POSTGRES, SCHEMA), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_seen() {
        for (from, to) in [
            ("key BYTEA", "key TEXT"),
            ("key BYTEA", "key BYTEA NOT NULL"),
            ("key BYTEA", "key2 BYTEA"),
            ("at TIMESTAMPTZ NOT NULL, ", ""),
            ("TABLE a", "TABLE b"),
            ("UNIQUE INDEX", "INDEX"),
            (" WHERE key IS NOT NULL", ""),
            ("CREATE UNIQUE INDEX", "CREATE VIEW x AS SELECT 1; CREATE UNIQUE INDEX"),
            ("CREATE UNIQUE INDEX", "CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE x(); CREATE UNIQUE INDEX"),
        ] {
            assert!(POSTGRES.contains(from), "{from}");
            assert!(!compare(SQLITE, &POSTGRES.replacen(from, to, 1), SCHEMA).is_empty(), "{from} → {to}");
        }
        assert_eq!(compare(SQLITE, POSTGRES, &SCHEMA.replace("        at -> Instant,\n", "")).len(), 1);
        let one = [("migrations/sqlite/2/up.sql".to_owned(), String::new())];
        assert_eq!(faults(&one, &[], "").len(), 2, "another name, and no way down");
    }
}
