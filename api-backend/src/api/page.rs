//! The page: the files that npm built into `dashboard/dist`, as part of the program, and nothing from elsewhere.
//!
//! Cargo never calls npm: a program that was built without them serves a notice. Each text file stands there twice, as it is and
//! compressed, so that nothing is compressed again for each browser.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{App, Problem, problem};

#[derive(RustEmbed)]
#[folder = "../dashboard/dist"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";
/// Its files have a hash of their content in their names.
const ASSETS: &str = "assets/";
/// What the page makes of its own URLs is its own business: each of them is the page.
const VIEWS: [&str; 11] = [
    "/",
    "/containers",
    "/hosts/{id}",
    "/containers/{id}",
    "/violations",
    "/violations/{id}",
    "/thresholds",
    "/thresholds/{id}",
    "/silences",
    "/silences/{id}",
    "/pipeline",
];
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Asked for at each visit, and only sent when it is another one.
const NO_CACHE: &str = "no-cache";
const FOREVER: &str = "public, max-age=31536000, immutable";
const NOTICE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>server-monitoring</title>\
    <h1>server-monitoring</h1><p>This program was built without the page. Build it with <code>npm ci &amp;&amp; npm run build</code> \
    in <code>dashboard/</code>, then build the program again; <code>scripts/run</code> does both. \
    The API is at <a href=\"/api/v1/machines\">/api/v1</a>.";

pub(super) fn routes() -> Router<App> {
    let views = VIEWS.iter().fold(Router::new(), |router, view| router.route(view, get(index)));
    views.route("/assets/{name}", get(asset)).layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, POLICY))
}

async fn index(headers: HeaderMap) -> Response {
    match serve(INDEX, &headers) {
        Some(response) => response,
        None => ([(header::CACHE_CONTROL, NO_CACHE)], Html(NOTICE)).into_response(),
    }
}

/// People who followed a crooked link are told so by the page, with the way back; programs get a problem.
pub(super) async fn nowhere(method: Method, uri: Uri, mut headers: HeaderMap) -> Response {
    let is_page = ["/api/", "/assets/"].iter().all(|other| !uri.path().starts_with(other));
    if !is_page || !matches!(method, Method::GET | Method::HEAD) || !takes_html(&headers) {
        return problem::not_found(uri).await.into_response();
    }
    // "not modified" would say that it is there
    headers.remove(header::IF_NONE_MATCH);
    (StatusCode::NOT_FOUND, [(header::CONTENT_SECURITY_POLICY, POLICY)], index(headers).await).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    // a browser that has an older page open asks for files that are no more
    serve(&format!("{ASSETS}{name}"), &headers).ok_or_else(|| Problem::no_such("file", &name))
}

/// A file, if there is one, compressed for those who take it.
fn serve(path: &str, headers: &HeaderMap) -> Option<Response> {
    let kind = kind(path)?;
    let file = Files::get(path)?;
    let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..8]));
    let cached = if path.starts_with(ASSETS) { FOREVER } else { NO_CACHE };
    let fixed = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cached), (header::VARY, "accept-encoding")];
    let tagged = [(header::ETAG, etag.clone())];
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if asked(header::IF_NONE_MATCH).split(',').any(|known| known.trim().trim_start_matches("W/") == etag) {
        return Some((StatusCode::NOT_MODIFIED, fixed, tagged).into_response());
    }
    if takes_gzip(asked(header::ACCEPT_ENCODING))
        && let Some(compressed) = Files::get(&format!("{path}.gz"))
    {
        return Some((fixed, tagged, [(header::CONTENT_ENCODING, "gzip")], compressed.data).into_response());
    }
    Some((fixed, tagged, file.data).into_response())
}

fn kind(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

/// As browsers do when somebody follows a link; `*/*` is what programs say.
fn takes_html(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html"))
}

fn takes_gzip(accepted: &str) -> bool {
    let mut words = accepted.split(',').map(|word| word.split_once(';').unwrap_or((word, "")));
    words.any(|(word, weight)| {
        matches!(word.trim(), "gzip" | "*") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the program has the page in it.
pub static IS_BUILT_IN: LazyLock<bool> = LazyLock::new(|| Files::get(INDEX).is_some());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip_gets_it() {
        for (accepted, takes) in
            [("", false), ("gzip", true), ("br, gzip;q=0.8", true), ("*", true), ("gzip;q=0, br", false), ("br", false)]
        {
            assert_eq!(takes_gzip(accepted), takes, "{accepted}");
        }
    }

    #[test]
    fn browsers_take_html_and_programs_do_not_ask_for_it() {
        for (accepted, takes) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, Text/HTML;q=0.5", true),
            ("text/html5", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accepted.parse().unwrap())]);
            assert_eq!(takes_html(&headers), takes, "{accepted}");
        }
        assert!(!takes_html(&HeaderMap::new()));
    }

    #[test]
    fn files_are_kept_by_browsers_as_long_as_their_names_say() {
        let get = |path: &str, name: HeaderName, value: &str| {
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            serve(path, &headers)
        };
        if !*IS_BUILT_IN {
            assert!(get(INDEX, header::ACCEPT_ENCODING, "gzip").is_none(), "the notice takes its place");
            return;
        }
        let paths: Vec<_> = Files::iter().filter(|path| kind(path).is_some()).collect();
        assert!(paths.len() > 2, "{paths:?}");
        for path in paths {
            let response = get(&path, header::ACCEPT_ENCODING, "gzip").unwrap();
            let is_forever = response.headers()[header::CACHE_CONTROL] == FOREVER;
            assert_eq!(is_forever, path.as_ref() != INDEX, "{path}");
            let etag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
            assert_eq!(get(&path, header::IF_NONE_MATCH, &etag).unwrap().status(), StatusCode::NOT_MODIFIED);
            assert_eq!(get(&path, header::IF_NONE_MATCH, "\"other\"").unwrap().status(), StatusCode::OK);
        }
        for path in ["../Cargo.toml", "assets/../index.html", "index.html.gz", "none.js"] {
            assert!(get(path, header::ACCEPT_ENCODING, "gzip").is_none(), "{path}");
        }
    }
}
