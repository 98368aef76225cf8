//! The OSV API, version 1, over the database in force: what `pip-audit` and `uv audit` ask. Open like the index.
//!
//! A question that cannot be answered is an error and never an empty answer, which would read as clean.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::advisories::{Advisories, Answer, Hit};
use crate::package::ProjectName;
use crate::verify::advisories::is_pypi;

/// Bytes of one question. Threat: memory.
const MAX_QUERY: usize = 64 << 10;

/// Bytes of a batch. Threat: memory.
const MAX_BATCH: usize = 4 << 20;

/// Questions of a batch, as many as the public service takes. Threat: time.
const MAX_QUERIES: usize = 1_000;

/// Whole records of one answer; the rest comes with the next page. Threat: memory.
const PAGE_RECORDS: usize = 500;

/// Identifiers in the answers of one batch; the rest comes with the next pages. Threat: memory.
const BATCH_IDS: usize = 20_000;

/// Tries at an answer from one database while others are put in force.
const ATTEMPTS: usize = 5;

/// A question.
#[derive(Debug, Deserialize)]
struct Query {
    #[serde(default)]
    commit: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Package {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    ecosystem: Option<String>,
    #[serde(default)]
    purl: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    queries: Vec<Query>,
}

#[derive(Debug, Default, Serialize)]
struct Records {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vulns: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vulns: Vec<Identified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Debug, Serialize)]
struct Identified {
    id: String,
    modified: String,
}

#[derive(Debug, Serialize)]
struct Results {
    results: Vec<Found>,
}

/// `POST /v1/query`: the whole records that reach one release.
pub async fn query(
    State(advisories): State<Advisories>,
    body: Body,
) -> Result<axum::Json<impl Serialize>, Problem> {
    let query: Query = read(body, MAX_QUERY).await?;
    for _ in 0..ATTEMPTS {
        let (hits, next_page_token) = page(ask(&advisories, &query, "").await?, &query, PAGE_RECORDS)?;
        let wanted = hits.len();
        let documents = advisories
            .documents(hits.into_iter().map(|hit| hit.id).collect())
            .await?;
        // A record that is not there any more: another database was put in force between the two reads.
        if documents.len() == wanted {
            let vulns = documents
                .iter()
                .map(|document| raw(&document.0))
                .collect::<Result<_, _>>()?;
            return Ok(axum::Json(Records {
                vulns,
                next_page_token,
            }));
        }
    }
    Err(Problem::broke_off(
        "the advisory database, which is being replaced",
    ))
}

/// `POST /v1/querybatch`: identifiers, one answer a question, in the same order.
pub async fn query_batch(
    State(advisories): State<Advisories>,
    body: Body,
) -> Result<axum::Json<impl Serialize>, Problem> {
    let batch: Batch = read(body, MAX_BATCH).await?;
    if batch.queries.len() > MAX_QUERIES {
        return Err(Problem::bad_request(format!(
            "{} questions; one batch takes {MAX_QUERIES}",
            batch.queries.len()
        )));
    }
    let mut left = BATCH_IDS;
    let mut results = Vec::with_capacity(batch.queries.len());
    for (n, query) in batch.queries.iter().enumerate() {
        let hits = ask(&advisories, query, &format!("queries[{n}]: ")).await?;
        let (hits, next_page_token) = page(hits, query, left.min(1_000))?;
        left -= hits.len();
        let vulns = hits.into_iter().map(|hit| Identified {
            id: hit.id,
            modified: hit.modified.to_string(),
        });
        results.push(Found {
            vulns: vulns.collect(),
            next_page_token,
        });
    }
    Ok(axum::Json(Results { results }))
}

/// `GET /v1/vulns/{id}`: one record.
pub async fn vulnerability(
    State(advisories): State<Advisories>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let found = advisories.documents(vec![id]).await?;
    match found.into_iter().next() {
        Some(record) => {
            let mut response = record.0.into_response();
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            Ok(response)
        }
        None => Err(Problem::not_found(
            "no record of this identifier is in the advisory database",
        )),
    }
}

/// Reads a body as JSON whatever it calls itself: pip-audit sends no content type.
async fn read<T: serde::de::DeserializeOwned>(body: Body, limit: usize) -> Result<T, Problem> {
    let whole = Limited::new(body, limit).collect().await.map_err(|_| {
        let title = "The question is too large";
        let detail = format!("a question has at most {limit} bytes, and came to its end");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail)
    })?;
    serde_json::from_slice(&whole.to_bytes())
        .map_err(|why| Problem::bad_request(format!("the question is no OSV query: {why}")))
}

/// The hits of a question, in order.
async fn ask(advisories: &Advisories, query: &Query, which: &str) -> Result<Vec<Hit>, Problem> {
    let (project, version) = release(query).map_err(|why| Problem::bad_request(format!("{which}{why}")))?;
    match advisories
        .ask(&project, version.as_deref(), Timestamp::now())
        .await
    {
        Answer::Known(hits) => Ok(hits),
        Answer::Unknown(why) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "advisories-unknown",
            "The advisory database cannot answer",
            why,
        )),
    }
}

