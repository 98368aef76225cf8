//! `/simple/{project}/`: the content of the signed target `simple/{project}/index.json`, byte for byte where nothing is added.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use http::HeaderMap;
use jiff::Timestamp;
use quick_cache::Weighter;
use url::Url;

use super::Proxy;
use super::candidates;
use super::refusal::{Refusal, moved};
use crate::http::Content;
use crate::http::negotiate::{Form, form};
use crate::index::file_url;
use crate::package::simple::{CoreMetadata, IndexFile, IndexPage, MAX_PAGE_BYTES, parse_json};
use crate::package::{ProjectName, Status};

/// A revocation is seen at once: pip obeys `max-age` on pages.
const REVALIDATE: &str = "no-cache";

/// A page whose bytes are what the newest timestamp signs.
pub struct SignedPage {
    pub bytes: Bytes,
    pub files: Vec<IndexFile>,
    pub status: Status,
    pub status_reason: Option<String>,
}

#[derive(Clone)]
pub struct ByBytes;

impl Weighter<Digest, Arc<SignedPage>> for ByBytes {
    fn weight(&self, _: &Digest, page: &Arc<SignedPage>) -> u64 {
        // The rows take about as much again as the text.
        256 + 3 * page.bytes.len() as u64
    }
}

impl SignedPage {
    /// Reads a page whose bytes were verified, and makes sure that it leads installers nowhere but back here: a page is
    /// handed on as it is, so a link to elsewhere would lead them past every check.
    pub fn read(project: &ProjectName, bytes: Bytes) -> Result<Self, String> {
        let here = format!("http://proxy.invalid/simple/{project}/");
        let base = Url::parse(&here).map_err(|error| error.to_string())?;
        let page = parse_json(&bytes, &base, project).map_err(|error| error.to_string())?;
        if let Some(skipped) = page.skipped.first() {
            return Err(format!("{}: {}", skipped.what, skipped.why));
        }
        let mut files = Vec::with_capacity(page.files.len());
        for file in &page.files {
            let sha256 = file
                .sha256()
                .ok_or_else(|| format!("{} is listed without a SHA-256", file.filename))?;
            let url = file_url("../..", &sha256, &file.filename);
            let leads_here = |to: &Url, suffix: &str| {
                base.join(&format!("{url}{suffix}"))
                    .is_ok_and(|expected| expected == *to)
            };
            if !leads_here(&file.url, "") {
                return Err(format!(
                    "{} is listed with a link that leads elsewhere",
                    file.filename
                ));
            }
            let mut row = IndexFile::relayed(file, url.clone(), sha256);
            if let Some(provenance) = &file.provenance {
                if !leads_here(provenance, ".provenance") {
                    return Err(format!(
                        "the provenance of {} is linked to elsewhere",
                        file.filename
                    ));
                }
                row.provenance = Some(format!("{url}.provenance"));
            }
            files.push(row);
        }
        Ok(Self {
            bytes,
            files,
            status: page.status,
            status_reason: page.status_reason,
        })
    }

    /// The digest of a file's core metadata (PEP 658), as signed.
    pub fn core_metadata(&self, filename: &str, sha256: &Digest) -> Option<Digest> {
        let row = self
            .files
            .iter()
            .find(|row| row.filename == filename && row.sha256 == *sha256)?;
        match row.core_metadata {
            CoreMetadata::Sha256(digest) => Some(digest),
            CoreMetadata::Available | CoreMetadata::None => None,
        }
    }
}

impl Proxy {
    /// The signed page of a project in the newest verified metadata; `None` when no role lists one.
    pub(super) async fn signed_page(
        &self,
        project: &ProjectName,
    ) -> Result<Option<Arc<SignedPage>>, Refusal> {
        self.verified().await?;
        let path =
            TargetPath::index(project.as_str()).map_err(|error| Refusal::not_found(error.to_string()))?;
        let Some(target) = self.0.client.target(&path, Timestamp::now()).await? else {
            return Ok(None);
        };
        if let Some(page) = self.0.pages.get(&target.sha256) {
            return Ok(Some(page));
        }
        let bytes = self.0.client.fetch_bytes(&target, MAX_PAGE_BYTES as u64).await?;
        let page = SignedPage::read(project, bytes).map_err(|why| {
            Refusal::denied(
                "page-refused",
                format!("the signed page of {project} is not one that can be handed on: {why}"),
                "its bytes are what was signed; whoever signs this repository must correct it",
            )
        })?;
        let page = Arc::new(page);
        self.0.pages.insert(target.sha256, Arc::clone(&page));
        Ok(Some(page))
    }

