//! The service: accepts connections, reads requests, answers them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::frame::{FrameError, MAX_FRAME, read_frame, write_frame};
use crate::keys::Store;
use crate::protocol::{Malformed, Refusal, Request, Response};

/// Most connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a frame may take to come or to go: a silent or slow peer is left.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a refused peer may take to read the refusal, and a stopping service waits.
const LINGER: Duration = Duration::from_secs(2);

/// What the service counted.
#[derive(Default)]
pub struct Counters {
    pub handshakes: AtomicU64,
    pub failed_handshakes: AtomicU64,
    pub requests: AtomicU64,
    pub bad_frames: AtomicU64,
    pub panics: AtomicU64,
}

/// The parts that every connection shares.
#[derive(Clone)]
pub struct Service {
    pub acceptor: TlsAcceptor,
    pub store: Arc<Store>,
    pub counters: Arc<Counters>,
}

impl Service {
    /// Serves until `stop` fires, then waits a little for the connections that are left.
    pub async fn run(self, listener: TcpListener, mut stop: oneshot::Receiver<()>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stop => break,
                Some(ended) = connections.join_next() => self.ended(ended),
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((tcp, _)) => {
                            let service = self.clone();
                            connections.spawn(async move { service.connection(tcp).await });
                        }
                        // Out of descriptors, most likely: some connection must end first.
                        Err(_) => sleep(Duration::from_millis(50)).await,
                    }
                }
            }
        }
        let rest = async {
            while let Some(ended) = connections.join_next().await {
                self.ended(ended);
            }
        };
        // Whoever is still there after that is cut off when the set is dropped.
        let _ = timeout(LINGER, rest).await;
    }

    fn ended(&self, ended: Result<io::Result<()>, JoinError>) {
        // A connection may fail as its peer likes; a panic is this program's fault.
        if ended.is_err_and(|error| error.is_panic()) {
            self.counters.panics.fetch_add(1, Relaxed);
        }
    }

    async fn connection(&self, tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let mut tls = match timeout(HANDSHAKE, self.acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                self.counters.failed_handshakes.fetch_add(1, Relaxed);
                return Err(error);
            }
            Err(late) => {
                self.counters.failed_handshakes.fetch_add(1, Relaxed);
                return Err(late.into());
            }
        };
        self.counters.handshakes.fetch_add(1, Relaxed);
        loop {
            let frame = match timeout(PATIENCE, read_frame(&mut tls)).await? {
                Ok(Some(frame)) => frame,
                Ok(None) => return tls.shutdown().await,
                Err(FrameError::TooLong) => return self.refuse(tls, Refusal::TooLong).await,
                Err(FrameError::Io(error)) => return Err(error),
            };
            let answer = match Request::decode(&frame) {
                Ok(request) => self.answer(request),
                Err(Malformed) => return self.refuse(tls, Refusal::Malformed).await,
            };
            timeout(PATIENCE, write_frame(&mut tls, &answer)).await??;
            self.counters.requests.fetch_add(1, Relaxed);
        }
    }

    fn answer(&self, request: Request<'_>) -> Vec<u8> {
        let done = match request {
            Request::Create { algorithm } => self.store.create(algorithm).map(|(id, key)| {
                let public = key.public();
                Response::Created { key: id, public }.encode()
            }),
            Request::Sign { key, message } => self.store.sign(&key, message).map(|signature| {
                let signature = signature.as_ref();
                Response::Signed { signature }.encode()
            }),
            Request::Verify { key, signature, message } => self
                .store
                .verify(&key, message, signature)
                .map(|valid| Response::Verified { valid }.encode()),
            Request::Delete { key } => self.store.delete(&key).map(|()| Response::Deleted.encode()),
        };
        done.unwrap_or_else(|refusal| Response::Refused(refusal).encode())
    }

    /// Says why, then closes: after a bad frame nothing that follows can be trusted.
    async fn refuse(&self, mut tls: TlsStream<TcpStream>, why: Refusal) -> io::Result<()> {
        self.counters.bad_frames.fetch_add(1, Relaxed);
        let goodbye = async {
            write_frame(&mut tls, &Response::Refused(why).encode()).await?;
            tls.shutdown().await?;
            // Closing with unread bytes would reset the connection, and the answer be lost.
            let (tcp, _) = tls.get_mut();
            let mut rest = tcp.take(MAX_FRAME as u64);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        timeout(LINGER, goodbye).await?.map(drop)
    }
}
