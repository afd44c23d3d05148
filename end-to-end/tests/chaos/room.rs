//! A server room under test: brokers and a database of its own, a proxy on every hop, backends, consumers, collectors, a played fleet, and
//! followers of the stream. A scenario breaks something in it; [`Room::prove`] says what came out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use end_to_end::follower::Patience;
use end_to_end::process::free_address;
use end_to_end::services::{Cluster, Door, MariaDb};
use end_to_end::{Api, Database, Follower, Process, Proxy, unique, within};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pauses::Pauses;
use crate::proof::{self, journal};

/// How long reports may need to flow again after a fault: the longest wait of any part is 30 s.
const FLOW_SECONDS: u64 = 120;
/// Rises when reports of the host that is furthest behind come to the store: every partition has moved then.
const SLOWEST: &str = "SELECT MIN(last_seq) FROM hosts WHERE host_id LIKE 'loadgen-%'";
/// How long the end of a backlog may take.
const DRAIN_SECONDS: u64 = 300;
/// Rises by one with each report of the played fleet, and by more with a new epoch of it.
pub const PLAYED: &str =
    "SELECT CAST(COALESCE(SUM(last_epoch + last_seq), 0) AS SIGNED) FROM hosts WHERE host_id LIKE 'loadgen-%'";

/// What stands in the room.
pub struct Plan {
    pub brokers: u16,
    pub backends: usize,
    pub consumers: usize,
    pub collectors: usize,
    /// Played hosts, the containers of each, and the distance of their reports.
    pub hosts: u32,
    pub containers: u32,
    pub interval_ms: u32,
    /// 1 is as soon as a quarter of an hour is over; then nobody knows any more when a report came.
    pub seal_after_seconds: u32,
    /// How long the played fleet waits for Kafka's acknowledgement.
    pub delivery_seconds: u64,
    /// A SQLite file in place of a MariaDB; one backend only.
    pub sqlite: Option<PathBuf>,
    /// Spools in place of those in the scratch folder.
    pub spools: Option<PathBuf>,
    /// More variables of a program, by its instance (`consumer-1`).
    pub variables: Vec<(&'static str, &'static str, String)>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            brokers: 1,
            backends: 1,
            consumers: 1,
            collectors: 1,
            hosts: 40,
            containers: 10,
            interval_ms: 1_000,
            seal_after_seconds: 1,
            delivery_seconds: 120,
            sqlite: None,
            spools: None,
            variables: Vec::new(),
        }
    }
}

/// Services first, so that they are dropped last.
pub struct Room {
    pub backends: Vec<Process>,
    pub consumers: Vec<Process>,
    pub collectors: Vec<Process>,
    pub loadgen: Process,
    pub site: Site,
}

/// What does not change when programs come and go.
pub struct Site {
    pub followers: Vec<Follower>,
    pauses: Pauses,
    /// Hops, by broker or backend.
    pub to_kafka: Vec<Proxy>,
    pub from_kafka: Vec<Proxy>,
    pub to_backend: Vec<Proxy>,
    pub to_database: Option<Proxy>,
    pub database: Database,
    pub apis: Vec<Api>,
    pub topic: String,
    addresses: Vec<String>,
    plan: Plan,
    folder: TempDir,
    pub mariadb: Option<MariaDb>,
    pub kafka: Cluster,
}

impl Room {
    /// Everything runs, and reports flow.
    pub async fn open(plan: Plan) -> Room {
        let site = Site::open(plan).await;
        let backends: Vec<Process> = (0..site.plan.backends).map(|index| site.start_backend(index)).collect();
        within(60, "the backends answer", async || {
            for api in &site.apis {
                api.try_get("catalog", &[]).await?;
            }
            Some(())
        })
        .await;
        set_thresholds(&site.apis[0]).await;
        let consumers = (0..site.plan.consumers).map(|index| site.start_consumer(index)).collect();
        let collectors = (0..site.plan.collectors).map(|index| site.start_collector(index)).collect();
        let loadgen = site.start_loadgen();
        let mut room = Room { backends, consumers, collectors, loadgen, site };
        room.site.follow();
        room.flow().await;
        room
    }

    /// Waits until reports of the whole fleet arrive in the store, three times over, and of every collector.
    pub async fn flow(&mut self) {
        self.loadgen.assert_runs();
        self.site.flow().await;
    }