    async fn page(&self, project: &ProjectName, form: Form) -> Result<Arc<Content>, Refusal> {
        let signed = self.signed_page(project).await?;
        let shown = if self.0.settings.signed_only {
            None
        } else {
            match self.0.daemon.page(project).await {
                Ok(shown) => shown,
                // What is signed stands without it. Whoever can keep candidates away could also leave them out.
                Err(refusal) if signed.is_some() => {
                    tracing::warn!(%project, ?refusal, "upstream does not show its candidates; the page has what is signed");
                    None
                }
                Err(refusal) => return Err(refusal),
            }
        };
        let candidates = match shown {
            Some(shown) if signed.as_ref().is_none_or(|signed| signed.bytes != shown) => {
                candidates::offered(project, &shown, signed.as_deref())
            }
            _ => None,
        };
        let body = match (signed, candidates) {
            (None, None) => {
                return Err(Refusal::not_found(format!(
                    "no project {project} is signed by this repository, nor offered by its daemon"
                )));
            }
            (Some(signed), None) if form == Form::Json => signed.bytes.to_vec(),
            (Some(signed), None) => whole(project, &signed, Vec::new()).render_html(),
            (signed, Some(candidates)) => candidates::rendered(project, signed.as_deref(), candidates, form),
        };
        Ok(Arc::new(Content::new(body)))
    }
}

/// The signed rows, and others after them.
pub fn whole(project: &ProjectName, signed: &SignedPage, more: Vec<IndexFile>) -> IndexPage {
    let mut files = signed.files.clone();
    files.extend(more);
    IndexPage::new(
        project.clone(),
        files,
        signed.status,
        signed.status_reason.clone(),
    )
}

/// `GET /simple/{project}/`
pub async fn project(State(proxy): State<Proxy>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let project = match parse(&name) {
        Ok(project) => project,
        Err(refusal) => return refusal.of_page(&headers),
    };
    if project.as_str() != name {
        return moved(&format!("/simple/{project}/"));
    }
    let form = form(&headers);
    match proxy.page(&project, form).await {
        Ok(content) => content.answer(form, &headers, REVALIDATE),
        Err(refusal) => refusal.of_page(&headers),
    }
}

/// `GET /simple/{project}` without its slash.
pub async fn without_slash(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match parse(&name) {
        Ok(project) => moved(&format!("/simple/{project}/")),
        Err(refusal) => refusal.of_page(&headers),
    }
}

/// `GET /simple`
pub async fn list_without_slash() -> Response {
    moved("/simple/")
}

fn parse(name: &str) -> Result<ProjectName, Refusal> {
    ProjectName::parse(name).map_err(|why| Refusal::not_found(format!("not a project name: {why}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn page(url: &str, more: &str) -> Result<SignedPage, String> {
        let sha256 = "a".repeat(64);
        let text = format!(
            r#"{{"meta":{{"api-version":"1.4"}},"name":"demo","versions":["1.0"],"files":[
            {{"filename":"demo-1.0-py3-none-any.whl","url":"{url}","hashes":{{"sha256":"{sha256}"}},"size":3{more}}}]}}"#
        );
        SignedPage::read(&ProjectName::parse("demo").unwrap(), Bytes::from(text))
    }

    #[test]
    fn a_page_that_leads_elsewhere_is_not_handed_on() {
        let a = "a".repeat(64);
        let good = format!("../../files/{a}/demo-1.0-py3-none-any.whl");
        assert_eq!(page(&good, "").unwrap().files[0].url, good);
        let b = "b".repeat(64);
        for bad in [
            format!("https://other.invalid/files/{a}/demo-1.0-py3-none-any.whl"),
            format!("//other.invalid/files/{a}/demo-1.0-py3-none-any.whl"),
            format!("../../files/{b}/demo-1.0-py3-none-any.whl"),
            format!("../files/{a}/demo-1.0-py3-none-any.whl"),
            format!("{good}?x"),
            format!("http://u:p@proxy.invalid/files/{a}/demo-1.0-py3-none-any.whl"),
        ] {
            assert!(page(&bad, "").is_err(), "{bad}");
        }
        assert!(page(&good, r#","provenance":"https://other.invalid/x""#).is_err());
        assert!(page(&good, &format!(r#","provenance":"{good}.provenance""#)).is_ok());
    }

    #[test]
    fn metadata_is_asked_for_by_the_signed_digest() {
        let (a, c) = ("a".repeat(64), "c".repeat(64));
        let url = format!("../../files/{a}/demo-1.0-py3-none-any.whl");
        let page = page(&url, &format!(r#","core-metadata":{{"sha256":"{c}"}}"#)).unwrap();
        let name = "demo-1.0-py3-none-any.whl";
        assert_eq!(page.core_metadata(name, &a.parse().unwrap()), c.parse().ok());
        assert_eq!(page.core_metadata(name, &c.parse().unwrap()), None);
    }
}
