//! What a network does to two programs that talk: a TCP proxy on loopback between them, told what to do while they talk.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// On their way in one direction.
const CHUNKS: usize = 64;

/// What becomes of connections and their bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    /// They pass.
    Clear,
    /// Everything comes so much later, in both directions.
    Delay(Duration),
    /// So many bytes a second and direction.
    Rate(u32),
    /// Connections are made, and nothing passes any more.
    Stall,
    /// New connections are reset at once.
    Refuse,
}

#[derive(Clone, Copy, PartialEq)]
struct State {
    weather: Weather,
    /// Rises with every cut: connections of a lower one end.
    cuts: u64,
}

/// Ends with all its connections when it is dropped.
pub struct Proxy {
    /// Where to connect to.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// From `listen` (port 0: any) to `upstream`.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(listen).await.unwrap_or_else(|error| panic!("listen on {listen}: {error}"));
        let address = listener.local_addr().unwrap();
        let (state, watch) = watch::channel(State { weather: Weather::Clear, cuts: 0 });
        Proxy { address, state, task: tokio::spawn(accept(listener, upstream, watch)) }
    }

    /// From now on, also for the connections that are there.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Ends all connections that are there, with a reset.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, state: watch::Receiver<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // out of file descriptors: others end
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        if state.borrow().weather == Weather::Refuse {
            reset(client);
            continue;
        }
        let state = state.clone();
        // a proxy that is dropped drops the sender, and that ends the connections
        tokio::spawn(async move {
            match TcpStream::connect(upstream).await {
                Ok(server) => connect(client, server, state).await,
                Err(_) => reset(client),
            }
        });
    }
}

async fn connect(client: TcpStream, server: TcpStream, mut state: watch::Receiver<State>) {
    // what is small is not to wait for more
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let cuts = state.borrow().cuts;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (forth, back) = (state.clone(), state.clone());
    let both = async {
        tokio::join!(pass(&mut from_client, &mut to_server, forth), pass(&mut from_server, &mut to_client, back));
    };
    tokio::select! {
        () = both => return,
        // an error: the proxy is gone
        _ = state.wait_for(|state| state.cuts > cuts) => {}
    }
    for (read, write) in [(from_client, to_client), (from_server, to_server)] {
        if let Ok(stream) = read.reunite(write) {
            reset(stream);
        }
    }
}

/// Until one side ends: the end is passed on, too. What is on its way is bounded, as in a network.
async fn pass(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, state: watch::Receiver<State>) {
    let (sender, mut on_its_way) = mpsc::channel(CHUNKS);
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length) = from.read(&mut chunk).await {
            // an error: nobody takes it any more
            if length == 0 || sender.send((Instant::now(), chunk[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((since, chunk)) = on_its_way.recv().await {
            hold(since, chunk.len(), state.clone()).await;
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // the end comes no sooner than what was sent before it; an error: that side is gone, too
        drop(to.shutdown().await);
    };
    tokio::join!(read, write);
}

/// As long as the weather wants, whatever it becomes meanwhile. `since` is when it was sent.
async fn hold(since: Instant, bytes: usize, mut state: watch::Receiver<State>) {
    let begun = Instant::now();
    loop {
        let weather = state.borrow_and_update().weather;
        let until = match weather {
            Weather::Clear | Weather::Refuse => return,
            Weather::Delay(delay) => Some(since + delay),
            Weather::Rate(bytes_per_second) => Some(begun + Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second))),
            Weather::Stall => None,
        };
        let over = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

fn reset(stream: TcpStream) {
    // no goodbye: what waits to be sent is thrown away
    drop(stream.set_zero_linger());
    drop(stream);
}