    /// Ends the sources, lets everything arrive, compares, and prints the row. Fails when anything is wrong.
    pub async fn prove(mut self, fault: &str) -> Value {
        // what ends here on purpose is no pause
        let longest_pause = self.site.pauses.end();
        for source in self.collectors.iter_mut().chain([&mut self.loadgen]) {
            let (status, _) = source.terminate(Duration::from_secs(self.site.plan.delivery_seconds + 30)).await;
            assert!(status.success(), "{status}");
        }
        self.site.drained().await;
        let verdict = proof::check(&self.site).await;
        println!("{}", proof::row(fault, &verdict, longest_pause));
        println!("{verdict}");
        println!("loadgen: {}", self.loadgen.stdout().trim());
        if verdict["wrong"] != 0 {
            self.site.folder.disable_cleanup(true);
            panic!(
                "{fault}: {} findings must not be; journals, logs and records stay in {}",
                verdict["wrong"],
                self.site.folder.path().display()
            );
        }
        assert_eq!(verdict["violations"]["hosts_not_judged"], 0, "{verdict}");
        assert!(verdict["violations"]["stored"].as_u64() > Some(50), "a comparison of few violations means little");
        for process in self.consumers.iter_mut().chain(&mut self.backends) {
            let (status, took) = process.terminate(Duration::from_secs(15)).await;
            assert!(status.success(), "{status} after {took:?}");
        }
        verdict
    }
}

impl Site {
    async fn open(plan: Plan) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let kafka = Cluster::start(plan.brokers);
        let to_kafka = proxies(&kafka.doors(Door::Sources)).await;
        let from_kafka = proxies(&kafka.doors(Door::Readers)).await;
        let topic = unique("chaos");
        let (mariadb, database, to_database) = match &plan.sqlite {
            Some(file) => (None, Database::in_file(file), None),
            None => {
                let server = MariaDb::start();
                let database = Database::create_on(&format!("mysql://root@{}/test", server.address), "chaos").await;
                let proxy = Proxy::start(any_port(), server.address).await;
                (Some(server), database, Some(proxy))
            }
        };
        let addresses: Vec<String> = (0..plan.backends).map(|_| free_address()).collect();
        let apis = addresses.iter().map(|address| Api::new(address)).collect();
        let to_backend =
            proxies(&addresses.iter().map(|address| (any_port(), address.parse().unwrap())).collect::<Vec<_>>()).await;
        let pauses = Pauses::watch(&database);
        let followers = Vec::new();
        Site {
            followers,
            pauses,
            to_kafka,
            from_kafka,
            to_backend,
            to_database,
            database,
            apis,
            topic,
            addresses,
            plan,
            folder,
            mariadb,
            kafka,
        }
    }

    pub fn start_backend(&self, index: usize) -> Process {
        let url = match (&self.to_database, &self.mariadb) {
            (Some(proxy), Some(server)) => self.database.url.replace(&server.address.to_string(), &proxy.address.to_string()),
            _ => self.database.url.clone(),
        };
        let variables = [
            ("DATABASE_URL", url),
            ("LISTEN_ADDR", self.addresses[index].clone()),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
            ("SEAL_AFTER_SECONDS", self.plan.seal_after_seconds.to_string()),
        ];
        self.start("api-backend", index, &variables, &[])
    }

    pub fn start_consumer(&self, index: usize) -> Process {
        let backend = &self.to_backend[index % self.to_backend.len()];
        let variables = [
            ("BOOTSTRAP_SERVER", servers(&self.from_kafka)),
            ("KAFKA_TOPIC_NAME", self.topic.clone()),
            ("KAFKA_CONSUMER_GROUP_ID", self.group()),
            ("API_BASE_URL", format!("http://{}", backend.address)),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
        ];
        self.start("consumer", index, &variables, &[])
    }

    pub fn start_collector(&self, index: usize) -> Process {
        let name = collector(index);
        let spools = self.plan.spools.as_deref().unwrap_or(self.folder.path());
        let variables = [
            ("BOOTSTRAP_SERVER", servers(&self.to_kafka)),
            ("KAFKA_TOPIC_NAME", self.topic.clone()),
            ("COLLECT_INTERVAL_MS", "500".to_owned()),
            ("HOST_ID", name.clone()),
            ("HOST_NAME", name.clone()),
            ("DOCKER_HOST", "unix:///no/engine".to_owned()),
            ("SPOOL_DIR", spools.join(format!("spool-{name}")).display().to_string()),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
        ];
        self.start("collector", index, &variables, &[])
    }

    pub fn start_loadgen(&self) -> Process {
        let plan = &self.plan;
        let variables = [("BOOTSTRAP_SERVER", servers(&self.to_kafka)), ("KAFKA_TOPIC_NAME", self.topic.clone())];
        let arguments = [
            "play".to_owned(),
            format!("--hosts={}", plan.hosts),
            format!("--containers={}", plan.containers),
            format!("--interval-ms={}", plan.interval_ms),
            format!("--delivery-seconds={}", plan.delivery_seconds),
            "--churn=0.05".to_owned(),
            format!("--seed={}", fastrand::u64(..)),
            journal(&self.file("journal")),
        ];
        self.start("loadgen", 0, &variables, &arguments)
    }

    fn start(&self, program: &str, index: usize, variables: &[(&str, String)], arguments: &[String]) -> Process {
        let instance = format!("{program}-{}", index + 1);
        let folder = self.folder.path().join(&instance);
        std::fs::create_dir_all(&folder).unwrap();
        let own = self.plan.variables.iter().filter(|(of, _, _)| *of == instance).map(|(_, name, value)| (*name, value.clone()));
        let variables: Vec<_> = variables.iter().cloned().chain(own).collect();
        Process::start(program, &folder, &variables, arguments)
    }

    /// One that stays, and one that often leaves, on every backend in turn.
    fn follow(&mut self) {
        let record = |name: &str| self.file(&format!("events-{name}"));
        let mut apis = self.apis.clone();
        let steady = Follower::start(apis.clone(), record("steady"), Patience::Endless);
        apis.reverse();
        let fickle = Follower::start(apis, record("fickle"), Patience::AtMost(Duration::from_secs(6)));
        self.followers = vec![steady, fickle];
    }

    /// Waits until three reports of each played host, in the mean, and one of every collector arrive.
    pub async fn flow(&self) {
        let before = self.played().await.unwrap_or_default();
        let wanted = before + 3 * i64::from(self.plan.hosts);
        within(FLOW_SECONDS, "reports flow", async || (self.played().await? >= wanted).then_some(())).await;
        for index in 0..self.plan.collectors {
            let before = self.collected(index).await.unwrap_or_default();
            let newer = async || (self.collected(index).await? > before).then_some(());
            within(FLOW_SECONDS, "reports of a collector flow", newer).await;
        }
    }

    /// Rises with every stored report of the played fleet.
    pub async fn played(&self) -> Option<i64> {
        self.database.try_number(PLAYED).await
    }

    /// Rises when the played host that is furthest behind moves on.
    pub async fn slowest(&self) -> Option<i64> {
        self.database.try_number(SLOWEST).await
    }

    /// Epoch and number of a collector's newest stored report.
    pub async fn collected(&self, index: usize) -> Option<(i64, i64)> {
        self.database.position(&collector(index)).await
    }

    /// Waits until the group has committed all there is.
    async fn drained(&self) {
        let drained = async || (end_to_end::kafka::lag(&self.kafka.servers(), &self.topic, &self.group()) == 0).then_some(());
        within(DRAIN_SECONDS, "the consumers have caught up", drained).await;
    }

    fn group(&self) -> String {
        format!("{}-group", self.topic)
    }

    /// A file of the room.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn collector(index: usize) -> String {
    format!("collector-{}", index + 1)
}

