//! Promise: README and docs/ are true. Every `chiron …` line parses, every configuration is accepted, every path and
//! link leads somewhere, and the table of who may import whom is the one that is checked. `tour.rs` walks the tour.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use chiron::cli::Cli;
use clap::Parser as _;
use support::daemon::cli;
use support::documents::{blocks, documents, marked, read, root};

/// What stands between backticks in running text.
fn spans(document: &str) -> Vec<String> {
    let mut fenced = false;
    let text: Vec<&str> = document
        .lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .collect();
    let text = text.join("\n");
    let spans = text.split('`').skip(1).step_by(2);
    spans.map(|span| span.replace('\n', " ")).collect()
}

/// The words of a shell line, up to its comment; enough of a shell for the lines that we write.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The arguments of a line that begins with `chiron`, without what the shell does with its output.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = words(line.trim());
    let assigned = words
        .iter()
        .take_while(|word| word.starts_with("CHIRON_") && word.contains('='))
        .count();
    let (first, rest) = words.get(assigned..)?.split_first()?;
    let end = rest
        .iter()
        .position(|word| [">", "|", "||", "&&", "&", ";"].contains(&word.as_str()));
    (first == "chiron").then(|| rest[..end.unwrap_or(rest.len())].to_vec())
}

/// Names in capitals stand for what the reader puts there.
fn filled_in(argument: &str) -> String {
    match argument {
        "N" => "1".to_owned(),
        "sha256:HEX" => format!("sha256:{}", "0".repeat(64)),
        other => other.to_owned(),
    }
}

#[test]
fn every_command_in_the_documents_is_one() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, document) in documents() {
        let shell = blocks(&document)
            .into_iter()
            .filter(|block| block.info.split(' ').next() == Some("sh"));
        let lines: Vec<String> = shell
            .flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>())
            .chain(spans(&document))
            .collect();
        for line in lines {
            // `chiron VERB --help` and the like speak of any verb.
            let arguments = arguments(&line).filter(|a| !a.is_empty() && a[0] != "VERB");
            let Some(arguments) = arguments else { continue };
            seen += 1;
            let all = std::iter::once("chiron".to_owned()).chain(arguments.iter().map(|a| filled_in(a)));
            let alone = arguments.iter().all(|word| !word.starts_with('-')) && arguments.len() <= 2;
            match Cli::try_parse_from(all) {
                Ok(_) => {}
                // In running text a verb may be named without what it needs: `chiron yank`.
                Err(error)
                    if alone
                        && matches!(
                            error.kind(),
                            clap::error::ErrorKind::MissingRequiredArgument
                                | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                                | clap::error::ErrorKind::MissingSubcommand
                        ) => {}
                Err(error) => wrong.push(format!("{path}: {line}\n  {error}")),
            }
        }
    }
    assert!(seen > 60, "only {seen} commands were found: the reader is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chiron.toml");
    let mut seen = 0;
    for (path, document) in documents() {
        // The other documents show the configuration of installers.
        if !["README.md", "docs/configuration.md"].contains(&path.as_str()) {
            continue;
        }
        for block in blocks(&document).iter().filter(|block| block.info == "toml") {
            seen += 1;
            fs::write(&file, &block.text).unwrap();
            let output = cli(dir.path(), &["config", "check"]);
            assert_eq!(output.status, 0, "{path}:\n{}\n{output}", block.text);
        }
    }
    assert!(seen >= 2, "only {seen} configurations were found");
}

