//! The documents of this repository, and the blocks in them that a test runs.

use std::fs;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README and everything under docs/, with the top folder's other documents.
pub fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<String> = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "benches/README.md"]
        .map(str::to_owned)
        .to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        if Path::new(&name).extension().is_some_and(|e| e == "md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// A fenced block: what stands behind the fence, and the text between.
pub struct Block {
    pub info: String,
    pub text: String,
}

pub fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

/// The text of all blocks of one kind, in order.
pub fn marked(document: &str, info: &str) -> String {
    let all = blocks(document).into_iter().filter(|block| block.info == info);
    let text: String = all.map(|block| block.text).collect();
    assert!(!text.is_empty(), "no block is marked `{info}`");
    text
}
