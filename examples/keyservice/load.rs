//! Starts the service and its clients, lets them run, and says what came of it.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use crate::client::{Client, Shared, Target};
use crate::failure::Failure;
use crate::keys::Store;
use crate::latency::Latencies;
use crate::options::{Options, Role};
use crate::progress;
use crate::report::{self, Paint, grouped};
use crate::server::{Counters, Service};
use crate::tls;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Runs what the options say; whether all answers were right.
pub fn run(options: &Options, paint: Paint) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &options.role {
            Role::Both => both(options, paint).await,
            Role::Serve(address) => serve(options, paint, address).await,
            Role::Connect(address) => connect(options, paint, address).await,
        }
    })
}

async fn both(options: &Options, paint: Paint) -> Result<bool> {
    let running = Running::start((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    let target = Target {
        address: running.address,
        name: ServerName::try_from(tls::NAME)?,
        connector: tls::connector(running.authority.clone())?,
    };
    let title = format!("Key service, TLS 1.3 on {}", running.address);
    writeln!(io::stdout(), "{}", paint.heading(title))?;
    let driven = drive(options, target).await?;
    let left = running.service.store.len();
    let counters = running.stop().await;
    let mut good = driven.print(options, paint)?;
    // What the clients saw and what the service counted must agree.
    if good && counters.requests.load(Relaxed) != driven.requests {
        writeln!(io::stdout(), "{}", paint.bad("the service counted other requests"))?;
        good = false;
    }
    if good && left != 0 {
        let line = format!("{left} keys were left behind");
        writeln!(io::stdout(), "{}", paint.bad(line))?;
        good = false;
    }
    Ok(good & no_panic(&counters, paint)?)
}

async fn serve(options: &Options, paint: Paint, address: &str) -> Result<bool> {
    let running = Running::start(address).await?;
    let title = format!("Key service, TLS 1.3 on {}", running.address);
    writeln!(io::stdout(), "{}", paint.heading(title))?;
    match &options.ca {
        Some(path) => fs::write(path, &running.authority_pem)?,
        None => write!(io::stdout(), "{}", running.authority_pem)?,
    }
    let start = Instant::now();
    let never = AtomicBool::new(false);
    let requests = &running.service.counters.requests;
    progress::watch(options.time, requests, &never, options.rss_log).await?;
    let took = start.elapsed();
    let left = running.service.store.len();
    let counters = running.stop().await;
    writeln!(
        io::stdout(),
        "{} requests in {:.1} s, {} handshakes, {} failed, {} bad frames refused, {left} keys held",
        grouped(counters.requests.load(Relaxed)),
        took.as_secs_f64(),
        grouped(counters.handshakes.load(Relaxed)),
        grouped(counters.failed_handshakes.load(Relaxed)),
        grouped(counters.bad_frames.load(Relaxed)),
    )?;
    no_panic(&counters, paint)
}

async fn connect(options: &Options, paint: Paint, address: &str) -> Result<bool> {
    let path = options.ca.as_deref().ok_or("--connect needs --ca")?;
    let address = lookup_host(address).await?.next().ok_or("the address has no host")?;
    let target = Target {
        address,
        name: ServerName::try_from(tls::NAME)?,
        connector: tls::connector(tls::read_authority(path)?)?,
    };
    let title = format!("Clients of the key service on {address}");
    writeln!(io::stdout(), "{}", paint.heading(title))?;
    drive(options, target).await?.print(options, paint)
}

fn no_panic(counters: &Counters, paint: Paint) -> Result<bool> {
    let panics = counters.panics.load(Relaxed);
    if panics > 0 {
        let line = format!("{panics} connections panicked");
        writeln!(io::stdout(), "{}", paint.bad(line))?;
    }
    Ok(panics == 0)
}

/// A service that runs.
struct Running {
    address: SocketAddr,
    authority: CertificateDer<'static>,
    authority_pem: String,
    service: Service,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(address: impl ToSocketAddrs) -> Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let identity = tls::identity(address.ip())?;
        let service = Service {
            acceptor: identity.acceptor,
            store: Arc::new(Store::new()),
            counters: Arc::default(),
        };
        let (stop, stopped) = oneshot::channel();
        Ok(Running {
            address,
            authority: identity.authority,
            authority_pem: identity.authority_pem,
            task: tokio::spawn(service.clone().run(listener, stopped)),
            service,
            stop,
        })
    }

    async fn stop(self) -> Arc<Counters> {
        // Neither can fail while the service runs, and if it does not run there is no need.
        let _ = self.stop.send(());
        let _ = self.task.await;
        self.service.counters
    }
}

/// What the clients saw.
struct Driven {
    took: Duration,
    requests: u64,
    bad_frames: u64,
    latencies: Latencies,
    failures: Vec<String>,
}

async fn drive(options: &Options, target: Target) -> Result<Driven> {
    let shared = Arc::new(Shared::default());
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for seed in 0..options.clients {
        let latencies = Latencies::new()?;
        let mut client = Client::new(target.clone(), Arc::clone(&shared), seed as u64, latencies);
        clients.spawn(async move {
            let done = client.run().await;
            (client, done)
        });
    }
    progress::watch(options.time, &shared.requests, &shared.stop, options.rss_log).await?;
    shared.stop.store(true, Relaxed);
    let mut driven = Driven {
        took: Duration::ZERO,
        requests: 0,
        bad_frames: 0,
        latencies: Latencies::new()?,
        failures: Vec::new(),
    };
    while let Some(ended) = clients.join_next().await {
        match ended {
            Ok((client, done)) => {
                driven.latencies.add(&client.latencies);
                driven.bad_frames += client.bad_frames;
                driven.failures.extend(done.err().map(|failure: Failure| failure.to_string()));
            }
            Err(error) => driven.failures.push(error.to_string()),
        }
    }
    driven.took = start.elapsed();
    driven.requests = shared.requests.load(Relaxed);
    Ok(driven)
}

impl Driven {
    fn print(&self, options: &Options, paint: Paint) -> Result<bool> {
        let out = &mut io::stdout();
        let rate = self.requests as f64 / self.took.as_secs_f64();
        let rate = format!("{} requests per second", grouped(rate as u64));
        writeln!(
            out,
            "{}: {} from {} clients in {:.1} s, {} bad frames refused",
            paint.good(rate),
            grouped(self.requests),
            options.clients,
            self.took.as_secs_f64(),
            grouped(self.bad_frames),
        )?;
        let sum = format!("{} failures", self.failures.len());
        match self.failures.first() {
            None => writeln!(out, "every answer checked, {sum}\n")?,
            Some(first) => writeln!(out, "{}\n", paint.bad(format!("{sum}, first: {first}")))?,
        }
        report::latencies(out, paint, &self.latencies)?;
        Ok(self.failures.is_empty() && self.requests > 0)
    }
}
