//! What every Kafka client here is configured with, and the topics that must exist.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use secrecy::{ExposeSecret, SecretString};

pub use crate::complaints::Complaints;
use crate::{ConfigError, Shutdown, backoff};

const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
const CREATE_TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// "The cluster's default replication" in a CreateTopics request (KIP-464).
const DEFAULT_REPLICATION: i32 = -1;
/// What Kafka allows in a topic's name, with room for `.dlq`.
const TOPIC_NAME_CHARS: usize = 245;

/// How to reach the cluster, and the topic of reports.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaConfig {
    /// Kafka's bootstrap servers, as `host:port,host:port`
    #[arg(long, env, value_parser = parse_bootstrap_server)]
    pub bootstrap_server: String,
    /// Topic of reports; its dead letters go to the same name with `.dlq`
    #[arg(long, env, default_value = "server-metrics", value_parser = parse_topic_name)]
    pub kafka_topic_name: String,
    /// Partitions of the topic when it has to be created
    #[arg(long, env, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub kafka_topic_partitions: i32,
    /// How to talk to the brokers
    #[arg(long, env, default_value = "plaintext", ignore_case = true)]
    pub kafka_security_protocol: SecurityProtocol,
    /// SASL mechanism
    #[arg(long, env, ignore_case = true)]
    pub kafka_sasl_mechanism: Option<SaslMechanism>,
    /// SASL user
    #[arg(long, env)]
    pub kafka_sasl_username: Option<String>,
    /// SASL password
    #[arg(long, env, hide_env_values = true)]
    pub kafka_sasl_password: Option<SecretString>,
    /// PEM file of the authority that signed the brokers' certificates
    #[arg(long, env)]
    pub kafka_ssl_ca_location: Option<String>,
    /// PEM file of this client's certificate
    #[arg(long, env)]
    pub kafka_ssl_certificate_location: Option<String>,
    /// PEM file of this client's key
    #[arg(long, env)]
    pub kafka_ssl_key_location: Option<String>,
    /// Password of this client's key
    #[arg(long, env, hide_env_values = true)]
    pub kafka_ssl_key_password: Option<SecretString>,
}

/// `security.protocol` of Kafka's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// `sasl.mechanism` of Kafka's clients, as far as librdkafka is built with them here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SaslMechanism {
    /// User and password as they are.
    #[value(name = "PLAIN")]
    Plain,
    /// Proof of the password with SHA-256.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Proof of the password with SHA-512.
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SecurityProtocol {
    fn uses_sasl(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }

    fn uses_tls(self) -> bool {
        matches!(self, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
    }
}

impl KafkaConfig {
    /// What only several fields together can tell, and whether the files are there.
    pub fn check(&self) -> Result<(), ConfigError> {
        let sasl = [
            ("KAFKA_SASL_MECHANISM", self.kafka_sasl_mechanism.is_some()),
            ("KAFKA_SASL_USERNAME", self.kafka_sasl_username.is_some()),
            ("KAFKA_SASL_PASSWORD", self.kafka_sasl_password.is_some()),
        ];
        let files = [
            ("KAFKA_SSL_CA_LOCATION", &self.kafka_ssl_ca_location),
            ("KAFKA_SSL_CERTIFICATE_LOCATION", &self.kafka_ssl_certificate_location),
            ("KAFKA_SSL_KEY_LOCATION", &self.kafka_ssl_key_location),
        ];
        let protocol = self.kafka_security_protocol;
        let key_password = ("KAFKA_SSL_KEY_PASSWORD", self.kafka_ssl_key_password.is_some());
        let tls = files.iter().map(|(variable, path)| (*variable, path.is_some())).chain([key_password]);
        let unused = sasl.into_iter().filter(|_| !protocol.uses_sasl()).chain(tls.filter(|_| !protocol.uses_tls()));
        // someone believes the connection to be safer than it is
        if let Some((variable, _)) = unused.into_iter().find(|(_, is_set)| *is_set) {
            let problem = format!("is set, and KAFKA_SECURITY_PROTOCOL={} does not use it", name_of(protocol));
            return Err(ConfigError::new(variable, problem));
        }
        if let Some((variable, _)) = sasl.into_iter().find(|(_, is_set)| protocol.uses_sasl() && !is_set) {
            return Err(ConfigError::new(variable, "is required by KAFKA_SECURITY_PROTOCOL"));
        }
        for (variable, path) in files {
            let Some(path) = path else { continue };
            open_file(path).map_err(|error| ConfigError::new(variable, format!("cannot read the file \"{path}\": {error}")))?;
        }
        Ok(())
    }

    /// The configuration that all producers start from: what is acknowledged is in the log, in the order in which it was given.
    ///
    /// One request at a time, because the next one is then not sent before this one was answered; and not idempotent, because that lets
    /// librdkafka take a batch for stored when the one behind it was: at a new topic, whose broker is not ready at the first request and
    /// accepts the second one although its sequence does not begin at 0, the first reports were lost that way
    /// (confluentinc/confluent-kafka-go#921). What is written twice after a lost answer, its reader knows by its name.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = self.client_config();
        config.set("acks", "all").set("enable.idempotence", "false").set("max.in.flight.requests.per.connection", "1");
        config
    }

    /// The client configuration that all clients start from.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_server)
            .set("client.id", "server-monitoring")
            .set("reconnect.backoff.max.ms", "2000")
            // a topic is made with its own settings, never with the cluster's defaults by asking for it
            .set("allow.auto.create.topics", "false")
            // a broker that hangs is given up after this time; the default is a minute
            .set("socket.timeout.ms", "20000")
            .set_log_level(RDKafkaLogLevel::Warning);
        config.set("security.protocol", name_of(self.kafka_security_protocol));
        if let Some(mechanism) = self.kafka_sasl_mechanism {
            config.set("sasl.mechanism", name_of(mechanism));
        }
        let texts = [
            ("sasl.username", &self.kafka_sasl_username),
            ("ssl.ca.location", &self.kafka_ssl_ca_location),
            ("ssl.certificate.location", &self.kafka_ssl_certificate_location),
            ("ssl.key.location", &self.kafka_ssl_key_location),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                config.set(key, value);
            }
        }
        for (key, value) in [("sasl.password", &self.kafka_sasl_password), ("ssl.key.password", &self.kafka_ssl_key_password)] {
            if let Some(value) = value {
                config.set(key, value.expose_secret());
            }
        }
        config
    }

    /// Name of the dead-letter topic.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dlq", self.kafka_topic_name)
    }
}