/// Which release a question is about; the version may be left out.
fn release(query: &Query) -> Result<(ProjectName, Option<String>), String> {
    if query.commit.is_some() {
        return Err("commits are not known here; ask by package and version".to_owned());
    }
    let Some(package) = &query.package else {
        return Err("no `package` is named".to_owned());
    };
    let version = query.version.clone().filter(|version| !version.is_empty());
    if let Some(purl) = package.purl.as_deref().filter(|purl| !purl.is_empty()) {
        if package.name.is_some() || package.ecosystem.is_some() {
            return Err("`purl` stands alone, without `name` and `ecosystem`".to_owned());
        }
        let purl: PackageUrl<'_> = purl
            .parse()
            .map_err(|why| format!("`purl` is no package URL: {why}"))?;
        if purl.ty() != "pypi" || purl.namespace().is_some() {
            return Err("this database knows packages of the type pypi only".to_owned());
        }
        let inside = purl.version().map(ToOwned::to_owned);
        if inside.is_some() && version.is_some() {
            return Err("`version` is given twice, in the package URL too".to_owned());
        }
        let name = ProjectName::parse(purl.name()).map_err(|why| why.to_string())?;
        return Ok((name, inside.or(version)));
    }
    match package.ecosystem.as_deref() {
        Some(ecosystem) if is_pypi(ecosystem) => {}
        Some(_) => return Err("this database knows the ecosystem PyPI only".to_owned()),
        None => return Err("no `ecosystem` is named".to_owned()),
    }
    let name =
        ProjectName::parse(package.name.as_deref().unwrap_or_default()).map_err(|why| why.to_string())?;
    Ok((name, version))
}

/// What leads a page token; then comes the identifier after which the page begins.
const TOKEN: &str = "after:";

/// The page that a question asks for, and the token of the next.
fn page(hits: Vec<Hit>, query: &Query, most: usize) -> Result<(Vec<Hit>, Option<String>), Problem> {
    let token = query.page_token.as_deref().filter(|token| !token.is_empty());
    let after = match token.map(|token| token.strip_prefix(TOKEN)) {
        None => "",
        Some(Some(after)) => after,
        Some(None) => {
            return Err(Problem::bad_request(
                "`page_token` is the `next_page_token` of the page before",
            ));
        }
    };
    let rest: Vec<Hit> = hits.into_iter().filter(|hit| hit.id.as_str() > after).collect();
    if rest.len() <= most {
        return Ok((rest, None));
    }
    let page: Vec<Hit> = rest.into_iter().take(most).collect();
    let last = page.last().map_or(after, |hit| &hit.id);
    let next = format!("{TOKEN}{last}");
    Ok((page, Some(next)))
}

fn raw(bytes: &Bytes) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes.to_vec()).ok();
    let record = text.and_then(|text| RawValue::from_string(text).ok());
    record.ok_or_else(|| {
        let title = "The advisory database is damaged";
        let detail = "a stored record does not read back; load the database again";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", title, detail)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn asked(query: &Value) -> Result<(String, Option<String>), String> {
        let query: Query = serde_json::from_value(query.clone()).unwrap();
        release(&query).map(|(name, version)| (name.to_string(), version))
    }

    #[test]
    fn a_release_is_named_in_two_ways() {
        let demo = |version: Option<&str>| Ok(("demo-x".to_owned(), version.map(ToOwned::to_owned)));
        let by_name = |version: &str| json!({ "package": { "name": "Demo_X", "ecosystem": "PyPI" }, "version": version });
        assert_eq!(asked(&by_name("1.0")), demo(Some("1.0")));
        assert_eq!(asked(&by_name("")), demo(None));
        assert_eq!(
            asked(&json!({ "package": { "purl": "pkg:pypi/demo-x@1.0%2Bcu121" } })),
            demo(Some("1.0+cu121"))
        );
        assert_eq!(
            asked(&json!({ "package": { "purl": "pkg:pypi/demo-x" }, "version": "1.0" })),
            demo(Some("1.0"))
        );
    }

    #[test]
    fn what_cannot_be_answered_is_not_answered_with_nothing() {
        for wrong in [
            json!({}),
            json!({ "version": "1.0" }),
            json!({ "commit": "abc" }),
            json!({ "package": { "name": "demo" } }),
            json!({ "package": { "name": "left-pad", "ecosystem": "npm" } }),
            json!({ "package": { "name": "../x", "ecosystem": "PyPI" } }),
            json!({ "package": { "ecosystem": "PyPI" } }),
            json!({ "package": { "purl": "pkg:npm/x" } }),
            json!({ "package": { "purl": "nonsense" } }),
            json!({ "package": { "purl": "pkg:pypi/x", "name": "x", "ecosystem": "PyPI" } }),
            json!({ "package": { "purl": "pkg:pypi/x@1" }, "version": "1" }),
        ] {
            assert!(asked(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_hold_every_hit_once() {
        let hits: Vec<Hit> = (0..25)
            .map(|n| Hit {
                id: format!("PYSEC-{n:03}"),
                modified: Timestamp::UNIX_EPOCH,
            })
            .collect();
        let mut query: Query = serde_json::from_value(json!({})).unwrap();
        let mut seen = Vec::new();
        loop {
            let (found, next) = page(hits.clone(), &query, 10).unwrap();
            seen.extend(found);
            let Some(next) = next else { break };
            query.page_token = Some(next);
        }
        assert_eq!(seen, hits);
        query.page_token = Some("made up".to_owned());
        assert!(page(hits, &query, 10).is_err());
    }
}
