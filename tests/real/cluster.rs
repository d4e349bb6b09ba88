//! The cluster that `tests/cluster/up` left running, as its administrator sees it.
//!
//! In: `NOTTURNO_KUBECONFIG`. Out: objects as values. Invariants: every call and every wait ends by itself; used for setting up and for
//! looking, never as what is under test. Not here: what is set up, what is looked for.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

const CALL_FOR_MAX: Duration = Duration::from_secs(15);
/// In seconds.
const READ_FOR_MAX: u64 = 30;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The cluster under the operator.
pub struct Cluster {
    kubeconfig: PathBuf,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Cluster {
    /// The running one.
    pub fn connect() -> Self {
        let kubeconfig = std::env::var_os("NOTTURNO_KUBECONFIG").map(PathBuf::from);
        let kubeconfig = kubeconfig.expect("NOTTURNO_KUBECONFIG has to be what tests/cluster/up printed");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(&kubeconfig).unwrap();
            let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
            config.default_retry = false;
            Client::try_from(config).unwrap()
        });
        Self { kubeconfig, runtime, client }
    }

    /// The directory in which the cluster keeps everything.
    pub fn state(&self) -> &Path {
        self.kubeconfig.parent().and_then(Path::parent).unwrap()
    }

    /// Its administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for what is done with [`Self::client`].
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", media);
        let request = request.body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default()).unwrap();
        let call = async { tokio::time::timeout(CALL_FOR_MAX, self.client.request::<Value>(request)).await };
        self.runtime.block_on(call).unwrap_or_else(|_| panic!("{method} {path}: no answer within {CALL_FOR_MAX:?}"))
    }

    /// The object at `path`; none when it is not there.
    pub fn get(&self, path: &str) -> Option<Value> {
        wait(READ_FOR_MAX, format!("reading {path}"), || match self.call("GET", path, None) {
            Ok(object) => Some(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Some(None),
            // A kind that was just made anew says to ask again.
            Err(kube::Error::Api(status)) if status.code == 429 => None,
            Err(error) => panic!("reading {path}: {error}"),
        })
    }

    /// The objects at `path`.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Merges into the object at `path`; nothing when it is not there.
    pub fn merge(&self, path: &str, change: &Value) {
        match self.call("PATCH", path, Some(change)) {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("changing {path}: {error}"),
        }
    }

    /// Deletes the object at `path`, and what it owns in the background.
    pub fn delete(&self, path: &str) {
        match self.call("DELETE", path, None) {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("deleting {path}: {error}"),
        }
    }

    /// Takes all finalizers off an object.
    pub fn free(&self, path: &str) {
        self.merge(path, &json!({"metadata": {"finalizers": null}}));
    }

    /// Applies the documents, as a tenant's pipeline would.
    pub fn apply(&self, yaml: &str) {
        self.run("kubectl", &["apply", "--server-side", "--field-manager", "tenant", "-f", "-"], yaml);
    }

    /// Runs a program of the cluster's with `input`; what it printed.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        self.try_run(program, arguments, input).unwrap_or_else(|error| panic!("{program} {arguments:?}: {error}"))
    }

    /// The same; what it said when it failed.
    pub fn try_run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{error}; tests/cluster/build prints where it is"))?;
        let mut stdin = child.stdin.take().unwrap();
        // Beside reading what it prints: each waits for the other when both are more than a pipe holds.
        let output = std::thread::scope(|scope| {
            // One that ends before it has read everything says why by itself.
            scope.spawn(move || stdin.write_all(input.as_bytes()));
            child.wait_with_output().unwrap()
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// Looks until there is something to see.
pub fn wait<T>(seconds: u64, what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {seconds} s");
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

/// Waits for a moment.
pub fn until(moment: Timestamp) {
    let left = moment.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
    wait(left + 5, format!("{moment}"), || (Timestamp::now() >= moment).then_some(()));
}

/// Tells people, also of a test that passes.
pub fn say(text: impl Display) {
    // Not `eprintln`, which the test harness keeps to itself.
    let mut people = std::io::stderr();
    writeln!(people, "    {text}").unwrap();
}
