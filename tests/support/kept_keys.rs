//! How much memory a key keeps alive after its request.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tower_session_affinity::AffinityKey;

/// The keys that a service keeps.
pub(crate) type Kept = Arc<Mutex<Vec<AffinityKey>>>;

/// Serves 10,000 requests over one connection and returns the bytes that each kept key keeps alive.
///
/// The service must keep one key of each request, which has its session in `x-session-id`.
pub(crate) fn bytes_of_a_kept_key<S>(service: impl FnOnce(Kept) -> S) -> i64
where
    S: Service<Request<Incoming>, Response = Response<Empty<Bytes>>, Error = Infallible>,
{
    const REQUESTS: usize = 10_000;
    let kept = Kept::default();
    kept.lock().unwrap().reserve_exact(REQUESTS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let counted = measure(|| {
        let service = service(Arc::clone(&kept));
        let (client, server) = tokio::io::duplex(4096);
        let server = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service);
        runtime.block_on(async {
            tokio::join!(send_requests(client, REQUESTS), async {
                server.await.unwrap();
            });
        });
    });
    assert_eq!(
        kept.lock().unwrap().len(),
        REQUESTS,
        "expected one kept key per request"
    );
    counted.bytes_current / i64::try_from(REQUESTS).unwrap()
}

async fn send_requests(stream: DuplexStream, requests: usize) {
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let calls = async {
        for number in 0..requests {
            let request = Request::get("/").header("x-session-id", format!("chat-{number:010}"));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let response = client.send_request(request).await.unwrap();
            response.collect().await.unwrap();
        }
        drop(client);
    };
    tokio::join!(calls, async { connection.await.unwrap() });
}
