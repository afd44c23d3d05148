//! Consumer, api-backend and what plays or collects, wired together for one test.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::kafka::{self, bootstrap_server};
use crate::process::free_address;
use crate::{Api, Database, Process, unique, within};

/// Topic, group, database, port and scratch folder of one test. The programs are started by the test.
pub struct Stack {
    /// Topic of reports.
    pub topic: String,
    /// Consumer group.
    pub group: String,
    /// The backend's database.
    pub database: Database,
    /// The backend's REST.
    pub api: Api,
    /// Where the backend listens.
    pub address: String,
    folder: TempDir,
}

impl Stack {
    /// Nothing runs yet.
    pub async fn new(name: &str) -> Stack {
        let (topic, address) = (unique(name), free_address());
        let api = Api::new(&address);
        let database = Database::create(name).await;
        Stack { group: format!("{topic}-group"), topic, database, api, address, folder: tempfile::tempdir().unwrap() }
    }

    /// A file in the scratch folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the backend; does not wait for it.
    pub fn start_backend(&self) -> Process {
        self.start_backend_with(&[])
    }

    /// The same with more variables, or others.
    pub fn start_backend_with(&self, more: &[(&str, String)]) -> Process {
        let variables = [
            ("DATABASE_URL", self.database.url.clone()),
            ("LISTEN_ADDR", self.address.clone()),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
            // tests compare the reports as they came
            ("SEAL_AFTER_SECONDS", "31536000".to_owned()),
        ];
        Process::start("api-backend", self.folder.path(), &[&variables, more].concat(), &[])
    }

    /// Starts the backend and waits until it answers.
    pub async fn start_ready_backend(&self) -> Process {
        self.start_ready_backend_with(&[]).await
    }

    /// The same with more variables, or others.
    pub async fn start_ready_backend_with(&self, more: &[(&str, String)]) -> Process {
        let mut backend = self.start_backend_with(more);
        within(30, "the backend answers", async || {
            backend.assert_runs();
            self.api.try_get("catalog", &[]).await
        })
        .await;
        backend
    }

    /// Starts a consumer of the group.
    pub fn start_consumer(&self, group: &str) -> Process {
        self.start_consumer_with(group, &[])
    }

    /// The same with more variables, or others.
    pub fn start_consumer_with(&self, group: &str, more: &[(&str, String)]) -> Process {
        let variables = [
            ("BOOTSTRAP_SERVER", bootstrap_server()),
            ("KAFKA_TOPIC_NAME", self.topic.clone()),
            ("KAFKA_CONSUMER_GROUP_ID", group.to_owned()),
            ("API_BASE_URL", format!("http://{}", self.address)),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
        ];
        Process::start("consumer", self.folder.path(), &[&variables, more].concat(), &[])
    }

    /// Starts a program that writes to the topic.
    pub fn start_source(&self, name: &str, variables: &[(&str, String)], arguments: &[String]) -> Process {
        let kafka = [("BOOTSTRAP_SERVER", bootstrap_server()), ("KAFKA_TOPIC_NAME", self.topic.clone())];
        Process::start(name, self.folder.path(), &[&kafka, variables].concat(), arguments)
    }

    /// Plays a fleet to the backend itself.
    pub fn start_direct_loadgen(&self, arguments: &[String]) -> Process {
        let variables = [("API_BASE_URL", format!("http://{}", self.address))];
        Process::start("loadgen", self.folder.path(), &variables, arguments)
    }

    /// Plays a fleet.
    pub fn start_loadgen(&self, arguments: &[&str]) -> Process {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self.start_source("loadgen", &[], &arguments)
    }

    /// Messages that the group has not committed yet.
    pub fn lag(&self, group: &str) -> i64 {
        kafka::lag(&bootstrap_server(), &self.topic, group)
    }
}
