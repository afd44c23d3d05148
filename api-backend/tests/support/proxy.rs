//! A TCP proxy between a backend and its database that can be told to misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Connections stand and carry nothing.
    Stalled,
    /// Connections end, and none is made.
    Closed,
    /// The connection ends where a COMMIT should have reached the database.
    CutBeforeCommit,
    /// A COMMIT still reaches the database, and the connection ends in place of its answer.
    CutAfterCommit,
}

#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
    /// Commits that were cut off, before or after.
    pub cut_commits: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn before(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            way: Arc::new(watch::Sender::new(Way::Open)),
            cut_commits: Arc::default(),
        };
        let all = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let one = all.clone();
                tokio::spawn(async move {
                    if *one.way.borrow() != Way::Closed
                        && let Ok(upstream) = TcpStream::connect(server).await
                    {
                        one.carry(client, upstream).await;
                    }
                });
            }
        });
        proxy
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    async fn carry(&self, client: TcpStream, upstream: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_upstream, to_upstream) = upstream.into_split();
        let committed = AtomicBool::new(false);
        let asks = |bytes: &[u8], way: Way| {
            let commits = bytes.ends_with(b"COMMIT");
            committed.store(commits && way == Way::CutAfterCommit, Ordering::Relaxed);
            !(commits && way == Way::CutBeforeCommit)
        };
        let answers = |_: &[u8], _: Way| !committed.load(Ordering::Relaxed);
        // whichever ends first, the connection ends
        let was_cut = tokio::select! {
            was_cut = self.pass(from_client, to_upstream, asks) => was_cut,
            was_cut = self.pass(from_upstream, to_client, answers) => was_cut,
        };
        self.cut_commits.fetch_add(usize::from(was_cut), Ordering::Relaxed);
    }

    /// Until either side ends, or `may_pass` says no: then true.
    async fn pass(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        may_pass: impl Fn(&[u8], Way) -> bool,
    ) -> bool {
        let mut way = self.way.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                _ = way.wait_for(|way| *way == Way::Closed) => return false,
                read = from.read(&mut buffer) => read,
            };
            let Ok(n @ 1..) = read else { return false };
            let Ok(now) = way.wait_for(|way| *way != Way::Stalled).await.map(|way| *way) else { return false };
            if !may_pass(&buffer[..n], now) {
                return true;
            }
            if to.write_all(&buffer[..n]).await.is_err() {
                return false;
            }
        }
    }
}
