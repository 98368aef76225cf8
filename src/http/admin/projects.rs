//! Projects.

use axum::extract::{Path, State};

use super::super::explain::view_of;
use super::super::problem::Problem;
use super::{Ask, Paging};
use crate::api::{Page, ProjectSummary, ProjectView};
use crate::catalog::Catalog;
use crate::mirror::Mirror;
use crate::package::ProjectName;

/// Projects with at least one admitted file, by name.
#[utoipa::path(get, path = "/api/v1/projects", tag = "catalogue", params(Paging), responses((status = 200, body = Page<ProjectSummary>)))]
pub async fn list(
    State(catalog): State<Catalog>,
    Ask(paging): Ask<Paging>,
) -> Result<axum::Json<Page<ProjectSummary>>, Problem> {
    let limit = paging.limit();
    // Parsed at the door like every name: the tables' keys take no NUL.
    if let Some(after) = &paging.after {
        ProjectName::parse(after)
            .map_err(|_| Problem::bad_request("`after` is the `next` of the page before"))?;
    }
    let rows = catalog.projects(None, paging.after, limit).await?;
    let next = rows
        .last()
        .filter(|_| rows.len() == limit)
        .map(|(name, _)| name.clone());
    let items = rows
        .into_iter()
        .map(|(name, row)| ProjectSummary {
            name,
            changed: row.changed,
        })
        .collect();
    Ok(axum::Json(Page { items, next }))
}

/// One project with every file that was ever judged.
#[utoipa::path(get, path = "/api/v1/projects/{name}", tag = "catalogue", params(("name" = String, Path)), responses((status = 200, body = ProjectView), (status = 404, description = "problem+json")))]
pub async fn show(
    State(mirror): State<Mirror>,
    Path(name): Path<String>,
) -> Result<axum::Json<ProjectView>, Problem> {
    let project = ProjectName::parse(&name)
        .map_err(|why| Problem::not_found(format!("{name:?} is not a project name: {why}")))?;
    let known = mirror
        .catalog()
        .project(&project, None)
        .await?
        .ok_or_else(|| Problem::not_found(format!("nothing of {project} was ever judged here")))?;
    Ok(axum::Json(ProjectView {
        owned: mirror.is_owned(&project),
        name: project.to_string(),
        status: known.status.as_str().to_owned(),
        status_reason: known.status_reason,
        files: known.files.iter().map(view_of).collect(),
    }))
}
