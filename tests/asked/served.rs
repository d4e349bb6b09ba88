//! The embedded API behind a socket, and the binary that asks it.

use std::path::PathBuf;
use std::process::Command;

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::World;

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        assert_eq!(self.out.trim_end().lines().count(), 1, "one object on stdout: {} {}", self.out, self.err);
        serde_json::from_str(&self.out).expect("JSON")
    }

    /// Whether a line says this, whatever the columns' widths.
    #[track_caller]
    pub fn says(&self, wanted: &str) {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let wanted = words(wanted);
        let said = self.out.lines().any(|line| words(line).windows(wanted.len()).any(|part| part == wanted));
        assert!(said, "{wanted:?} is not said:\n{}{}", self.out, self.err);
    }
}

/// A world that can be asked; its time is real until this is dropped.
pub struct Served {
    kubeconfig: PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
        tokio::time::pause();
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

pub async fn serve(world: &World) -> Served {
    tokio::time::resume();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = world.embedded.client("anna");
    let answer = move |request: axum::extract::Request| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a small request");
            let answer = client.send(http::Request::from_parts(parts, Body::from(bytes.to_vec()))).await.expect("an answer");
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.expect("a whole answer").to_bytes();
            axum::response::Response::from_parts(parts, axum::body::Body::from(bytes))
        }
    };
    let routes = axum::Router::new().fallback(answer);
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
    let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("asked-{}.yaml", address.port()));
    std::fs::write(&kubeconfig, config(&format!("http://{address}"))).unwrap();
    Served { kubeconfig, serving }
}

/// Two contexts: `notte` leads to the server, `altrove` to nobody.
fn config(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: notte\nusers: [{{name: anna, user: {{}}}}]\n\
         clusters:\n- {{name: qui, cluster: {{server: '{server}'}}}}\n- {{name: nessuno, cluster: {{server: 'http://127.0.0.1:1'}}}}\n\
         contexts:\n- {{name: notte, context: {{cluster: qui, user: anna, namespace: centro-dati}}}}\n\
         - {{name: altrove, context: {{cluster: nessuno, user: anna}}}}\n"
    )
}

impl Served {
    pub async fn ask(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig);
        tokio::task::spawn_blocking(move || ran(&mut command)).await.unwrap()
    }
}

pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
