//! Who may ask. Tokens are compared in constant time, as digests, and never leave this file.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{App, Problem};

/// Name of the cookie that stands for the API token.
pub(super) const COOKIE: &str = "server_monitoring_session";
/// What the cookie's value is the keyed hash of; a new value here ends all sessions.
const SESSION: &[u8] = b"server-monitoring session 1";

/// The tokens; one that is absent lets everybody in, which the configuration allows on loopback only.
pub(super) struct Access {
    ingest: Option<SecretString>,
    api: Option<SecretString>,
}

impl Access {
    pub(super) fn new(ingest: Option<&SecretString>, api: Option<&SecretString>) -> Access {
        Access { ingest: ingest.cloned(), api: api.cloned() }
    }

    /// Whether users have to show a token.
    pub(super) fn is_required(&self) -> bool {
        self.api.is_some()
    }

    /// Whether this is the API token.
    pub(super) fn is_api_token(&self, shown: &str) -> bool {
        self.api.as_ref().is_none_or(|token| is_same(token.expose_secret(), shown))
    }

    /// Whether a request comes with the API token or with the cookie that stands for it.
    pub(super) fn allows_user(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.api else { return true };
        bearer(headers).is_some_and(|shown| is_same(token.expose_secret(), shown))
            || cookie(headers).is_some_and(|shown| is_same(&session_of(token), shown))
    }

    /// The value of the cookie for whoever showed the token.
    pub(super) fn session(&self) -> Option<String> {
        self.api.as_ref().map(session_of)
    }
}

pub(super) async fn require_ingest_token(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    let shown = bearer(request.headers());
    let allowed = app.access.ingest.as_ref().is_none_or(|token| shown.is_some_and(|shown| is_same(token.expose_secret(), shown)));
    if !allowed {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "ingest needs the bearer token INGEST_TOKEN"));
    }
    Ok(next.run(request).await)
}

pub(super) async fn require_api_token(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if !app.access.allows_user(request.headers()) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this needs the bearer token API_TOKEN, or a session of the page"));
    }
    Ok(next.run(request).await)
}

/// Without tokens only this machine is meant: a page of another site that rebinds its name to 127.0.0.1 is not.
pub(super) async fn refuse_foreign_names(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    let is_open = app.access.api.is_none() || app.access.ingest.is_none();
    if is_open && !is_local_name(request.headers(), request.uri()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "without API_TOKEN and INGEST_TOKEN only localhost is served"));
    }
    Ok(next.run(request).await)
}

fn is_local_name(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(Authority::as_str));
    let Some(host) = host else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn keyed(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn session_of(token: &SecretString) -> String {
    keyed(token.expose_secret().as_bytes(), SESSION).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// By digest, so that not even the length shows in the time it takes.
fn is_same(expected: &str, shown: &str) -> bool {
    keyed(SESSION, expected.as_bytes()).ct_eq(&keyed(SESSION, shown.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_pass_without_tokens() {
        for (host, local) in [
            ("localhost", true),
            ("localhost:8004", true),
            ("127.0.0.1:8004", true),
            ("127.1.2.3", true),
            ("[::1]:8004", true),
            ("[::1]", true),
            ("evil.example:8004", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1:8004", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(is_local_name(&headers, &Uri::from_static("/")), local, "{host}");
        }
    }
}
