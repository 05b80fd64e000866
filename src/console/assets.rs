//! The files that pages are made of: in the program, under names that say what is in them, so that a browser may keep them
//! for ever.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::Console;
use crate::api::{ASSETS_PATH, ApiError, Kind};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Each file: its name, its type, what is in it.
const FILES: &[(&str, &str, &str)] = &[
    ("console.css", CSS, include_str!("assets/console.css")),
    ("chart.css", CSS, include_str!("assets/chart.css")),
    ("copy.js", SCRIPT, include_str!("assets/copy.js")),
    ("log.js", SCRIPT, include_str!("assets/log.js")),
    ("terminal.js", SCRIPT, include_str!("assets/terminal.js")),
    ("live.js", SCRIPT, include_str!("assets/live.js")),
];

/// The names under which they are served, in the order of [`FILES`]: `live.0123456789ab.js`.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let served = |(name, _, text): &(&str, &str, &str)| {
        let hash = Sha256::digest(text);
        let hash: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        format!("{stem}.{hash}.{extension}")
    };
    FILES.iter().map(served).collect()
});

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route(&format!("{ASSETS_PATH}{{name}}"), get(file))
}

/// The path of the file called `name`; templates name nothing else than what is in [`FILES`].
pub(super) fn path(name: &str) -> String {
    let index = FILES.iter().position(|(known, ..)| *known == name);
    let served = index.and_then(|index| NAMES.get(index));
    format!("{ASSETS_PATH}{}", served.map_or(name, String::as_str))
}

async fn file(Path(name): Path<String>) -> Result<Response, ApiError> {
    let index = NAMES.iter().position(|served| *served == name);
    let Some((_, kind, text)) = index.and_then(|index| FILES.get(index)) else {
        return Err(ApiError::new(Kind::NotFound, "there is no such file")
            .hint("load the page again: it names the files of this version"));
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    Ok((headers, *text).into_response())
}
