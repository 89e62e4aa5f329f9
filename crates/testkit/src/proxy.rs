//! Stands between a store and its server, and loses what a network loses.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are passed on.
    Pass,
    /// They are cut, and so is whoever comes.
    Down,
    /// They stay, and nothing comes through.
    Silent,
    /// The first that commits is cut once the server has answered, before the answer is passed on. Then they are passed
    /// on again.
    LoseCommit,
}

/// Listens until it is dropped with its runtime.
pub struct Proxy {
    address: String,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// Listens in front of the server at `server`.
    pub async fn before(server: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let shared = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { address, mode })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Changes what becomes of connections, those there are included.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Passes both directions on until one ends or is cut.
async fn pass(mut client: TcpStream, server: String, mode: Arc<watch::Sender<Mode>>) {
    let mut changes = mode.subscribe();
    if *changes.borrow_and_update() == Mode::Down {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut commits = false;
    loop {
        if *changes.borrow() == Mode::Silent && changes.changed().await.is_err() {
            return;
        }
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(asked) = read.ok().and_then(|length| asked.get(..length)).filter(|read| !read.is_empty())
                    else { return };
                commits |= *mode.borrow() == Mode::LoseCommit && asked.windows(7).any(|word| word == b"COMMIT\0");
                if server.write_all(asked).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Some(answered) = read.ok().and_then(|length| answered.get(..length)).filter(|read| !read.is_empty())
                    else { return };
                if commits {
                    mode.send_replace(Mode::Pass);
                    return;
                }
                if client.write_all(answered).await.is_err() {
                    return;
                }
            }
            changed = changes.changed() => {
                if changed.is_err() || *changes.borrow_and_update() == Mode::Down {
                    return;
                }
            }
        }
    }
}
