//! A client: connects, makes keys, signs, verifies, deletes, and checks every answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::failure::Failure;
use crate::frame::{read_frame, write_frame};
use crate::hostile;
use crate::keys;
use crate::latency::{Kind, Latencies};
use crate::protocol::{Algorithm, KeyId, Refusal, Request, Response};
use crate::random::Random;

/// Signatures asked for on one connection.
const ROUNDS: usize = 32;
/// One connection in so many is followed by one that sends a bad frame.
const HOSTILE: usize = 8;
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

type Stream = TlsStream<TcpStream>;

/// What all clients share.
#[derive(Default)]
pub struct Shared {
    /// Set when the time is over, or by the first client that fails.
    pub stop: AtomicBool,
    /// Requests answered, and answered right.
    pub requests: AtomicU64,
}

/// Where the service is and how to reach it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub name: ServerName<'static>,
    pub connector: TlsConnector,
}

/// One client and what it has seen.
pub struct Client {
    target: Target,
    shared: Arc<Shared>,
    random: Random,
    pub latencies: Latencies,
    pub bad_frames: u64,
}

/// A key of this client.
struct Own {
    id: KeyId,
    algorithm: Algorithm,
    public: Vec<u8>,
}

impl Client {
    pub fn new(target: Target, shared: Arc<Shared>, seed: u64, latencies: Latencies) -> Client {
        Client { target, shared, random: Random::new(seed), latencies, bad_frames: 0 }
    }

    /// Sessions until the time is over.
    pub async fn run(&mut self) -> Result<(), Failure> {
        let done = self.sessions().await;
        if done.is_err() {
            self.shared.stop.store(true, Relaxed);
        }
        done
    }

    async fn sessions(&mut self) -> Result<(), Failure> {
        while !self.shared.stop.load(Relaxed) {
            self.session().await?;
            if self.random.one_in(HOSTILE) {
                self.misbehave().await?;
            }
        }
        Ok(())
    }

    async fn session(&mut self) -> Result<(), Failure> {
        let mut stream = self.connect().await?;
        let mut own = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            own.push(self.create(&mut stream).await?);
        }
        for _ in 0..ROUNDS {
            if self.shared.stop.load(Relaxed) {
                break;
            }
            let key = &own[self.random.below(own.len())];
            self.sign_and_verify(&mut stream, key).await?;
        }
        for key in &own {
            self.delete(&mut stream, key).await?;
        }
        Ok(stream.shutdown().await?)
    }

    async fn connect(&mut self) -> Result<Stream, Failure> {
        let start = Instant::now();
        let tcp = TcpStream::connect(self.target.address).await?;
        tcp.set_nodelay(true)?;
        let name = self.target.name.clone();
        let stream = timeout(PATIENCE, self.target.connector.connect(name, tcp))
            .await
            .map_err(io::Error::from)??;
        self.latencies.record(Kind::Handshake, start.elapsed());
        Ok(stream)
    }

    async fn create(&mut self, stream: &mut Stream) -> Result<Own, Failure> {
        let algorithm =
            if self.random.one_in(2) { Algorithm::Ed25519 } else { Algorithm::EcdsaP256 };
        let request = Request::Create { algorithm };
        let body = self.ask(stream, Kind::Create, &request).await?;
        match Response::decode(&body)? {
            Response::Created { key, public } => {
                Ok(Own { id: key, algorithm, public: public.to_vec() })
            }
            other => Err(Failure::unexpected(other)),
        }
    }

    /// A message is signed, the signature checked here, then verified by the service: right as it
    /// is, wrong after one bit of it has changed.
    async fn sign_and_verify(&mut self, stream: &mut Stream, key: &Own) -> Result<(), Failure> {
        let mut message = self.message();
        let request = Request::Sign { key: key.id, message: &message };
        let body = self.ask(stream, Kind::Sign, &request).await?;
        let signature = match Response::decode(&body)? {
            Response::Signed { signature } => signature,
            other => return Err(Failure::unexpected(other)),
        };
        if !keys::verify(key.algorithm, &key.public, &message, signature) {
            return Err(Failure::Wrong("the signature is not one of the message"));
        }

        let changed = self.random.one_in(4);
        if changed {
            let at = self.random.below(message.len());
            message[at] ^= 1 << self.random.below(8);
        }
        let request = Request::Verify { key: key.id, signature, message: &message };
        let body = self.ask(stream, Kind::Verify, &request).await?;
        match Response::decode(&body)? {
            Response::Verified { valid } if valid != changed => Ok(()),
            Response::Verified { valid: true } => {
                Err(Failure::Wrong("a changed message was verified"))
            }
            Response::Verified { valid: false } => {
                Err(Failure::Wrong("a right signature was not verified"))
            }
            other => Err(Failure::unexpected(other)),
        }
    }

    /// Deletes a key; now and then asks once more, to see that it is gone.
    async fn delete(&mut self, stream: &mut Stream, key: &Own) -> Result<(), Failure> {
        let request = Request::Delete { key: key.id };
        let body = self.ask(stream, Kind::Delete, &request).await?;
        match Response::decode(&body)? {
            Response::Deleted => {}
            other => return Err(Failure::unexpected(other)),
        }
        if !self.random.one_in(4) {
            return Ok(());
        }
        let request = Request::Sign { key: key.id, message: b"still there?" };
        let body = self.ask(stream, Kind::Sign, &request).await?;
        match Response::decode(&body)? {
            Response::Refused(Refusal::UnknownKey) => Ok(()),
            _ => Err(Failure::Wrong("a deleted key can still be used")),
        }
    }

    /// Sends a bad frame on a connection of its own: it must be refused, and the connection
    /// closed.
    async fn misbehave(&mut self) -> Result<(), Failure> {
        let (frame, expected) = hostile::frame(&mut self.random);
        let mut stream = self.connect().await?;
        write_frame(&mut stream, &frame).await?;
        let body = timeout(PATIENCE, read_frame(&mut stream))
            .await
            .map_err(io::Error::from)??
            .ok_or(Failure::Closed)?;
        if Response::decode(&body)? != Response::Refused(expected) {
            return Err(Failure::Wrong("a bad frame was not refused as it should be"));
        }
        let mut more = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut more)).await.map_err(io::Error::from)??;
        if !more.is_empty() {
            return Err(Failure::Wrong("the connection stayed open after a bad frame"));
        }
        self.bad_frames += 1;
        Ok(())
    }

    async fn ask(
        &mut self,
        stream: &mut Stream,
        kind: Kind,
        request: &Request<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let frame = request.encode();
        let start = Instant::now();
        let exchange = async {
            write_frame(stream, &frame).await?;
            read_frame(stream).await
        };
        let body =
            timeout(PATIENCE, exchange).await.map_err(io::Error::from)??.ok_or(Failure::Closed)?;
        self.latencies.record(kind, start.elapsed());
        self.shared.requests.fetch_add(1, Relaxed);
        Ok(body)
    }

    /// 32 bytes to 16 KiB, every power of two as likely as the others.
    fn message(&mut self) -> Vec<u8> {
        let least = 32 << self.random.below(9);
        let mut message = vec![0; least + self.random.below(least + 1)];
        self.random.fill(&mut message);
        message
    }
}
