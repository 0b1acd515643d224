//! What the documents list is compared with the program and with the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "promises/support/program.rs"]
mod program;
use program::program;

const EXAMPLE: &str = "docs/carillon.example.toml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// What `carillon config` prints: setting → (value, source).
fn settings(arguments: &[&str]) -> BTreeMap<String, (String, String)> {
    let home = tempfile::tempdir().expect("a folder without settings");
    let output =
        program().current_dir(home.path()).args(arguments).arg("config").output().expect("the program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("a text");
    let parse = |line: &str| {
        let (setting, source) = line.rsplit_once(" # ")?;
        let (key, value) = setting.split_once(" = ")?;
        Some((key.to_owned(), (value.trim().to_owned(), source.to_owned())))
    };
    printed.lines().map(|line| parse(line).unwrap_or_else(|| panic!("not a setting: {line}"))).collect()
}

#[test]
fn the_example_shows_every_setting_at_its_default() {
    let example = root().join(EXAMPLE);
    let defaults = settings(&[]);
    // The program itself refuses unknown keys.
    let shown = settings(&["--config", example.to_str().expect("a path")]);
    for (key, (value, _)) in &defaults {
        let (given, source) = &shown[key];
        assert!(source.starts_with("file "), "{EXAMPLE} does not show {key}");
        assert_eq!(given, value, "{EXAMPLE}: {key} is not at its default");
    }
}

#[test]
fn every_setting_of_the_example_is_explained() {
    let text = read(EXAMPLE);
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        if pair[1].contains(" = ") && !pair[1].starts_with('#') {
            assert!(pair[0].starts_with("# "), "{EXAMPLE}: nothing is said above `{}`", pair[1]);
        }
    }
}

#[test]
fn the_readme_tells_true_defaults() {
    let defaults = settings(&[]);
    let readme = read("README.md");
    let mut found = 0;
    for row in readme.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let Some((section, _)) = cells[1].split_once('.') else { continue };
        if !defaults.keys().any(|key| key.starts_with(&format!("{section}."))) {
            continue;
        }
        let (value, _) =
            defaults.get(cells[1]).unwrap_or_else(|| panic!("README.md: no setting {}", cells[1]));
        assert_eq!(cells[2], value, "README.md: the default of {}", cells[1]);
        found += 1;
    }
    assert!(found > 5, "README.md has no table of settings");
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("docs") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|kind| kind == "md") => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// Whether `name` is a path in this repository: it begins with one of our folders and has no blanks or marks in it.
fn is_path(name: &str) -> bool {
    const FOLDERS: [&str; 8] =
        ["src/", "tests/", "docs/", "bench/", "migrations/", "client-js/", "templates/", ".ci/"];
    FOLDERS.iter().any(|folder| name.starts_with(folder))
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter))
}

#[test]
fn documents_lead_somewhere() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        let name = document.strip_prefix(root()).expect("inside").display().to_string();
        for named in text.split('`').skip(1).step_by(2).filter(|named| is_path(named)) {
            if !root().join(named).exists() {
                faults.push(format!("{name}: `{named}` is not there"));
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let outside = path.is_empty() || path.contains("://");
            if !outside && !document.parent().expect("a folder").join(path).exists() {
                faults.push(format!("{name}: the link to {link} leads nowhere"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_security_table_names_its_proofs() {
    let security = read("docs/SECURITY.md");
    let proofs: BTreeSet<_> =
        security.split('`').filter(|named| named.starts_with("tests/promises/")).collect();
    assert!(proofs.len() > 10, "docs/SECURITY.md names its proofs");
}

#[test]
fn the_description_of_the_api_is_fresh_and_whole() {
    let description = carillon::http::description();
    let described: BTreeSet<_> = description
        .paths
        .paths
        .iter()
        .flat_map(|(path, item)| {
            let methods =
                [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)];
            let there = methods.into_iter().filter(|(_, operation)| operation.is_some());
            there.map(move |(method, _)| (method, path.as_str()))
        })
        .collect();
    let served = carillon::http::routes().chain(carillon::http::OPEN.iter().copied()).collect();
    assert_eq!(described, served, "src/http/openapi.rs lacks a handler");
    let fresh = description.to_pretty_json().expect("JSON") + "\n";
    assert!(read("docs/openapi.json") == fresh, "docs/openapi.json is old: run `make openapi`");
}

#[test]
fn the_description_of_the_events_is_fresh_and_told_of() {
    use carillon::gateway::socketio::{Said, Told, description};
    let fresh = serde_json::to_string_pretty(&description()).expect("JSON") + "\n";
    assert!(read("docs/asyncapi.json") == fresh, "docs/asyncapi.json is old: run `make openapi`");
    let protocols = read("docs/PROTOCOLS.md");
    let (said, told) =
        (Said::ALL.iter().map(|event| event.name()), Told::ALL.iter().map(|event| event.name()));
    for name in said.chain(told) {
        assert!(protocols.contains(name), "docs/PROTOCOLS.md does not tell of {name}");
    }
}

/// What AsyncAPI itself says of documents.
#[test]
fn the_description_of_the_events_is_asyncapi() {
    let clients = root().join("tests/clients");
    let output = Command::new(clients.join(".venv/bin/python"))
        .arg(clients.join("valid.py"))
        .arg(clients.join("node_modules/@asyncapi/specs/schemas/3.0.0.json"))
        .arg(root().join("docs/asyncapi.json"))
        .output()
        .expect("the clients, which `make clients` installs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_metric_is_explained() {
    let (names, protocols) = (read("src/telemetry/metrics.rs"), read("docs/PROTOCOLS.md"));
    for name in names.split('"').skip(1).step_by(2) {
        let metric = name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(!metric || protocols.contains(name), "docs/PROTOCOLS.md does not explain {name}");
    }
}