/// A topic that must exist.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Partitions, if it has to be created.
    pub partitions: i32,
    /// Largest message, if it has to be created.
    pub max_message_bytes: usize,
}

/// Waits until all topics exist: looks, creates what is missing, says why it cannot, and tries again until shutdown.
///
/// `Ok(false)` when the shutdown came first.
pub async fn ensure_topics(kafka: &KafkaConfig, topics: &[Topic], shutdown: &Shutdown) -> anyhow::Result<bool> {
    for wait in backoff(FIRST_RETRY, LONGEST_RETRY) {
        match create_missing(kafka, topics).await {
            Ok(true) => return Ok(true),
            // just created: looked for again, because not every broker knows it at once
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), retry_ms = wait.as_millis(), "Kafka's topics are not there yet");
            }
        }
        tokio::select! {
            () = shutdown.requested() => return Ok(false),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(false)
}

/// Whether all topics were there already; those that were not are created.
async fn create_missing(kafka: &KafkaConfig, topics: &[Topic]) -> anyhow::Result<bool> {
    let config = kafka.client_config();
    let wanted = topics.to_vec();
    let missing = tokio::task::spawn_blocking(move || missing_topics(&config, wanted)).await.context("ask for the topics")??;
    if missing.is_empty() {
        return Ok(true);
    }
    let admin = AdminClient::from_config_and_context(&kafka.client_config(), Complaints::default());
    let admin: AdminClient<Complaints> = admin.context("create a Kafka admin client")?;
    let limits: Vec<String> = missing.iter().map(|topic| topic.max_message_bytes.to_string()).collect();
    let new = missing.iter().zip(&limits).map(|(topic, limit)| {
        NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(DEFAULT_REPLICATION)).set("max.message.bytes", limit)
    });
    let options = AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
    for result in admin.create_topics(&new.collect::<Vec<_>>(), &options).await.context("ask Kafka to create the topics")? {
        match result {
            Ok(name) => tracing::info!(topic = name, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)) => {
                return Err(anyhow!(
                    "the topic {name} does not exist and the cluster forbids this client to create it: create it there"
                ));
            }
            Err((name, code)) => return Err(anyhow!("the topic {name} does not exist and cannot be created: {code}")),
        }
    }
    Ok(false)
}

/// Asked as a consumer: a producer's question would make brokers with automatic creation create the topic.
fn missing_topics(config: &ClientConfig, wanted: Vec<Topic>) -> anyhow::Result<Vec<Topic>> {
    let mut config = config.clone();
    config.set("group.id", "server-monitoring-topics");
    let client: BaseConsumer<_> = config.create_with_context(Complaints::default()).context("create a Kafka client")?;
    let mut missing = Vec::new();
    for topic in wanted {
        let metadata = client.fetch_metadata(Some(&topic.name), METADATA_TIMEOUT).context("ask Kafka for its topics")?;
        let exists = metadata
            .topics()
            .iter()
            .any(|found| found.name() == topic.name && found.error().is_none() && !found.partitions().is_empty());
        if !exists {
            missing.push(topic);
        }
    }
    Ok(missing)
}

fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().expect("no variant is skipped").get_name().to_owned()
}

/// Opens a file as librdkafka would: one that is there and may not be read is as bad as none.
fn open_file(path: &str) -> io::Result<()> {
    if std::fs::File::open(path)?.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

fn parse_bootstrap_server(text: &str) -> Result<String, String> {
    for server in text.split(',') {
        let port = server.trim().rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| u16::from_str(port));
        if !matches!(port, Some(Ok(port)) if port > 0) {
            return Err(format!("\"{server}\" is not host:port"));
        }
    }
    Ok(text.to_owned())
}

