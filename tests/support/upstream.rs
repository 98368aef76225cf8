//! A package index that misbehaves on demand.
//!
//! Projects and files are added from bytes; what the pages look like is a [`Shape`]; what goes wrong is a [`Fault`] on
//! a path. All of it can be changed while it runs, and every request is recorded.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

// With their paths, since this file is also included by its own.
#[path = "upstream/faults.rs"]
mod faults;
#[path = "upstream/file.rs"]
mod file;
#[path = "upstream/pages.rs"]
mod pages;
#[path = "upstream/shape.rs"]
mod shape;

pub use file::{FakeFile, noise};
pub use shape::{Fault, Ranges, Shape};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    /// The client's end of the connection: requests over one connection share it.
    pub peer: SocketAddr,
}

impl Request {
    /// A header as text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Inner {
    /// Files by normalised project name.
    projects: BTreeMap<String, Vec<FakeFile>>,
    shape: Shape,
    /// Path (or `*`), what goes wrong, and how often yet (`None`: always).
    faults: Vec<(String, Fault, Option<usize>)>,
    requests: Vec<Request>,
    main: Option<SocketAddr>,
    elsewhere: Option<SocketAddr>,
}

type Shared = Arc<Mutex<Inner>>;

/// A running fake index on two ports of 127.0.0.1. Stops when dropped.
pub struct FakeUpstream {
    shared: Shared,
    addr: SocketAddr,
    elsewhere: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl FakeUpstream {
    /// An empty index with the default shape.
    pub async fn start() -> Self {
        let shared = Shared::default();
        let mut tasks = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            tasks.push(tokio::spawn(async move {
                axum::serve(listener, service).await.unwrap();
            }));
        }
        let (addr, elsewhere) = (addresses[0], addresses[1]);
        {
            let mut inner = shared.lock().unwrap();
            (inner.main, inner.elsewhere) = (Some(addr), Some(elsewhere));
        }
        Self {
            shared,
            addr,
            elsewhere,
            tasks,
        }
    }

    /// The address to configure.
    pub fn index_url(&self) -> String {
        format!("http://{}/simple/", self.addr)
    }

    /// `host:port` of the index.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `host:port` of the second server, which serves the same.
    pub fn elsewhere(&self) -> SocketAddr {
        self.elsewhere
    }

    /// Adds a file to its project, replacing one of the same name.
    pub fn add(&self, file: FakeFile) {
        let project = project_of(&file.filename);
        let mut inner = self.lock();
        let files = inner.projects.entry(project).or_default();
        files.retain(|known| known.filename != file.filename);
        files.push(file);
    }

    /// Adds a project without files.
    pub fn add_empty(&self, project: &str) {
        self.lock().projects.entry(project.to_owned()).or_default();
    }

    /// Adds `count` small sdists, versions `0.0` onwards.
    pub fn add_many(&self, project: &str, count: usize) {
        for n in 0..count {
            let name = format!("{}-0.{n}.tar.gz", project.replace('-', "_"));
            let file = FakeFile::new(&name, format!("{project} {n}").into_bytes());
            self.lock()
                .projects
                .entry(project.to_owned())
                .or_default()
                .push(file);
        }
    }

    /// Changes a file in place: its bytes, its claims.
    pub fn change(&self, filename: &str, change: impl FnOnce(&mut FakeFile)) {
        let mut inner = self.lock();
        let file = inner
            .projects
            .values_mut()
            .flatten()
            .find(|file| file.filename == filename);
        change(file.expect("no such file"));
    }

    /// Takes a project away.
    pub fn remove_project(&self, project: &str) {
        self.lock().projects.remove(project);
    }

    /// Changes what the pages look like.
    pub fn shape(&self, change: impl FnOnce(&mut Shape)) {
        change(&mut self.lock().shape);
    }

    /// Lets every request for `path` (`*`: for any path) go wrong from now on.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.lock().faults.push((path.to_owned(), fault, None));
    }

    /// Lets the next `times` requests for `path` (`*`: for any path) go wrong.
    pub fn fault_times(&self, path: &str, times: usize, fault: Fault) {
        self.lock().faults.push((path.to_owned(), fault, Some(times)));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Everything that was asked, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// What was asked of one path, in order.
    pub fn requests_of(&self, path: &str) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| request.path == path)
            .collect()
    }

    /// How often one path was asked.
    pub fn count(&self, path: &str) -> usize {
        self.requests_of(path).len()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.lock().requests.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().unwrap()
    }
}

/// Path of a project's page.
pub fn page_path(project: &str) -> String {
    format!("/simple/{project}/")
}

/// Path of a project's JSON.
pub fn json_path(project: &str) -> String {
    format!("/pypi/{project}/json")
}

/// Path of a file.
pub fn file_path(filename: &str) -> String {
    format!("/files/{filename}")
}

/// Path of a file's metadata.
pub fn metadata_path(filename: &str) -> String {
    format!("/files/{filename}.metadata")
}

/// Path of a file's provenance.
pub fn provenance_path(filename: &str) -> String {
    format!("/integrity/{filename}/provenance")
}

fn project_of(filename: &str) -> String {
    let name = match filename.strip_suffix(".whl") {
        Some(stem) => stem.split('-').next().unwrap(),
        None => filename.rsplit_once('-').expect("a file name has a version").0,
    };
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

async fn answer(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().to_owned();
    let (plan, faults) = {
        let mut inner = shared.lock().unwrap();
        inner.requests.push(Request {
            method: method.clone(),
            path: path.clone(),
            headers: headers.clone(),
            peer,
        });
        let mut faults = Vec::new();
        for (at, fault, left) in &mut inner.faults {
            if (*at == path || at == "*") && *left != Some(0) {
                *left = left.map(|left| left - 1);
                faults.push(fault.clone());
            }
        }
        (pages::plan(&inner, &path, &headers), faults)
    };
    faults::spoil(plan, faults, &path).await
}
