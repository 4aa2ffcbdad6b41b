//! Tasks on two threads send each other requests and answers.

use std::hint::black_box;

use fastrand::Rng;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use crate::measure::Clock;

type Request = (Vec<u8>, oneshot::Sender<String>);

const CLIENTS: u64 = 16;

pub fn run(clock: &mut Clock) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let each = clock.share(25_000);
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel::<Request>(64);
        let server = tokio::spawn(async move {
            while let Some((bytes, answer)) = receiver.recv().await {
                // A client that has gone needs no answer.
                let _ = answer.send(format!("{} bytes, last {:?}", bytes.len(), bytes.last()));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut random = Rng::with_seed(seed);
                    for _ in 0..each {
                        let bytes = vec![1; random.usize(16..1024)];
                        let (answer, answered) = oneshot::channel();
                        if sender.send((bytes, answer)).await.is_err() {
                            break;
                        }
                        black_box(answered.await.ok());
                    }
                })
            })
            .collect();
        drop(sender);
        for client in clients {
            client.await.expect("a client ends");
        }
        server.await.expect("the server ends");
    });
}
