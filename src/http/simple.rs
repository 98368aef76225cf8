//! `/simple/` and `/at/{when}/simple/`: PEP 503 and PEP 691.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::negotiate::{Form, form};
use super::pages::{Content, Pages};
use super::problem::Problem;
use crate::catalog::{Catalog, CatalogError};
use crate::index::assemble;
use crate::package::ProjectName;
use crate::package::simple::ProjectList;

/// The pages are our revocation delay: pip obeys `max-age`, so there is none.
pub(super) const REVALIDATE: &str = "no-cache";

/// What the index needs.
#[derive(Clone)]
pub struct Index {
    pub pages: Arc<Pages>,
    pub catalog: Catalog,
    pub lists: Arc<Lists>,
}

/// The list of all projects as it was last rendered in each form, with the log's size then: a million
/// files' worth of names is not gone through for every client that asks.
#[derive(Default)]
pub struct Lists {
    json: Mutex<Option<(u64, Arc<Content>)>>,
    html: Mutex<Option<(u64, Arc<Content>)>>,
}

impl Lists {
    /// The list at the size of the log that is signed, where pages are served signed, or else as it is now.
    async fn newest(
        &self,
        catalog: &Catalog,
        signed: Option<u64>,
        form: Form,
    ) -> Result<Arc<Content>, Problem> {
        let kept = if form == Form::Json {
            &self.json
        } else {
            &self.html
        };
        // Held while rendering: who comes meanwhile waits for the same list.
        let mut kept = kept.lock().await;
        let size = match signed {
            Some(size) => size,
            None => catalog.log().size().await.map_err(CatalogError::from)?,
        };
        if let Some((_, content)) = kept.as_ref().filter(|(at, _)| *at == size) {
            return Ok(Arc::clone(content));
        }
        let content = rendered_list(catalog, size, form).await?;
        *kept = Some((size, Arc::clone(&content)));
        Ok(content)
    }
}

/// `GET /simple/{project}/`
pub async fn project(
    State(index): State<Index>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = parse(&name)?;
    if project.as_str() != name {
        return Ok(moved(&format!("/simple/{project}/")));
    }
    let form = form(&headers);
    let content = index.pages.project(&project, form).await?;
    Ok(content.answer(form, &headers, REVALIDATE))
}

/// `GET /simple/{project}` without its slash: uv resolves relative links against the final address.
pub async fn project_without_slash(Path(name): Path<String>) -> Result<Response, Problem> {
    Ok(moved(&format!("/simple/{}/", parse(&name)?)))
}

/// `GET /simple`
pub async fn list_without_slash() -> Response {
    moved("/simple/")
}

/// `GET /simple/`
pub async fn list(State(index): State<Index>, headers: HeaderMap) -> Result<Response, Problem> {
    let form = form(&headers);
    let content = index
        .lists
        .newest(&index.catalog, index.pages.signed_size(), form)
        .await?;
    Ok(content.answer(form, &headers, REVALIDATE))
}

/// `GET /at/{when}/simple/`
pub async fn list_in_the_past(
    State(index): State<Index>,
    Path(when): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let at = size_of(&index.catalog, &when).await?;
    let form = form(&headers);
    let content = rendered_list(&index.catalog, at, form).await?;
    Ok(content.answer(form, &headers, cache_of(&when)))
}

/// `GET /at/{when}/simple/{project}/`
pub async fn project_in_the_past(
    State(index): State<Index>,
    Path((when, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = parse(&name)?;
    if project.as_str() != name {
        return Ok(moved(&format!("/at/{when}/simple/{project}/")));
    }
    let at = size_of(&index.catalog, &when).await?;
    let known = index
        .catalog
        .project(&project, Some(at))
        .await?
        .filter(|known| known.listed);
    let page = assemble(&project, known.as_ref(), None, |_| false, "../../../..");
    let Some(page) = page else {
        return Err(Problem::not_found(format!(
            "no project {project} was known to this index at {when} (log size {at})"
        )));
    };
    let form = form(&headers);
    let body = if form == Form::Json {
        page.render_json()
    } else {
        page.render_html()
    };
    Ok(Arc::new(Content::new(body)).answer(form, &headers, cache_of(&when)))
}

/// `GET /at/{when}/simple/{project}`
pub async fn past_without_slash(Path((when, name)): Path<(String, String)>) -> Result<Response, Problem> {
    // Parsed first: what is echoed into `Location` is a number or a time, nothing else.
    let when = When::parse(&when)?;
    Ok(moved(&format!("/at/{when}/simple/{}/", parse(&name)?)))
}

async fn rendered_list(catalog: &Catalog, at: u64, form: Form) -> Result<Arc<Content>, Problem> {
    let rows = catalog.projects(Some(at), None, usize::MAX).await?;
    let names = rows
        .into_iter()
        .filter_map(|(name, _)| ProjectName::parse(&name).ok());
    let list = ProjectList {
        projects: names.collect(),
    };
    let body = if form == Form::Json {
        list.render_json()
    } else {
        list.render_html()
    };
    Ok(Arc::new(Content::new(body)))
}

fn parse(name: &str) -> Result<ProjectName, Problem> {
    // A name that cannot be one is simply not here: 404, so that uv goes on to its next index.
    ProjectName::parse(name).map_err(|why| Problem::not_found(format!("not a project name: {why}")))
}

fn moved(to: &str) -> Response {
    let mut response = Redirect::permanent(to).into_response();
    // 301, which every client and cache has known for ever, rather than 308.
    *response.status_mut() = http::StatusCode::MOVED_PERMANENTLY;
    response
}

/// A point in the log's history.
enum When {
    Size(u64),
    Time(Timestamp),
}

impl When {
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(size) = text.parse() {
            return Ok(Self::Size(size));
        }
        text.parse().map(Self::Time).map_err(|_| {
            Problem::bad_request(
                "after /at/ comes a log size (42) or a time in RFC 3339 (2026-11-20T12:00:00Z)",
            )
        })
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

async fn size_of(catalog: &Catalog, when: &str) -> Result<u64, Problem> {
    let size = catalog.log().size().await.map_err(CatalogError::from)?;
    match When::parse(when)? {
        When::Size(wanted) if wanted > size => Err(Problem::not_found(format!(
            "the log has {size} entries, not {wanted}"
        ))),
        When::Size(wanted) => Ok(wanted),
        When::Time(time) => Ok(catalog.size_at(time).await?),
    }
}

/// A view at a size never changes; one at a time may still grow when the time lies ahead.
fn cache_of(when: &str) -> &'static str {
    if when.bytes().all(|b| b.is_ascii_digit()) {
        "public, max-age=365000000, immutable"
    } else {
        REVALIDATE
    }
}
