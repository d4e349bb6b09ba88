//! What a service says to a probe, byte for byte, over a real socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use notturno::operator::Getter;
use notturno::operator::http_allow::HttpAllow;
use notturno::operator::http_get::network;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The longest words about an answer.
const WHY_CHARS_MAX: usize = 1000;

/// A service that says what it is told to, and the prober that asks it.
struct Scene {
    runtime: Runtime,
    getter: Getter,
    address: SocketAddr,
    says: Arc<Mutex<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(Mutex::new(Vec::new()));
        let serving = runtime.spawn(serve(listener, Arc::clone(&says)));
        let getter = network(HttpAllow::and(vec!["127.0.0.0/8".parse().unwrap()])).getter;
        Self { runtime, getter, address, says, serving }
    }
}

async fn serve(listener: TcpListener, says: Arc<Mutex<Vec<u8>>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let answer = says.lock().unwrap().clone();
        socket.readable().await.unwrap();
        let _ = socket.try_read(&mut [0; 1024]);
        // So little is taken at once.
        assert_eq!(socket.try_write(&answer).unwrap(), answer.len());
    }
}

thread_local! {
    static SCENE: Scene = Scene::new();
}

/// Takes the bytes for all that comes back; then the connection ends.
pub fn take(bytes: &[u8]) {
    SCENE.with(|scene| {
        *scene.says.lock().unwrap() = bytes.to_vec();
        let asked = (scene.getter)(format!("http://{}/vive?a=b", scene.address));
        match scene.runtime.block_on(asked) {
            Ok(status) => {
                assert!((100..=999).contains(&status), "{status}");
                let said = String::from_utf8_lossy(bytes);
                assert!(said.contains(&format!(" {status}")), "{status} was never said: {said:?}");
            }
            Err(why) => {
                assert!(!why.trim().is_empty() && why.chars().count() <= WHY_CHARS_MAX, "{why:?}");
                assert!(!why.contains("no answer within"), "it had its answer: {why}");
            }
        }
        assert!(!scene.serving.is_finished(), "the service itself fell");
    });
}
