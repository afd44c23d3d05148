//! One of the product's programs, running.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Of the log, when a test fails.
const SHOWN_LINES: usize = 40;

/// Ends when it is dropped; its log is shown if the test is failing then.
pub struct Process {
    name: String,
    child: Child,
    folder: PathBuf,
}

impl Process {
    /// Starts a program of this workspace in `folder`, with these variables and no others. Its log goes to `NAME.log` there.
    pub fn start(name: &str, folder: &Path, variables: &[(&str, String)], arguments: &[String]) -> Process {
        let open = |suffix: &str| {
            let path = folder.join(format!("{name}.{suffix}"));
            std::fs::File::options().create(true).append(true).open(path).unwrap()
        };
        let child = Command::new(program(name))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(variables.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(open("out"))
            .stderr(open("log"))
            .spawn()
            .unwrap();
        Process { name: name.to_owned(), child, folder: folder.to_owned() }
    }

    /// Id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it stands still until [`Process::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGTERM; returns how it ended and how long that took.
    pub async fn terminate(&mut self, within: Duration) -> (ExitStatus, Duration) {
        self.signal(Signal::TERM);
        self.ended(within).await
    }

    /// Waits for the end.
    pub async fn ended(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let began_at = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began_at.elapsed());
            }
            assert!(began_at.elapsed() < within, "{} did not end within {within:?}", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it still runs; a service that ended on its own is a failure that is better seen at once.
    pub fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended on its own: {ended:?}", self.name);
    }

    /// What it wrote to stdout.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.join(format!("{}.out", self.name))).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may have ended
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = std::fs::read(self.folder.join(format!("{}.log", self.name))).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("== last lines of {}\n{}", self.name, lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
        }
    }
}

/// The programs stand beside the folder of the test's own executable.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path
}

/// An address on loopback that is free now.
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
