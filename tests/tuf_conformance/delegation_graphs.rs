//! `test_updater_delegation_graphs.py`: in which order delegated roles are asked, and which are not.

use serde_json::json;

use crate::tuf_clients::Kind;
use crate::tuf_repo::Key;
use crate::{Case, refused};

/// `delegator` hands `paths` to `role`.
struct Edge {
    delegator: &'static str,
    role: &'static str,
    terminating: bool,
    paths: &'static [&'static str],
}

const fn edge(delegator: &'static str, role: &'static str) -> Edge {
    matching(delegator, role, &["*"])
}

const fn matching(delegator: &'static str, role: &'static str, paths: &'static [&'static str]) -> Edge {
    Edge {
        delegator,
        role,
        terminating: false,
        paths,
    }
}

const fn terminating(delegator: &'static str, role: &'static str) -> Edge {
    Edge {
        terminating: true,
        ..edge(delegator, role)
    }
}

const PY: &[&str] = &["*.py"];

const GRAPHS: [(&str, &[Edge], &[&str]); 12] = [
    ("basic-delegation", &[edge("targets", "A")], &["A"]),
    (
        "single-level-delegations",
        &[edge("targets", "A"), edge("targets", "B")],
        &["A", "B"],
    ),
    (
        "two-level-delegations",
        &[edge("targets", "A"), edge("targets", "B"), edge("B", "C")],
        &["A", "B", "C"],
    ),
    (
        "two-level-test-DFS-order-of-traversal",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            edge("A", "C"),
            edge("A", "D"),
        ],
        &["A", "C", "D", "B"],
    ),
    (
        "three-level-delegation-test-DFS-order-of-traversal",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            edge("A", "C"),
            edge("C", "D"),
        ],
        &["A", "C", "D", "B"],
    ),
    (
        "two-level-terminating-ignores-all-but-roles-descendants",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            terminating("A", "C"),
            edge("A", "D"),
        ],
        &["A", "C"],
    ),
    (
        "three-level-terminating-ignores-all-but-roles-descendants",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            terminating("A", "C"),
            edge("C", "D"),
        ],
        &["A", "C", "D"],
    ),
    (
        "two-level-ignores-all-branches-not-matching-paths",
        &[matching("targets", "A", PY), edge("targets", "B"), edge("A", "C")],
        &["B"],
    ),
    (
        "three-level-ignores-all-branches-not-matching-paths",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            matching("A", "C", PY),
            edge("C", "D"),
        ],
        &["A", "B"],
    ),
    (
        "cyclic-graph",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            edge("B", "C"),
            edge("C", "D"),
            edge("D", "B"),
        ],
        &["A", "B", "C", "D"],
    ),
    (
        "two-roles-delegating-to-a-third",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            edge("B", "C"),
            edge("A", "C"),
        ],
        &["A", "C", "B"],
    ),
    (
        "two-roles-delegating-to-a-third-different-paths",
        &[
            edge("targets", "A"),
            edge("targets", "B"),
            edge("B", "C"),
            matching("A", "C", PY),
        ],
        &["A", "B", "C"],
    ),
];

/// Publishes the roles in the order in which the delegations name them.
fn build(edges: &[Edge], files: &[(&str, &[u8], &str)]) -> Case {
    let mut case = Case::new();
    for Edge {
        delegator,
        role,
        terminating,
        paths,
    } in edges
    {
        case.author.add_role(
            delegator,
            role,
            &json!({ "terminating": terminating, "paths": paths }),
        );
    }
    for (role, content, path) in files {
        case.add(role, path, content);
    }
    case.author.release();
    case
}

/// The delegated roles that were asked for, in order.
fn visited(case: &Case) -> Vec<String> {
    let top = ["root", "timestamp", "snapshot", "targets"];
    case.asked()
        .iter()
        .filter_map(|name| name.strip_suffix(".json")?.rsplit('.').next().map(str::to_owned))
        .filter(|role| !top.contains(&role.as_str()))
        .collect()
}

#[test]
fn test_graph_traversal() {
    for (name, edges, order) in GRAPHS {
        let case = build(edges, &[]);
        refused(&case.download("missingpath"), Kind::Unlisted);
        assert_eq!(visited(&case), order, "{name}");
    }
}

