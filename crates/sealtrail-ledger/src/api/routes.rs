//! All paths of the interface, in one table.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{map_request, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::Method;

use crate::metrics::Metrics;
use crate::refusal::{Class, Refusal};

use super::problem::Problem;
use super::{App, files, statements, status};

/// The OpenAPI 3.1 description of this interface, kept by hand.
pub const OPENAPI: &str = include_str!("openapi.json");

/// One path with its method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET` or `POST`.
    pub method: Method,
    /// The path, parameters in braces.
    pub path: &'static str,
}

type Routes = [(Method, &'static str, MethodRouter<Arc<App>>); 14];

fn routes() -> Routes {
    [
        (Method::POST, "/v1/challenges", post(statements::challenges)),
        (Method::POST, "/v1/trails/{trail}/epochs", post(statements::epochs)),
        (Method::POST, "/v1/trails/{trail}/batches", post(statements::batches)),
        (Method::GET, "/v1/trails/{trail}/receipts/{epoch}/{sequence}", get(statements::receipts)),
        (Method::GET, "/v1/ledger.json", get(files::ledger_json)),
        (Method::GET, "/v1/trails/{trail}/checkpoint", get(files::checkpoint)),
        (Method::GET, "/v1/trails/{trail}/tile/{*path}", get(files::tile)),
        (Method::GET, "/v1/trails/{trail}/segments/{name}", get(files::segment)),
        (Method::GET, "/v1/artefacts/{prefix}/{name}", get(files::artefact)),
        (Method::GET, "/v1/status", get(status::status)),
        (Method::GET, "/v1/openapi.json", get(status::openapi)),
        (Method::GET, "/healthz", get(status::healthz)),
        (Method::GET, "/readyz", get(status::readyz)),
        (Method::GET, "/metrics", get(status::metrics)),
    ]
}

/// All methods and paths, for the check against [`OPENAPI`].
#[must_use]
pub fn route_list() -> Vec<RouteInfo> {
    routes().into_iter().map(|(method, path, _)| RouteInfo { method, path }).collect()
}

/// The router of the whole interface.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (_, path, handler) in routes() {
        router = router.route(path, handler);
    }
    let (requests, problems) = (app.metrics.clone(), app.metrics.clone());
    router
        .fallback(|| async { Problem(Refusal::new(Class::NotFound, "no such path")) })
        .method_not_allowed_fallback(|| async {
            Problem(Refusal::new(Class::MethodNotAllowed, "no such method here"))
        })
        .layer(map_request(move |request: Request| {
            Metrics::add(&requests.requests, 1);
            async move { request }
        }))
        .layer(map_response(move |response: Response| {
            if let Some(class) = response.extensions().get::<Class>() {
                problems.refused(*class);
            }
            async move { response }
        }))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let routed: BTreeSet<String> = route_list()
            .iter()
            .map(|route| format!("{} {}", route.method, route.path.replace("{*", "{")))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_status_and_class_is_one_of_its_path() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let mut statuses = BTreeSet::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                statuses.extend(operation["responses"].as_object().unwrap().keys().cloned());
            }
        }
        let named = document["paths"].to_string();
        // 404 for a path and 405 for a method that are not described can have no place in the description.
        for class in Class::ALL.iter().filter(|class| **class != Class::MethodNotAllowed) {
            assert!(statuses.contains(&class.status().to_string()), "{}", class.as_str());
            assert!(named.contains(class.as_str()), "{}", class.as_str());
        }
    }
}
