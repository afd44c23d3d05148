//! Who is let in, and with what the service refuses to start.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{Backend, Database, batch, now_ms, report};

#[tokio::test]
async fn tokens_open_what_they_are_for_and_nothing_else() {
    let database = Database::sqlite();
    let backend = Backend::start_with(&database, &["--ingest-token=in", "--api-token=user"]).await;
    let status = async |method: Method, path: &str, header: Option<(&str, &str)>| {
        let mut request = backend.client.request(method.clone(), format!("{}/api/v1{path}", backend.base));
        if method == Method::POST {
            request = request.json(&batch(&[report("a", now_ms(), 0.1, &[])]));
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status()
    };
    let (user, ingest) = (Some(("Authorization", "Bearer user")), Some(("Authorization", "Bearer in")));
    for path in ["/machines", "/thresholds", "/violations", "/catalog", "/stream", "/machines/1/series?metric=a.b"] {
        assert_eq!(status(Method::GET, path, None).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(Method::GET, path, ingest).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status(Method::POST, "/ingest", None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Method::POST, "/ingest", user).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(Method::POST, "/ingest", ingest).await, StatusCode::OK);
    assert_eq!(status(Method::GET, "/machines", user).await, StatusCode::OK);

    // the page: shows the token once, keeps a cookie that is not the token
    let session = async |token: &str| {
        let url = format!("{}/api/v1/session", backend.base);
        backend.client.post(url).json(&json!({"token": token})).send().await.unwrap()
    };
    assert_eq!(session("wrong").await.status(), StatusCode::UNAUTHORIZED);
    let answer = session("user").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("user"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(status(Method::GET, "/machines", Some(("Cookie", pair))).await, StatusCode::OK);
    assert_eq!(
        status(Method::GET, "/machines", Some(("Cookie", "server_monitoring_session=user"))).await,
        StatusCode::UNAUTHORIZED
    );
    let page = backend.client.get(format!("{}/", backend.base)).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    backend.stop().await;
}

#[tokio::test]
async fn without_tokens_only_local_names_are_served() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let url = format!("{}/api/v1/machines", backend.base);
    let status = async |host: &str| backend.client.get(&url).header("Host", host).send().await.unwrap().status();
    assert_eq!(status("localhost:8004").await, StatusCode::OK);
    assert_eq!(status("rebound.example").await, StatusCode::FORBIDDEN);
    // what a form of another site can send without asking first
    let body = batch(&[report("a", now_ms(), 0.1, &[])]).to_string();
    let form = backend.client.post(format!("{}/api/v1/ingest", backend.base)).header("Content-Type", "text/plain").body(body);
    assert_eq!(form.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    backend.stop().await;
}

#[tokio::test]
async fn only_named_origins_may_read_answers() {
    let database = Database::sqlite();
    let backend = Backend::start_with(&database, &["--cors-allowed-origins=https://wall.example"]).await;
    let allowed = async |origin: &str| {
        let answer =
            backend.client.get(format!("{}/api/v1/catalog", backend.base)).header("Origin", origin).send().await.unwrap();
        answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(allowed("https://wall.example").await.as_deref(), Some("https://wall.example"));
    assert_eq!(allowed("https://other.example").await, None);
    backend.stop().await;
}

#[test]
fn a_wrong_configuration_stops_with_78_and_the_variables_name() {
    let check = |settings: &[(&str, &str)], variable: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api-backend"));
        command.env_clear().env("DATABASE_URL", "sqlite:///nowhere/at/all.db").env("ADMIN_LISTEN_ADDR", "off");
        let output = command.envs(settings.iter().copied()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{settings:?}: {error}");
        assert!(error.contains(variable), "{settings:?}: {error}");
        assert!(!error.contains("hush"), "no secret in {error}");
    };
    check(&[("LISTEN_ADDR", "")], "LISTEN_ADDR");
    check(&[("LISTEN_ADDR", "localhost")], "LISTEN_ADDR");
    check(&[("LISTEN_ADDR", "0.0.0.0:0")], "INGEST_TOKEN");
    check(&[("LISTEN_ADDR", "0.0.0.0:0"), ("INGEST_TOKEN", "hush")], "API_TOKEN");
    check(&[("RAW_RETENTION_DAYS", "0")], "RAW_RETENTION_DAYS");
    check(&[("RAW_RETENTION_DAYS", "3651")], "RAW_RETENTION_DAYS");
    check(&[("RAW_RETENTION_DAYS", "week")], "RAW_RETENTION_DAYS");
    check(&[("RAW_RETENTION_DAYS", "8"), ("ROLLUP_RETENTION_DAYS", "7")], "ROLLUP_RETENTION_DAYS");
    check(&[("ROLLUP_RETENTION_DAYS", "36501")], "ROLLUP_RETENTION_DAYS");
    check(&[("SEAL_AFTER_SECONDS", "0")], "SEAL_AFTER_SECONDS");
    check(&[("SEAL_AFTER_SECONDS", "31536001")], "SEAL_AFTER_SECONDS");
    check(&[("TZ", "Mars/Base")], "TZ");
    check(&[("DATABASE_URL", "postgres://hush@db/x")], "DATABASE_URL");
    check(&[("DATABASE_URL", "mysql://user:hush@db:3306")], "DATABASE_URL");
    check(&[("DATABASE_URL", "mysql://user:hush@db:3306/x?ssl-mode=bogus")], "DATABASE_URL");
    check(&[("API_TOKEN", "hush with spaces")], "API_TOKEN");
    check(&[("INGEST_TOKEN", "hüsh")], "INGEST_TOKEN");
    check(&[("API_TOKEN", "")], "API_TOKEN");
    check(&[("API_TOKEN_FILE", "/no/such/file")], "API_TOKEN_FILE");
    check(&[("API_TOKEN", "hush"), ("API_TOKEN_FILE", "/dev/null")], "API_TOKEN_FILE");
    check(&[("API_TOKEN_FILE", "/dev/null")], "API_TOKEN_FILE");
    check(&[("CORS_ALLOWED_ORIGINS", "wall.example")], "CORS_ALLOWED_ORIGINS");
    check(&[("RUST_LOG", "a=b=c")], "RUST_LOG");
}
