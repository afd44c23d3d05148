//! Pages of other sites that may call the API.

use std::str::FromStr;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

/// With which a client resumes the stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// In which a page says who is before it.
const OPERATOR: HeaderName = HeaderName::from_static("x-operator");

/// `CORS_ALLOWED_ORIGINS`.
#[derive(Clone, Debug)]
pub enum Origins {
    /// `*`: any site, without its visitors' cookies.
    Any,
    /// These, with cookies.
    List(Vec<HeaderValue>),
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Origins, String> {
        if text.trim() == "*" {
            return Ok(Origins::Any);
        }
        text.split(',').map(|origin| parse_origin(origin.trim())).collect::<Result<_, _>>().map(Origins::List)
    }
}

fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || format!("\"{text}\" is not an origin like https://monitoring.example:8443");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let origin = url.origin().ascii_serialization();
    if !matches!(url.scheme(), "http" | "https") || origin != text.trim_end_matches('/') {
        return Err(wrong());
    }
    HeaderValue::from_str(&origin).map_err(|_| wrong())
}

pub(super) fn layer(origins: Option<&Origins>) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, header::ACCEPT, LAST_EVENT_ID, OPERATOR])
        .expose_headers([header::ETAG, header::LOCATION]);
    match origins {
        None => CorsLayer::new(),
        Some(Origins::Any) => layer.allow_origin(AllowOrigin::any()),
        Some(Origins::List(origins)) => layer.allow_origin(origins.clone()).allow_credentials(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for (text, ok) in [
            ("http://localhost:5173", true),
            ("https://a.example, https://b.example:8443", true),
            ("https://a.example/", true),
            ("*", true),
            ("a.example", false),
            ("https://a.example/path", false),
            ("ftp://a.example", false),
            ("https://a.example,", false),
        ] {
            assert_eq!(text.parse::<Origins>().is_ok(), ok, "{text}");
        }
    }
}