async fn proxies(doors: &[(SocketAddr, SocketAddr)]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for (listen, upstream) in doors {
        proxies.push(Proxy::start(*listen, *upstream).await);
    }
    proxies
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn servers(proxies: &[Proxy]) -> String {
    proxies.iter().map(|proxy| proxy.address.to_string()).collect::<Vec<_>>().join(",")
}

/// Rules that a wandering fleet violates all the time, with and without a wait, on machines and devices, overriding one another.
async fn set_thresholds(api: &Api) {
    let rules = [
        ("host", "system.cpu.utilization", None, "above", 0.5, 0.45, 0, "info"),
        ("host", "system.cpu.utilization", None, "above", 0.6, 0.4, 2, "critical"),
        ("host", "system.memory.utilization", None, "below", 0.5, 0.51, 2, "info"),
        ("host", "system.filesystem.utilization", None, "above", 0.5, 0.499, 10, "info"),
        ("host", "system.filesystem.utilization", Some("/"), "above", 0.4, 0.4, 0, "info"),
        ("host", "system.network.receive", Some("eth0"), "above", 45e6, 40e6, 10, "critical"),
        ("container", "container.cpu.usage", None, "above", 1.2, 0.8, 10, "warning"),
        ("container", "container.memory.utilization", None, "above", 0.6, 0.58, 2, "info"),
        ("container", "container.process.count", None, "below", 20.0, 25.0, 0, "info"),
    ];
    for (kind, metric, device, direction, value, recovery_value, for_seconds, severity) in rules {
        let rule = json!({
            "scope": {"kind": kind}, "metric": metric, "device": device, "direction": direction, "value": value,
            "recovery_value": recovery_value, "for_seconds": for_seconds, "severity": severity,
        });
        api.create("thresholds", &rule).await;
    }
}