#[test]
fn every_link_and_path_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, document) in documents() {
        let folder = root().join(&path).parent().unwrap().to_owned();
        for (at, _) in document.match_indices("](") {
            let target = document[at + 2..].split(')').next().unwrap();
            if !target.contains("://") {
                seen += 1;
                if !folder.join(target.split('#').next().unwrap()).exists() {
                    wrong.push(format!("{path}: link to {target}"));
                }
            }
        }
        for span in spans(&document) {
            let ours = [
                "src/",
                "storage/src",
                "tuf-repo/",
                "tests/",
                "benches/",
                "docs/",
                "schemas/",
            ];
            let plain = span
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            // A source of Python is an example of somebody's package.
            if plain
                && Path::new(&span).extension().is_none_or(|end| end != "py")
                && ours.iter().any(|start| span.starts_with(start))
            {
                seen += 1;
                if !root().join(&span).exists() {
                    wrong.push(format!("{path}: {span} is not there"));
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} links and paths were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The map's paths, and the files that the line of each names.
fn map() -> Vec<(String, Vec<String>)> {
    let mut map: Vec<(String, Vec<String>)> = Vec::new();
    for line in marked(&read("README.md"), "text map").lines() {
        let mut said = line;
        if !line.starts_with(' ') {
            let (path, rest) = line.split_once(' ').unwrap();
            map.push((path.to_owned(), Vec::new()));
            said = rest;
        }
        let files = said
            .split([' ', ',', ';', ':', '(', ')'])
            .filter(|word| Path::new(word).extension().is_some_and(|e| e == "rs"));
        map.last_mut().unwrap().1.extend(files.map(str::to_owned));
    }
    map
}

/// Folders with source of their own: not those that hold nothing but the tests of the file beside them.
fn source_folders(under: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_folders(&path, found);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            found.insert(under.to_owned());
        }
    }
}

#[test]
fn the_map_is_the_tree() {
    let map = map();
    let mut wrong = Vec::new();
    for (path, files) in &map {
        if !root().join(path).exists() {
            wrong.push(format!("{path} is on the map and not there"));
        }
        let parent = Path::new(path).parent().unwrap_or(Path::new("")).to_owned();
        for file in files {
            let near = [root().join(path).join(file), root().join(&parent).join(file)];
            if !near.iter().any(|path| path.exists()) {
                wrong.push(format!("{path}: {file} is not there"));
            }
        }
    }
    let drawn: BTreeSet<PathBuf> = map
        .iter()
        .map(|(path, _)| root().join(path.trim_end_matches('/')))
        .collect();
    let mut there = BTreeSet::new();
    for member in ["src", "storage/src", "tuf-repo/src"] {
        source_folders(&root().join(member), &mut there);
    }
    there.remove(&root().join("src"));
    for entry in fs::read_dir(root().join("src")).unwrap() {
        there.insert(entry.unwrap().path());
    }
    let missing = there.difference(&drawn);
    wrong.extend(missing.map(|path| format!("{} is not on the map", path.display())));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The quoted strings of a piece of Rust, in order.
fn quoted(code: &str) -> Vec<&str> {
    code.split('"').skip(1).step_by(2).collect()
}

/// The table of README as `tests/architecture.rs` would have it.
fn import_table() -> String {
    let code = read("tests/architecture.rs");
    let (_, table) = code.split_once("const MAY_IMPORT").unwrap();
    let (_, table) = table.split_once("= &[").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    let mut text = "| module | may import |\n|---|---|\n".to_owned();
    for entry in table.split('(').skip(1) {
        let (module, others) = quoted(entry)
            .split_first()
            .map(|(m, o)| (*m, o.to_vec()))
            .unwrap();
        if ["main", "lib"].contains(&module) {
            continue;
        }
        let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
        let others = if others.is_empty() {
            "–".to_owned()
        } else {
            others.join(", ")
        };
        writeln!(text, "| `{module}` | {others} |").unwrap();
    }
    text
}

/// `CHIRON_BLESS=1` writes the table anew.
#[test]
fn the_table_of_imports_is_the_one_that_is_checked() {
    let readme = read("README.md");
    let wanted = import_table();
    assert!(wanted.lines().count() > 12, "{wanted}");
    let start = readme.find("| module | may import |").expect("the table");
    let end = start + readme[start..].find("\n\n").unwrap() + 1;
    if std::env::var_os("CHIRON_BLESS").is_some() {
        let blessed = [&readme[..start], &wanted, &readme[end..]].concat();
        fs::write(root().join("README.md"), blessed).unwrap();
        return;
    }
    assert_eq!(
        &readme[start..end],
        wanted,
        "CHIRON_BLESS=1 cargo test --release --test readme writes it"
    );
}
