//! What the consumer refuses to start with, seen from outside: the exit code and the variable's name.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::process::{Command, Output};

/// Lets the consumer read its configuration, and no more, with nothing in its environment but the broker and these settings.
fn consumer(settings: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
    command.env_clear().env("BOOTSTRAP_SERVER", "127.0.0.1:1").env("ADMIN_LISTEN_ADDR", "off");
    command.envs(settings.iter().copied()).args(flags).arg("--healthcheck").output().unwrap()
}

#[test]
fn a_wrong_configuration_stops_with_78_and_the_variables_name() {
    let check = |settings: &[(&str, &str)], variable: &str| {
        let output = consumer(settings, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{settings:?}: {error}");
        assert!(error.starts_with(&format!("configuration error: {variable}: ")), "{settings:?}: {error}");
        assert!(!error.contains("hush"), "no secret in {error}");
    };
    check(&[("BOOTSTRAP_SERVER", "")], "BOOTSTRAP_SERVER");
    check(&[("BOOTSTRAP_SERVER", "kafka")], "BOOTSTRAP_SERVER");
    check(&[("KAFKA_TOPIC_NAME", "server metrics")], "KAFKA_TOPIC_NAME");
    check(&[("KAFKA_TOPIC_PARTITIONS", "0")], "KAFKA_TOPIC_PARTITIONS");
    check(&[("KAFKA_CONSUMER_GROUP_ID", "")], "KAFKA_CONSUMER_GROUP_ID");
    check(&[("KAFKA_SECURITY_PROTOCOL", "tls")], "KAFKA_SECURITY_PROTOCOL");
    check(&[("KAFKA_SECURITY_PROTOCOL", "sasl_ssl")], "KAFKA_SASL_MECHANISM");
    check(&[("KAFKA_SASL_PASSWORD", "hush")], "KAFKA_SASL_PASSWORD");
    let sasl = [("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext"), ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-1")];
    check(&sasl, "KAFKA_SASL_MECHANISM");
    let ssl = [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SSL_CA_LOCATION", "/no/such/file")];
    check(&ssl, "KAFKA_SSL_CA_LOCATION");
    check(&[("API_BASE_URL", "http://user:hush@backend:8004")], "API_BASE_URL");
    check(&[("API_BASE_URL", "backend:8004")], "API_BASE_URL");
    check(&[("INGEST_TOKEN", "")], "INGEST_TOKEN");
    check(&[("INGEST_TOKEN", "hush hush")], "INGEST_TOKEN");
    check(&[("INGEST_TOKEN", "hüsh-hush")], "INGEST_TOKEN");
    check(&[("INGEST_TOKEN_FILE", "/no/such/file")], "INGEST_TOKEN_FILE");
    check(&[("INGEST_TOKEN_FILE", "/dev/null")], "INGEST_TOKEN_FILE");
    check(&[("INGEST_TOKEN", "hush"), ("INGEST_TOKEN_FILE", "/dev/null")], "INGEST_TOKEN_FILE");
    check(&[("ADMIN_LISTEN_ADDR", "localhost")], "ADMIN_LISTEN_ADDR");
}

#[test]
fn a_flag_wins_over_the_file_of_its_secret() {
    let file = [("INGEST_TOKEN_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))];
    for flags in [&["--ingest-token=hush"][..], &["--ingest-token", "hush"]] {
        let output = consumer(&file, flags);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "not ready: ADMIN_LISTEN_ADDR is off\n", "{flags:?}");
    }
}
