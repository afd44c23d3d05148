//! The consumer as a process of its own, as it is deployed: with an environment, signals and an exit code.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use tempfile::TempDir;

use super::GROUP;

pub struct Process {
    child: Child,
    folder: TempDir,
    /// Base URL of its admin server.
    pub admin: String,
}

impl Process {
    /// The token comes from a file, which holds `token` at first.
    pub fn start(bootstrap_servers: &str, topic: &str, api_base_url: &str, token: &str) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, token).unwrap();
        // free when asked for, and hardly taken a moment later
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_consumer"))
            .env_clear()
            .env("BOOTSTRAP_SERVER", bootstrap_servers)
            .env("KAFKA_TOPIC_NAME", topic)
            .env("KAFKA_CONSUMER_GROUP_ID", format!("{GROUP}-{topic}"))
            .env("KAFKA_TOPIC_PARTITIONS", "3")
            .env("API_BASE_URL", api_base_url)
            .env("INGEST_TOKEN_FILE", &token_file)
            .env("ADMIN_LISTEN_ADDR", admin.to_string())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Process { child, folder, admin: format!("http://{admin}") }
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What `/readyz` says; empty when it is ready, `None` when nobody answers.
    pub async fn problems(&self) -> Option<String> {
        let answer = reqwest::get(format!("{}/readyz", self.admin)).await.ok()?;
        let is_ready = answer.status() == 200;
        let text = answer.text().await.ok()?;
        Some(if is_ready { String::new() } else { text })
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success(), "SIG{name}");
    }

    /// Whether it has ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// An ordered end.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let status = super::eventually("the process ends", async || self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nothing to do where it has ended
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
