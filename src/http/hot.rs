//! The hot path of an installer: an index page that is in memory. It is answered before routing, without
//! a boxed future, a copied name or a look into the database.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use futures_util::future::Either;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use super::negotiate::form;
use super::pages::Pages;
use super::simple::REVALIDATE;
use crate::telemetry::{Metrics, Route};

/// What a listener serves: [`Pages`] first, then all routes. Cheap to clone.
#[derive(Clone)]
pub struct HotPath {
    pages: Arc<Pages>,
    metrics: Metrics,
    router: Router,
}

impl HotPath {
    pub(super) fn new(pages: Arc<Pages>, metrics: Metrics, router: Router) -> Self {
        Self {
            pages,
            metrics,
            router,
        }
    }

    /// For one connection.
    pub fn from(&self, peer: SocketAddr) -> Connection {
        Connection {
            path: self.clone(),
            peer,
        }
    }

    /// `GET /simple/{normalised name}/`, if the page is in memory and holds. Anything else is not for here.
    fn answer(&self, request: &Request<Incoming>) -> Option<Response> {
        if request.method() != Method::GET || request.uri().query().is_some() {
            return None;
        }
        let name = request.uri().path().strip_prefix("/simple/")?.strip_suffix('/')?;
        let begun = Instant::now();
        let form = form(request.headers());
        // Names are looked up as they stand: what is not normalised is in no page's key.
        let content = self.pages.hot(name, form, begun)?;
        let response = content.answer(form, request.headers(), REVALIDATE);
        let bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
        let status = response.status().as_u16();
        self.metrics
            .answered(Route::ProjectPage, status, bytes, begun.elapsed());
        Some(response)
    }
}

/// The service of one connection.
pub struct Connection {
    path: HotPath,
    peer: SocketAddr,
}

type Routed = Oneshot<Router, Request<Body>>;

impl Service<Request<Incoming>> for Connection {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, Routed>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(response) = self.path.answer(&request) {
            return Either::Left(ready(Ok(response)));
        }
        request
            .extensions_mut()
            .insert(ConnectInfo::<SocketAddr>(self.peer));
        Either::Right(self.path.router.clone().oneshot(request.map(Body::new)))
    }
}
