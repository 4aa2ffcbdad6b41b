//! The TLS key service and its clients, for a fixed time: what counts is requests per second.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::client::{Client, Shared, Target};
use crate::keys::Store;
use crate::latency::Latencies;
use crate::measure::{Clock, processor_time};
use crate::server::Service;
use crate::tls;

const CLIENTS: u64 = 16;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub fn run(clock: &mut Clock) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let time = clock.seconds(3.0);
    if let Err(error) = runtime.block_on(drive(clock, time)) {
        panic!("{error}");
    }
}

async fn drive(clock: &mut Clock, time: Duration) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let identity = tls::identity(address.ip())?;
    let service = Service {
        acceptor: identity.acceptor,
        store: Arc::new(Store::new()),
        counters: Arc::default(),
    };
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(service.run(listener, stopped));
    let target = Target {
        address,
        name: ServerName::try_from(tls::NAME)?,
        connector: tls::connector(identity.authority)?,
    };

    let shared = Arc::new(Shared::default());
    let (start, processor) = (Instant::now(), processor_time());
    let mut clients = JoinSet::new();
    for seed in 0..CLIENTS {
        let mut client = Client::new(target.clone(), Arc::clone(&shared), seed, Latencies::new()?);
        clients.spawn(async move {
            let done = client.run().await;
            (client, done)
        });
    }
    tokio::time::sleep(time).await;
    shared.stop.store(true, Relaxed);
    let mut all = Latencies::new()?;
    let mut bad_frames = 0;
    while let Some(ended) = clients.join_next().await {
        let (client, done) = ended?;
        done.map_err(|failure| failure.to_string())?;
        all.add(&client.latencies);
        bad_frames += client.bad_frames;
    }
    let (took, processor) = (start.elapsed(), processor_time() - processor);
    let _ = stop.send(());
    let _ = server.await;

    let requests = shared.requests.load(Relaxed) as f64;
    let requests_histogram = all.requests();
    let percentile = |quantile| requests_histogram.value_at_quantile(quantile);
    let more = &mut clock.more;
    // Time and processor time of a thousand requests: a slower service does fewer.
    let each = 1e12 / requests;
    more.insert("wall_ns".into(), json!((took.as_secs_f64() * each) as u64));
    more.insert("cpu_ns".into(), json!((processor.as_secs_f64() * each) as u64));
    more.insert("requests_per_second".into(), json!(requests / took.as_secs_f64()));
    more.insert("bad_frames".into(), json!(bad_frames));
    let latency: Vec<_> = [0.5, 0.9, 0.99, 0.999, 1.0].map(percentile).to_vec();
    more.insert("latency_us".into(), json!(latency));
    Ok(())
}
