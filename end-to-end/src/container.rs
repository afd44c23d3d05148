//! A real container on the engine of the tests.

use std::process::Command;

use crate::{service, unique};

/// What the engine of the tests has: Debian's static busybox.
const IMAGE: &str = "test/busybox";

/// Removed when it is dropped.
pub struct Container {
    /// Its name on the engine.
    pub name: String,
}

impl Container {
    /// Runs `script` in a new container with this much memory.
    pub fn run(name: &str, memory_bytes: u64, script: &str) -> Container {
        Container::run_as(&unique(name), &[&format!("--memory={memory_bytes}")], script)
    }

    /// Runs `script` in a new container of exactly this name, with these options of `docker run`.
    pub fn run_as(name: &str, options: &[&str], script: &str) -> Container {
        docker(&[&["run", "--detach", "--name", name], options, &[IMAGE, "sh", "-c", script]].concat());
        Container { name: name.to_owned() }
    }

    /// A command of the docker client on it: `start`, `stop`, `rm --force`.
    pub fn command(&self, words: &str) {
        docker(&words.split(' ').chain([self.name.as_str()]).collect::<Vec<_>>());
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &str) {
        docker(&["rename", &self.name, name]);
        name.clone_into(&mut self.name);
    }

    /// Runs a script in it and waits for its end.
    pub fn execute(&self, script: &str) {
        docker(&["exec", &self.name, "sh", "-c", script]);
    }

    /// Keeps one CPU busy in it for so long.
    pub fn burn_cpu(&self, seconds: u32) {
        let seconds = seconds.to_string();
        docker(&["exec", "--detach", &self.name, "timeout", &seconds, "sh", "-c", "while :; do :; done"]);
    }

    /// One value of `docker stats`, as it prints it.
    pub fn stats(&self, field: &str) -> String {
        docker(&["stats", "--no-stream", "--format", &format!("{{{{.{field}}}}}"), &self.name])
    }

    /// One value of `docker inspect`, by its template (`.Config.Image`).
    pub fn inspect(&self, field: &str) -> String {
        docker(&["inspect", "--format", &format!("{{{{{field}}}}}"), &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let removed = engine(&["rm", "--force", &self.name]).output();
        if !removed.is_ok_and(|output| output.status.success()) {
            eprintln!("the container {} could not be removed", self.name);
        }
    }
}

/// The engine's address.
pub fn docker_host() -> String {
    service("TEST_DOCKER_HOST", "docker-engine")
}

fn engine(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).env("DOCKER_HOST", docker_host()).env("DOCKER_CONTEXT", "");
    command
}

fn docker(arguments: &[&str]) -> String {
    let output = engine(arguments).output().expect("the docker client is installed (scripts/services/docker-engine does it)");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A size as docker prints it: `1.5MiB`.
pub fn parse_size(text: &str) -> f64 {
    let digits = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("\"{other}\" is no unit of docker's"),
    };
    text[..digits].trim().parse::<f64>().unwrap() * factor
}
