//! Advisory databases: records, dumps of them, and a large one that is made up.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// So many days ago, as records are dated.
pub fn days_ago(days: i64) -> String {
    let then = Timestamp::now() - SignedDuration::from_hours(24 * days);
    then.strftime("%FT00:00:00Z").to_string()
}

/// A record about one package, changed yesterday, that reaches `0 ≤ version < fixed`.
pub fn record(id: &str, project: &str, fixed: &str) -> Value {
    record_of(id, project, &json!([{ "introduced": "0" }, { "fixed": fixed }]))
}

/// A record about one package with these events.
pub fn record_of(id: &str, project: &str, events: &Value) -> Value {
    json!({
        "schema_version": "1.6.0", "id": id, "modified": days_ago(1), "published": days_ago(2),
        "summary": format!("a hole in {project}"),
        "affected": [{
            "package": { "ecosystem": "PyPI", "name": project },
            "ranges": [{ "type": "ECOSYSTEM", "events": events }],
        }],
    })
}

/// The record with another value.
pub fn with(mut record: Value, key: &str, value: Value) -> Value {
    record[key] = value;
    record
}

/// A dump as the OSV project makes them: one JSON a record.
pub fn dump(records: &[Value]) -> Vec<u8> {
    let named: Vec<(String, Vec<u8>)> = records
        .iter()
        .map(|record| {
            (
                format!("{}.json", record["id"].as_str().unwrap_or("x")),
                record.to_string().into_bytes(),
            )
        })
        .collect();
    archive(&named)
}

/// An archive of these files.
pub fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Writes a file and gives its path.
pub fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// As many records as the real database has, of its size: a paragraph of details, some dozen versions listed, aliases,
/// a vector for some; packages with many records and packages with one.
pub fn large(records: usize) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let details =
        "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod. ".repeat(24);
    for n in 0..records {
        // A tenth of the records is about twenty packages, the rest spread out.
        let project = if n % 10 == 0 {
            format!("crowded-{}", n % 200 / 10)
        } else {
            format!("package-{}", n % 9_000)
        };
        let id = if n % 3 == 0 {
            format!("MAL-2025-{n}")
        } else {
            format!("PYSEC-2025-{n}")
        };
        let mut versions = String::new();
        for minor in 0..n % 40 {
            write!(
                versions,
                "{}\"{}.{minor}.0\"",
                if minor == 0 { "" } else { "," },
                n % 7
            )
            .unwrap();
        }
        let text = format!(
            r#"{{"schema_version":"1.6.0","id":"{id}","modified":"{}","summary":"hole {n}","details":"{details}","aliases":["CVE-2025-{}","GHSA-xxxx-{n}"],"severity":[{{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:{}"}}],"affected":[{{"package":{{"ecosystem":"PyPI","name":"{project}","purl":"pkg:pypi/{project}"}},"ranges":[{{"type":"ECOSYSTEM","events":[{{"introduced":"0"}},{{"fixed":"{}.5"}}]}}],"versions":[{versions}]}}],"references":[{{"type":"WEB","url":"https://advisories.invalid/{id}"}}]}}"#,
            days_ago(1),
            n / 2,
            ["N", "L", "H"][n % 3],
            n % 7,
        );
        archive
            .start_file(format!("{id}.json"), zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
