//! `/simple/`: the projects that have a signed page. Nobody signs the list itself, so it is made from the signed targets.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::Proxy;
use super::refusal::Refusal;
use crate::http::Content;
use crate::http::negotiate::{Form, form};
use crate::package::ProjectName;
use crate::package::simple::ProjectList;

/// The list as it was made last, with the version of the snapshot that it was made from. All bins are read for it.
#[derive(Default)]
pub struct Lists(Mutex<Option<Made>>);

#[derive(Clone)]
struct Made {
    snapshot: u64,
    json: Arc<Content>,
    html: Arc<Content>,
}

/// `GET /simple/`
pub async fn list(State(proxy): State<Proxy>, headers: HeaderMap) -> Response {
    let form = form(&headers);
    match proxy.list(form).await {
        Ok(content) => content.answer(form, &headers, "no-cache"),
        Err(refusal) => refusal.of_page(&headers),
    }
}

impl Proxy {
    async fn list(&self, form: Form) -> Result<Arc<Content>, Refusal> {
        let verified = self.verified().await?;
        // Held while it is made: who asks meanwhile waits for the same list.
        let mut kept = self.0.lists.0.lock().await;
        let made = match kept.as_ref().filter(|made| made.snapshot == verified.snapshot) {
            Some(made) => made.clone(),
            None => kept.insert(self.make_list(verified.snapshot).await?).clone(),
        };
        Ok(if form == Form::Json { made.json } else { made.html })
    }

    async fn make_list(&self, snapshot: u64) -> Result<Made, Refusal> {
        let mut projects = BTreeSet::new();
        let each = |_: &str, path: &str| {
            let name = path
                .strip_prefix("simple/")
                .and_then(|rest| rest.strip_suffix("/index.json"));
            projects.extend(name.and_then(|name| ProjectName::parse(name).ok()));
        };
        self.0.client.listed(Timestamp::now(), each).await?;
        let list = ProjectList {
            projects: projects.into_iter().collect(),
        };
        Ok(Made {
            snapshot,
            json: Arc::new(Content::new(list.render_json())),
            html: Arc::new(Content::new(list.render_html())),
        })
    }
}
