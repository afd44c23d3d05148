//! Ways to a database that are not the usual one, and what happens when it is full.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use api_backend::store::{self, DatabaseUrl};
use reqwest::StatusCode;
use sqlx::AssertSqlSafe;
use support::{Backend, Database, batch, execute, now_ms, on_every_database, post, report};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_migration_that_was_killed_half_way_is_finished() {
    let server = std::env::var("TEST_MARIADB_URL").expect("TEST_MARIADB_URL is not set: run scripts/test");
    let database = Database::mysql(&server).await;
    store::connect(&database.url.parse().unwrap()).await.unwrap().close().await;
    let mut connection = database.connect().await;
    for sql in [
        "UPDATE _sqlx_migrations SET success = FALSE",
        "DROP TABLE events, counters",
        "DELETE FROM thresholds WHERE threshold_id > 3",
    ] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    let backend = Backend::start(&database).await;
    backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
    assert_eq!(backend.items("/thresholds").await.len(), 18);
    backend.stop().await;
}

#[tokio::test]
async fn names_and_passwords_may_have_any_characters() {
    let server = std::env::var("TEST_MARIADB_URL").expect("TEST_MARIADB_URL is not set: run scripts/test");
    let database = Database::mysql(&server).await;
    let (base, name) = database.url.rsplit_once('/').unwrap();
    let host = base.rsplit_once('@').unwrap().1;
    let (user, password) = (format!("u%41{}", std::process::id()), "a%ff%41 @:/?#[]é'");
    let mut connection = database.connect().await;
    let quoted = password.replace('\'', "''");
    for sql in [
        format!("CREATE OR REPLACE USER '{user}'@'%' IDENTIFIED BY '{quoted}'"),
        format!("CREATE OR REPLACE USER '{user}'@'localhost' IDENTIFIED BY '{quoted}'"),
        format!("GRANT ALL ON `{name}`.* TO '{user}'@'%'"),
        format!("GRANT ALL ON `{name}`.* TO '{user}'@'localhost'"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    let url = DatabaseUrl::of_parts(host, name, &user, &password.to_owned().into()).unwrap();
    let store = store::connect(&url).await.unwrap();
    drop(store.read().await.unwrap());
    store.close().await;
}

#[tokio::test]
async fn a_sqlite_path_means_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real/my data%41");
    std::fs::create_dir_all(&real).unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
    // behind a link `..` is not what a URL makes of it
    let url = format!("sqlite://{}/link/../x y.db", folder.path().display());
    let store = store::connect(&url.parse().unwrap()).await.unwrap();
    drop(store.read().await.unwrap());
    store.close().await;
    let files: Vec<_> = std::fs::read_dir(folder.path().join("real")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.contains(&"x y.db".into()), "{files:?}");
    for wrong in ["sqlite://", "sqlite://folder/", "sqlite:///x.db?mode=ro", "/x.db"] {
        assert!(wrong.parse::<DatabaseUrl>().is_err(), "{wrong}");
    }
}

/// A small filesystem of its own; gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        assert!(mount.status().unwrap().success(), "mounting needs root");
        SmallDisk(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["-l"]).arg(self.0.path()).status());
    }
}

#[tokio::test]
async fn a_full_disk_is_answered_with_503_and_is_over_when_there_is_space_again() {
    let disk = SmallDisk::mount("6m");
    let path = disk.0.path();
    let database = Database::at(&format!("sqlite://{}/test.db", path.display()));
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    backend.ingest(&[report("a", now_ms() - 500_000, 0.1, &[])]).await;
    let left = free_bytes(path);
    std::fs::write(path.join("filler"), vec![1; usize::try_from(left).unwrap()]).unwrap();
    let mut at = now_ms() - 400_000;
    let mut post_many = async || {
        at += 50;
        let reports: Vec<_> = (0..20).map(|n| report(&format!("host-{n}"), at, 0.1, &[("web", "running", 0.1)])).collect();
        backend.ingest_raw(&batch(&reports)).await.0
    };
    support::eventually("the disk is full", async || post_many().await == StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(post_many().await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(admin.becomes(false).await < Duration::from_secs(1));
    assert!(admin.problems().await.contains("full"), "{}", admin.problems().await);
    std::fs::remove_file(path.join("filler")).unwrap();
    assert_eq!(post_many().await, StatusCode::OK);
    assert!(admin.becomes(true).await < Duration::from_secs(2));
    assert_eq!(backend.items("/machines?kind=host").await.len(), 21);
    backend.stop().await;
}

#[tokio::test]
async fn a_sqlite_file_that_another_process_locks_is_503_and_not_ready_until_it_is_free() {
    let database = Database::sqlite();
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    let start = now_ms() - 60_000;
    assert_eq!(post(&backend, "a", start).await.0, StatusCode::OK);
    let mut other = database.connect().await;
    execute(&mut other, "BEGIN IMMEDIATE").await;
    let (red, (status, answered)) = tokio::join!(admin.becomes(false), post(&backend, "a", start + 2_000));
    assert!(red < Duration::from_secs(2), "red after {red:?}");
    assert!(admin.problems().await.contains("database is locked"), "{}", admin.problems().await);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answered < Duration::from_secs(6), "answered after {answered:?}");
    assert_eq!(backend.items("/machines?kind=host").await.len(), 1, "what is there can be read");
    execute(&mut other, "ROLLBACK").await;
    assert!(admin.becomes(true).await < Duration::from_secs(2));
    assert_eq!(post(&backend, "a", start + 2_000).await.0, StatusCode::OK);
    backend.stop().await;
}

/// Sets or clears the attribute by which not even root can write to a file; needs ext4 or the like.
fn set_immutable(database: &Database, change: &str) {
    let path = database.url.trim_start_matches("sqlite://");
    let status = Command::new("chattr").arg(change).args([path, &format!("{path}-wal")]).status().unwrap();
    assert!(status.success(), "chattr {change} {path}");
}

#[tokio::test]
async fn a_sqlite_file_that_cannot_be_written_is_503_and_not_ready_until_it_can() {
    let database = Database::sqlite();
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    let start = now_ms() - 60_000;
    assert_eq!(post(&backend, "a", start).await.0, StatusCode::OK);
    set_immutable(&database, "+i");
    let (status, _) = post(&backend, "a", start + 2_000).await;
    let (red, problems) = (admin.becomes(false).await, admin.problems().await);
    let reads = backend.get("/machines?kind=host").await.0;
    // before anything can fail: the folder has to be removable
    set_immutable(&database, "-i");
    assert_eq!((status, reads), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    assert!(red < Duration::from_secs(1), "red after {red:?}");
    assert!(problems.contains("database"), "{problems}");
    assert!(admin.becomes(true).await < Duration::from_secs(2));
    assert_eq!(post(&backend, "a", start + 2_000).await.0, StatusCode::OK);
    backend.stop().await;
}

fn free_bytes(path: &std::path::Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_does_not_hold_up_the_end() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let mut stuck = TcpStream::connect(backend.base.trim_start_matches("http://")).await.unwrap();
        stuck.write_all(b"GET /api/v1/machines HTTP/1.1\r\nHost: local").await.unwrap();
        backend.get("/session").await;
        let begun = Instant::now();
        backend.stop().await;
        assert!(begun.elapsed() < service_runtime::DRAIN);
    })
    .await;
}