const TREE: [Edge; 4] = [
    matching("targets", "A", &["*.doc", "*.md", "foo-?.tgz"]),
    matching("targets", "B", &["releases/*/*"]),
    matching("B", "C", &["releases/x/*"]),
    matching("B", "D", &["releases/y/*.zip"]),
];

const FILES: [(&str, &[u8], &str); 8] = [
    ("targets", b"targetfile content", "targetfile"),
    ("A", b"README by A", "README.md"),
    ("A", b"nested README by A", "releases/README.md"),
    ("A", b"foo 1", "foo-1.tgz"),
    ("A", b"foo alpha", "foo-alpha.tgz"),
    ("C", b"x release by C", "releases/x/x_v1"),
    ("D", b"y release by D", "releases/y/y_v1.zip"),
    ("D", b"z release by D", "releases/z/z_v1.zip"),
];

#[test]
fn test_targetfile_search() {
    for (name, path, found, order) in [
        ("no delegations", "targetfile", true, &[][..]),
        ("targetpath matches wildcard", "README.md", true, &["A"]),
        (
            "targetpath with separators x",
            "releases/x/x_v1",
            true,
            &["B", "C"],
        ),
        (
            "targetpath with separators y",
            "releases/y/y_v1.zip",
            true,
            &["B", "D"],
        ),
        (
            "targetpath is not delegated by all roles in the chain",
            "releases/z/z_v1.zip",
            false,
            &["B"],
        ),
        (
            "wildcard does not match path separator",
            "releases/README.md",
            false,
            &[],
        ),
        (
            "targetpath matches question mark wildcard",
            "foo-1.tgz",
            true,
            &["A"],
        ),
        (
            "targetpath does not match question mark wildcard",
            "foo-alpha.tgz",
            false,
            &[],
        ),
        ("targetpath matching is case sensitive", "README.MD", false, &[]),
    ] {
        let case = build(&TREE, &FILES);
        let run = case.download(path);
        if found {
            let (_, content, _) = FILES.iter().find(|(_, _, at)| *at == path).unwrap();
            run.brings(&name, &[content]);
        } else {
            refused(&run, Kind::Unlisted);
        }
        assert_eq!(visited(&case), order, "{name}");
    }
}

/// A role that two others delegate to is judged by the keys of the one through which it was reached.
#[test]
fn test_cached_role_is_verified_against_current_delegator() {
    let mut case = Case::new();
    case.author.add_role(
        "targets",
        "parent-a",
        &json!({ "terminating": false, "paths": ["team-a/*"] }),
    );
    case.author.add_role(
        "targets",
        "parent-b",
        &json!({ "terminating": false, "paths": ["team-b/*"] }),
    );
    case.author.add_role(
        "parent-a",
        "release",
        &json!({ "terminating": false, "paths": ["team-a/*"] }),
    );
    let by_a = case.author.signers["release"].clone();
    case.author
        .signers
        .insert("release".to_owned(), vec![Key::ed25519()]);
    case.author.delegate(
        "parent-b",
        "release",
        &json!({ "terminating": false, "paths": ["team-b/*"] }),
    );
    case.author.signers.insert("release".to_owned(), by_a);
    case.add("release", "team-a/trusted_root.json", b"trusted A");
    case.add("release", "team-b/trusted_root.json", b"malicious B");
    case.author.release();
    case.download("team-a/trusted_root.json")
        .brings(&"by A", &[b"trusted A"]);
    refused(&case.download("team-b/trusted_root.json"), Kind::Signature);
    // Both in one run: the role is in memory when it is reached the second time.
    let both = case.holder.fetch(
        &case.server.base(),
        &["team-a/trusted_root.json", "team-b/trusted_root.json"],
    );
    refused(&both, Kind::Signature);
}

#[test]
fn test_delegation_not_in_snapshot() {
    let mut case = Case::new();
    case.author.add_role(
        "targets",
        "delegated",
        &json!({ "terminating": false, "paths": ["delegatedpath/*"] }),
    );
    case.add("delegated", "delegatedpath/file", b"content");
    case.author.publish(&["delegated", "targets", "snapshot"]);
    case.author.edit("snapshot")["meta"]
        .as_object_mut()
        .unwrap()
        .remove("delegated.json")
        .unwrap();
    case.author.issue("snapshot");
    case.publish(&["timestamp"]);
    case.refreshes();
    refused(&case.download("delegatedpath/file"), Kind::Unlisted);
    assert_eq!(visited(&case), [""; 0]);
}
