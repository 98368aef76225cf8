//! Rows that are not signed yet. A daemon that works on demand lists what it could bring in; the proxy relays name and digest,
//! so that an installer can ask, and hands the file out only when it has become a signed target.
//!
//! An attacker in between can add, change and leave out such rows. What he adds is asked of the signed repository, and is not
//! there; what he leaves out is as if upstream had not released it. Of a signed row he can change nothing.

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use super::page::{SignedPage, whole};
use crate::http::negotiate::Form;
use crate::index::file_url;
use crate::package::simple::{CoreMetadata, IndexFile, IndexPage, parse_json};
use crate::package::{ProjectName, Status};

/// What the daemon's page lists beyond the signed one; `None` when that is nothing.
///
/// Every field is written anew from what was parsed: no address of the daemon's, no metadata that would be believed before the
/// file is, no name that a signed row has.
pub fn offered(project: &ProjectName, shown: &[u8], signed: Option<&SignedPage>) -> Option<Vec<IndexFile>> {
    let base = Url::parse("http://proxy.invalid/simple/")
        .ok()?
        .join(&format!("{project}/"))
        .ok()?;
    let page = match parse_json(shown, &base, project) {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!(%project, %error, "upstream's page of candidates cannot be read; it is left out");
            return None;
        }
    };
    if page.status == Status::Quarantined {
        return None;
    }
    let taken: HashSet<&str> = signed
        .iter()
        .flat_map(|signed| &signed.files)
        .map(|file| file.filename.as_str())
        .collect();
    let rows = page
        .files
        .iter()
        .filter(|file| !taken.contains(file.filename.as_str()));
    let rows: Vec<IndexFile> = rows
        .filter_map(|file| {
            let sha256 = file.sha256()?;
            let mut row = IndexFile::relayed(file, file_url("../..", &sha256, &file.filename), sha256);
            row.core_metadata = CoreMetadata::None;
            Some(row)
        })
        .collect();
    (!rows.is_empty()).then_some(rows)
}

/// The page with candidates, each marked in the JSON form.
pub fn rendered(
    project: &ProjectName,
    signed: Option<&SignedPage>,
    candidates: Vec<IndexFile>,
    form: Form,
) -> Vec<u8> {
    let names: HashSet<String> = candidates.iter().map(|row| row.filename.clone()).collect();
    let page = match signed {
        Some(signed) => whole(project, signed, candidates),
        None => IndexPage::new(project.clone(), candidates, Status::default(), None),
    };
    if form != Form::Json {
        return page.render_html();
    }
    let json = page.render_json();
    let Ok(mut document) = serde_json::from_slice::<Value>(&json) else {
        return json;
    };
    let files = document.get_mut("files").and_then(Value::as_array_mut);
    for file in files.into_iter().flatten() {
        let is_candidate = file
            .get("filename")
            .and_then(Value::as_str)
            .is_some_and(|name| names.contains(name));
        if is_candidate && let Some(fields) = file.as_object_mut() {
            // PEP 691: keys that begin with an underscore are for implementations, and installers pass them over.
            fields.insert("_chiron".to_owned(), Value::from("candidate"));
        }
    }
    serde_json::to_vec(&document).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn row(version: &str, sha256: &str, more: &str) -> String {
        let name = format!("demo-{version}-py3-none-any.whl");
        format!(
            r#"{{"filename":"{name}","url":"../../files/{sha256}/{name}","hashes":{{"sha256":"{sha256}"}}{more}}}"#
        )
    }

    fn page(rows: &[String]) -> String {
        format!(
            r#"{{"meta":{{"api-version":"1.0"}},"name":"demo","files":[{}]}}"#,
            rows.join(",")
        )
    }

    #[test]
    fn what_an_attacker_shows_changes_no_signed_row() {
        let demo = ProjectName::parse("demo").unwrap();
        let signed = SignedPage::read(&demo, Bytes::from(page(&[row("1.0", A, "")]))).unwrap();
        let shown = page(&[
            row("1.0", B, ""),
            row(
                "9.0",
                B,
                &format!(r#","core-metadata":{{"sha256":"{A}"}},"provenance":"https://evil.invalid/p""#),
            )
            .replace("../../files", "https://evil.invalid"),
        ]);
        let offered = offered(&demo, shown.as_bytes(), Some(&signed)).unwrap();
        assert_eq!(offered.len(), 1, "{offered:?}");
        let json = rendered(&demo, Some(&signed), offered.clone(), Form::Json);
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["files"][0]["hashes"]["sha256"], A);
        assert!(json["files"][0].get("_chiron").is_none());
        assert_eq!(json["files"][1]["_chiron"], "candidate");
        let text = json.to_string();
        assert!(
            !text.contains("evil") && !text.contains("core-metadata"),
            "{text}"
        );
        let html = String::from_utf8(rendered(&demo, Some(&signed), offered, Form::Html)).unwrap();
        assert!(html.contains("demo-9.0") && !html.contains("evil"), "{html}");
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let demo = ProjectName::parse("demo").unwrap();
        for shown in ["", "{", "[]", r#"{"meta":{"api-version":"9.0"},"files":[]}"#] {
            assert!(offered(&demo, shown.as_bytes(), None).is_none());
        }
    }
}
