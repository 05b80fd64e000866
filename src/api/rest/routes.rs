//! What is answered where nothing is: which route is nearest, and which methods a path takes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, Uri};
use utoipa::openapi::OpenApi;

use super::Rest;
use super::problem::{ApiError, Kind};

/// The most of a path that is compared.
const PATH_COMPARED: usize = 256;
/// What the paths of resources begin with.
const PREFIX: &str = "/v1";

/// The routes that exist.
pub(super) struct Routes(Vec<String>);

impl Routes {
    /// The routes that `document` describes.
    pub(super) fn of(document: &OpenApi) -> Self {
        Self(document.paths.paths.keys().cloned().collect())
    }

    /// The route that takes the fewest changes to get to from `path`.
    fn nearest(&self, path: &str) -> Option<&str> {
        let path: String = path.chars().take(PATH_COMPARED).collect();
        // Many forget what all paths begin with.
        let prefixed = format!("{PREFIX}{path}");
        let distance = |route: &&str| distance(&path, route).min(distance(&prefixed, route) + 1);
        self.0.iter().map(String::as_str).min_by_key(distance)
    }
}

/// How many characters differ between `path` and `route`, segment by segment; a variable segment of the
/// route is whatever the path has there.
fn distance(path: &str, route: &str) -> usize {
    let (mut path, mut route) = (
        path.trim_matches('/').split('/'),
        route.trim_matches('/').split('/'),
    );
    let mut sum = 0;
    loop {
        sum += match (path.next(), route.next()) {
            (None, None) => return sum,
            (Some(part), Some(name)) if name.starts_with('{') => usize::from(part.is_empty()),
            (Some(part), Some(name)) => strsim::damerau_levenshtein(part, name),
            (Some(part), None) | (None, Some(part)) => part.len() + 1,
        };
    }
}

/// The answer where nothing answers.
pub(super) async fn no_such_route(State(rest): State<Arc<Rest>>, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(PATH_COMPARED).collect();
    let error = ApiError::new(Kind::NoSuchRoute, format!("nothing answers at {path}"));
    match rest.routes.nearest(&path) {
        Some(nearest) => error.hint(format!(
            "the nearest is {nearest}; GET /docs describes all of them"
        )),
        None => error,
    }
}

/// The answer where something else answers; axum adds the `Allow` header.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(PATH_COMPARED).collect();
    ApiError::new(
        Kind::MethodNotAllowed,
        format!("{path} does not take {method}"),
    )
    .hint("the Allow header has the methods that it takes; GET /docs describes them")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_nearest_route_is_found() {
        let routes = Routes(
            [
                "/healthz",
                "/v1/clusters",
                "/v1/tasks",
                "/v1/tasks/{task}",
                "/v1/tasks/{task}/logs",
            ]
            .map(str::to_owned)
            .to_vec(),
        );
        for (path, nearest) in [
            ("/v1/cluster", "/v1/clusters"),
            ("/v1/tasks/", "/v1/tasks"),
            ("/tasks", "/v1/tasks"),
            ("/v1/tasks/0123/log", "/v1/tasks/{task}/logs"),
            ("/health", "/healthz"),
        ] {
            assert_eq!(routes.nearest(path), Some(nearest), "{path}");
        }
    }
}
