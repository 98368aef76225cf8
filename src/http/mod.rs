//! One listener: the index, the files, the log, the admin API.

pub mod admin;
pub mod advice;
mod count;
mod explain;
pub mod files;
mod health;
mod hot;
pub mod negotiate;
mod osv;
mod pages;
mod problem;
mod range;
mod serve;
mod sidecars;
mod simple;
mod status;
mod transparency;
mod tuf;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;

pub use crate::api as model;
pub use admin::AdminToken;
pub use hot::HotPath;
pub use pages::{Content, Pages};
pub use problem::Problem;
pub use serve::{ServeLimits, serve, serve_each};
pub use status::Watch;

use crate::telemetry::Route;
use simple::Index;

/// All routes. `max_body` is the largest file handed in, bytes.
pub fn router(watch: &Watch, token: AdminToken, max_body: usize) -> Router {
    routes(
        watch,
        token,
        max_body,
        Arc::new(Pages::new(watch.mirror.clone(), watch.publisher.clone())),
    )
}

/// All routes, with index pages that are in memory answered before anything is routed: what a listener serves.
pub fn service(watch: &Watch, token: AdminToken, max_body: usize) -> HotPath {
    let pages = Arc::new(Pages::new(watch.mirror.clone(), watch.publisher.clone()));
    let router = routes(watch, token, max_body, Arc::clone(&pages));
    HotPath::new(pages, watch.metrics().clone(), router)
}

fn routes(watch: &Watch, token: AdminToken, max_body: usize, pages: Arc<Pages>) -> Router {
    let metrics = watch.metrics().clone();
    let counted = |route: Route, handler: MethodRouter<()>| -> MethodRouter<()> {
        handler.layer(from_fn_with_state(
            count::Counted {
                metrics: metrics.clone(),
                route,
            },
            count::count,
        ))
    };
    let mirror = watch.mirror.clone();
    let index = Index {
        pages,
        catalog: mirror.catalog().clone(),
        lists: Arc::default(),
    };
    let catalog = mirror.catalog().clone();
    let signed = tuf::Repository::new(watch.publisher.clone(), mirror.clone());
    let advisories = mirror.gate().advisories.clone();
    let admin = admin::routes(admin::Admin {
        watch: watch.clone(),
        max_body,
        held: admin::Held::default(),
    })
    .layer(from_fn_with_state(token, admin::require));

    Router::new()
        .route("/simple", get(simple::list_without_slash))
        .route(
            "/simple/",
            counted(Route::ProjectList, get(simple::list).with_state(index.clone())),
        )
        .route("/simple/{project}", get(simple::project_without_slash))
        .route(
            "/simple/{project}/",
            counted(Route::ProjectPage, get(simple::project).with_state(index.clone())),
        )
        .route(
            "/at/{when}/simple/",
            counted(Route::At, get(simple::list_in_the_past).with_state(index.clone())),
        )
        .route("/at/{when}/simple/{project}", get(simple::past_without_slash))
        .route(
            "/at/{when}/simple/{project}/",
            counted(Route::At, get(simple::project_in_the_past).with_state(index)),
        )
        .route(
            "/files/{sha256}/{filename}",
            counted(Route::File, get(files::file).with_state(mirror.clone())),
        )
        .route(
            "/integrity/{project}/{version}/{filename}/provenance",
            counted(
                Route::FileSidecar,
                get(sidecars::integrity).with_state(mirror.clone()),
            ),
        )
        .route(
            "/keys/statement.pem",
            counted(
                Route::FileSidecar,
                get(sidecars::statement_key).with_state(mirror.gate().statements.clone()),
            ),
        )
        .route(
            "/log/checkpoint",
            counted(
                Route::Log,
                get(transparency::checkpoint).with_state(catalog.clone()),
            ),
        )
        .route(
            "/log/tile/{*path}",
            counted(Route::Log, get(transparency::tile).with_state(catalog.clone())),
        )
        .route(
            "/log/entries/{*path}",
            counted(Route::Log, get(transparency::entries).with_state(catalog)),
        )
        .route(
            "/tuf/metadata/{name}",
            counted(Route::Tuf, get(tuf::metadata).with_state(signed.clone())),
        )
        .route(
            "/tuf/targets/{*path}",
            counted(Route::Tuf, get(tuf::target).with_state(signed)),
        )
        .route(
            "/explain/{what}",
            counted(Route::Explain, get(explain::explain).with_state(mirror)),
        )
        .route(
            "/v1/query",
            counted(Route::Osv, post(osv::query).with_state(advisories.clone())),
        )
        .route(
            "/v1/querybatch",
            counted(Route::Osv, post(osv::query_batch).with_state(advisories.clone())),
        )
        .route(
            "/v1/vulns/{id}",
            counted(Route::Osv, get(osv::vulnerability).with_state(advisories)),
        )
        .route("/openapi.json", counted(Route::Admin, get(admin::openapi::serve)))
        .route("/healthz", counted(Route::Health, get(health::healthz)))
        .route(
            "/readyz",
            counted(Route::Health, get(health::readyz).with_state(watch.clone())),
        )
        .route(
            "/metrics",
            counted(Route::Health, get(health::metrics).with_state(watch.clone())),
        )
        .nest("/api/v1", admin)
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(problem_paths))
}

async fn nothing_here() -> Problem {
    Problem::not_found("nothing is served under this path; the index is at /simple/")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        "this path does not take this method",
    )
}

/// A path that does not decode (bad percent-encoding, bytes that are no UTF-8) is answered as a problem too.
async fn problem_paths(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let decodes = percent_encoding::percent_decode_str(request.uri().path())
        .decode_utf8()
        .is_ok();
    if !decodes {
        return Problem::bad_request("the path is not percent-encoded UTF-8").into_response();
    }
    next.run(request).await
}
