//! The stream by way of a real nginx as it comes: buffering on, HTTP/1.0 to the backend.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use support::sse::Client;
use support::{Backend, Database, cpu_rule, eventually, free_port, now_ms, report};

/// Ends when dropped.
struct Nginx {
    base: String,
    process: Child,
    folder: tempfile::TempDir,
}

impl Nginx {
    async fn before(backend: &Backend, port: u16) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let temporary: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {at}/{kind};")).concat();
        // nothing but places and addresses: all else is as it comes
        let configuration = format!(
            "daemon off; user root; pid {at}/pid; error_log {at}/error.log; events {{}} \
             http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {}; }} }} }}",
            backend.base
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
        let process =
            command.arg("-c").arg(folder.path().join("nginx.conf")).spawn().expect("nginx is installed: scripts/install-tools");
        let nginx = Nginx { base: format!("http://127.0.0.1:{port}"), process, folder };
        let url = format!("{}/api/v1/session", nginx.base);
        eventually("nginx answers", async || {
            let answer = backend.client.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
        })
        .await;
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // its workers end when they see that it is gone
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        drop(self.process.wait());
        println!("{}", std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default());
    }
}

#[tokio::test]
async fn events_pass_nginx_at_once_and_resume_through_it() {
    let database = Database::sqlite();
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let start = now_ms() - 600_000;
    let ingest = async |step: i64| {
        let cpu = if step % 2 == 1 { 0.9 } else { 0.1 };
        backend.ingest(&[report("a", start + 2_000 * step, cpu, &[])]).await;
    };
    ingest(0).await;
    let port = free_port().await;
    let nginx = Nginx::before(&backend, port).await;
    let mut client = Client::open_at(&nginx.base, "?topics=violations", None).await;
    assert_eq!(client.next().await.unwrap().id.as_deref(), Some("1"), "the first message comes before there is a second one");
    for step in 1..=6 {
        let begun = Instant::now();
        ingest(step).await;
        let id = client.next_event().await.id.unwrap();
        assert_eq!(id, (step + 1).to_string());
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?} for one event", begun.elapsed());
    }
    // nginx ends, and is there again
    drop(nginx);
    assert_eq!(client.next().await, None);
    ingest(7).await;
    eventually("the backend's side has ended too", async || admin.metric("streams_open").await == 0.0).await;
    let nginx = Nginx::before(&backend, port).await;
    let mut client = Client::open_at(&nginx.base, "?topics=violations", Some("5")).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.next_event().await.id.unwrap());
    }
    assert_eq!(seen, ["6", "7", "8"]);
    // a client that goes leaves its place
    drop(client);
    eventually("its stream has ended", async || admin.metric("streams_open").await == 0.0).await;
    // the backend's end ends the stream here too, with a time to come back
    let mut client = Client::open_at(&nginx.base, "", None).await;
    client.next().await.unwrap();
    let ((), end) = tokio::join!(backend.stop(), client.next_block());
    assert!((1_000..=5_000).contains(&end.unwrap().retry.unwrap()));
    assert_eq!(client.next_block().await, None);
}