fn parse_topic_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > TOPIC_NAME_CHARS || !text.chars().all(allowed) || text == "." || text == ".." {
        return Err(format!("a topic's name has 1 to {TOPIC_NAME_CHARS} letters, digits, '.', '_' or '-'"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Client {
        #[command(flatten)]
        kafka: KafkaConfig,
    }

    /// What `check` says, or what clap says before it.
    fn problem_of(flags: &[&str]) -> Option<String> {
        let flags = [&["client", "--bootstrap-server=127.0.0.1:1"], flags].concat();
        match Client::try_parse_from(flags) {
            Ok(client) => client.kafka.check().err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    const SASL: [&str; 3] = ["--kafka-sasl-mechanism=scram-sha-512", "--kafka-sasl-username=a", "--kafka-sasl-password=hush"];
    const THIS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kafka.rs");

    #[test]
    fn what_the_protocol_does_not_use_is_refused_by_name() {
        let ca = format!("--kafka-ssl-ca-location={THIS_FILE}");
        for (protocol, sasl, tls) in
            [("plaintext", false, false), ("ssl", false, true), ("sasl_plaintext", true, false), ("SASL_SSL", true, true)]
        {
            let protocol = format!("--kafka-security-protocol={protocol}");
            let own: &[&str] = if sasl { &SASL } else { &[] };
            assert_eq!(problem_of(&[&[protocol.as_str()], own].concat()), None, "{protocol}");
            let others =
                [(&*ca, "KAFKA_SSL_CA_LOCATION: ", tls), ("--kafka-ssl-key-password=hush", "KAFKA_SSL_KEY_PASSWORD: ", tls)];
            for (flag, variable, used) in others {
                let problem = problem_of(&[&[protocol.as_str(), flag], own].concat());
                assert_eq!(problem.is_none(), used, "{protocol} {flag}: {problem:?}");
                assert!(problem.is_none_or(|problem| problem.starts_with(variable) && !problem.contains("hush")));
            }
            for (flag, variable) in SASL.iter().zip(["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"]) {
                let problem = problem_of(&[&protocol, flag]).unwrap();
                assert!(sasl || problem.starts_with(&format!("{variable}: is set")), "{protocol} {flag}: {problem}");
                assert!(!sasl || problem.ends_with("is required by KAFKA_SECURITY_PROTOCOL"), "{protocol} {flag}: {problem}");
            }
        }
    }

    #[test]
    fn files_must_be_there_and_be_files() {
        let flags = ["--kafka-ssl-ca-location", "--kafka-ssl-certificate-location", "--kafka-ssl-key-location"];
        for (flag, variable) in
            flags.iter().zip(["KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"])
        {
            for (path, ok) in [(THIS_FILE, true), ("/no/such/file", false), (env!("CARGO_MANIFEST_DIR"), false)] {
                let problem = problem_of(&["--kafka-security-protocol=ssl", &format!("{flag}={path}")]);
                assert_eq!(problem.is_none(), ok, "{flag}={path}: {problem:?}");
                assert!(problem.is_none_or(|problem| problem.starts_with(&format!("{variable}: cannot read the file"))));
            }
        }
    }

    #[test]
    fn mechanisms_are_those_that_librdkafka_knows() {
        for mechanism in SaslMechanism::value_variants() {
            let client: Result<BaseConsumer, _> = ClientConfig::new()
                .set("bootstrap.servers", "127.0.0.1:1")
                .set("security.protocol", "sasl_plaintext")
                .set("sasl.mechanism", name_of(*mechanism))
                .set("sasl.username", "user")
                .set("sasl.password", "password")
                .create();
            assert!(client.is_ok(), "{mechanism:?}: {:?}", client.err());
        }
        let flags = ["--kafka-security-protocol=sasl_plaintext", "--kafka-sasl-mechanism=SCRAM-SHA-1"];
        assert!(problem_of(&flags).unwrap().contains("[possible values: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]"));
    }

    #[test]
    fn bootstrap_servers_are_hosts_with_ports() {
        for (text, ok) in [
            ("a:9092", true),
            ("a:9092,[::1]:9093", true),
            ("a", false),
            ("a:", false),
            (":9092", false),
            ("a:0", false),
            ("a:9092,", false),
        ] {
            assert_eq!(parse_bootstrap_server(text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn topic_names_are_kafkas() {
        for (text, ok) in [("server-metrics", true), ("a.b_c", true), ("", false), ("a b", false), ("..", false)] {
            assert_eq!(parse_topic_name(text).is_ok(), ok, "{text}");
        }
        assert!(parse_topic_name(&"x".repeat(TOPIC_NAME_CHARS)).is_ok());
        assert!(parse_topic_name(&"x".repeat(TOPIC_NAME_CHARS + 1)).is_err());
    }
}
