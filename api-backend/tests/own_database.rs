//! A MariaDB of the test's own that is paused, killed, made read-only and filled with clients: readiness follows within two seconds,
//! both ways, and what was answered with 503 is stored once when it is sent again.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use sqlx::{AnyConnection, Connection};
use support::{Admin, Backend, Database, eventually, execute, free_port, now_ms, post, report};

const PROMISED: Duration = Duration::from_secs(2);

struct Server {
    folder: tempfile::TempDir,
    url: String,
}

impl Server {
    async fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().await.to_string();
        let url = script(folder.path(), &["start", &port]);
        Server { folder, url }
    }

    async fn run(&self, command: &'static str) {
        let folder = self.folder.path().to_owned();
        tokio::task::spawn_blocking(move || script(&folder, &[command])).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(self.folder.path(), &["stop"]);
    }
}

fn script(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("../scripts/services/mariadb");
    let output = command.args(arguments).env("SERVICES_DIR", folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Red within the promised time, and every post answered with 503 and none held for long; what it says of the reason.
async fn red(backend: &Backend, admin: &Admin, at: i64) -> String {
    let (took, (status, answered)) = tokio::join!(admin.becomes(false), post(backend, "a", at));
    assert!(took < PROMISED, "red after {took:?}");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answered < Duration::from_secs(10), "answered after {answered:?}");
    let problems = admin.problems().await;
    println!("red after {took:?}, the post was answered after {answered:?}: {problems}");
    problems
}

async fn green(backend: &Backend, admin: &Admin, at: i64) {
    let took = admin.becomes(true).await;
    assert!(took < PROMISED, "green after {took:?}");
    println!("green after {took:?}");
    assert_eq!(post(backend, "a", at).await.0, StatusCode::OK);
}

#[tokio::test]
async fn readiness_follows_a_real_database_both_ways() {
    let server = Server::start().await;
    let database = Database::mysql(&server.url).await;
    let name = database.url.rsplit_once('/').unwrap().1;
    let mut root = AnyConnection::connect(&server.url).await.unwrap();
    execute(
        &mut root,
        &format!("CREATE USER 'plain'@'localhost' IDENTIFIED BY 'secret'; GRANT ALL ON {name}.* TO 'plain'@'localhost'"),
    )
    .await;
    execute(
        &mut root,
        &format!("CREATE USER 'plain'@'127.0.0.1' IDENTIFIED BY 'secret'; GRANT ALL ON {name}.* TO 'plain'@'127.0.0.1'"),
    )
    .await;
    let (backend, admin) = Backend::start_with_admin(&database.url.replace("root@", "plain:secret@")).await;
    admin.becomes(true).await;
    let start = now_ms() - 600_000;
    let mut at = start;
    let mut next = || {
        at += 2_000;
        at
    };
    assert_eq!(post(&backend, "a", next()).await.0, StatusCode::OK);

    println!("paused");
    server.run("pause").await;
    let at = next();
    red(&backend, &admin, at).await;
    server.run("resume").await;
    green(&backend, &admin, at).await;

    println!("killed and started again");
    server.run("kill").await;
    let at = next();
    red(&backend, &admin, at).await;
    server.run("revive").await;
    green(&backend, &admin, at).await;

    println!("read-only");
    let mut root = AnyConnection::connect(&server.url).await.unwrap();
    execute(&mut root, "SET GLOBAL read_only = 1").await;
    let took = admin.becomes(false).await;
    assert!(took < PROMISED, "red after {took:?} without a single post");
    assert!(admin.problems().await.contains("read-only"), "{}", admin.problems().await);
    let at = next();
    red(&backend, &admin, at).await;
    assert_eq!(backend.items("/machines?kind=host").await.len(), 1, "what is there can be read");
    execute(&mut root, "SET GLOBAL read_only = 0").await;
    green(&backend, &admin, at).await;

    println!("too many connections, and ours are killed");
    let connections = "SELECT GROUP_CONCAT('KILL ', id SEPARATOR '; ') FROM information_schema.processlist WHERE user = 'plain'";
    execute(&mut root, "SET GLOBAL max_connections = 10").await;
    let mut others = Vec::new();
    let kills: String = sqlx::query_scalar(connections).fetch_one(&mut root).await.unwrap();
    execute(&mut root, &kills).await;
    eventually("all places are taken", async || match AnyConnection::connect(&server.url).await {
        Ok(other) => {
            others.push(other);
            false
        }
        Err(error) => error.to_string().contains("Too many connections"),
    })
    .await;
    let at = next();
    red(&backend, &admin, at).await;
    drop(others);
    green(&backend, &admin, at).await;

    println!("a connection killed within its transaction");
    let mut blocker = AnyConnection::connect(&database.url).await.unwrap();
    execute(&mut blocker, "BEGIN; SELECT * FROM hosts FOR UPDATE").await;
    let at = next();
    let ((status, _), ()) = tokio::join!(post(&backend, "a", at), async {
        let waiting = "SELECT GROUP_CONCAT('KILL ', id SEPARATOR '; ') FROM information_schema.processlist \
                       WHERE user = 'plain' AND info LIKE '%hosts%' AND time_ms > 100";
        let mut kill: Option<String> = None;
        eventually("ingest waits", async || {
            kill = sqlx::query_scalar(waiting).fetch_one(&mut root).await.unwrap();
            kill.is_some()
        })
        .await;
        execute(&mut root, &kill.unwrap()).await;
    });
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    execute(&mut blocker, "ROLLBACK").await;
    green(&backend, &admin, at).await;

    let receipt = backend.ingest(&[report("a", start + 2_000, 0.1, &[])]).await;
    assert_eq!((receipt.stored, receipt.duplicate), (0, 1));
    assert_eq!(database.dump().await["reports"].len(), 6, "each once");
    backend.stop().await;
}
