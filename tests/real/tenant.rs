//! The tenants: a health service that people use, and the data centre that works for it at night.
//!
//! In: a cluster. Out: both namespaces, made anew, with everything that the tenants set up and grant by day. Invariants: what an earlier
//! night left is gone first, whatever state it left it in. Not here: the night.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::cluster::{Cluster, wait};
use super::ledger::sha256;

pub const NAMESPACES: [&str; 2] = ["centro-dati", "sanita"];

/// A service that people use.
pub struct Service {
    pub name: &'static str,
    /// The last number of its address.
    host: u8,
    replicas: u32,
    /// It is as well as what it calls, and is never closed itself.
    pub depends: bool,
}

const fn service(name: &'static str, host: u8, replicas: u32, depends: bool) -> Service {
    Service { name, host, replicas, depends }
}

pub const SERVICES: [Service; 7] = [
    service("anagrafe-assistiti", 10, 1, false),
    service("accesso-ts", 11, 1, false),
    service("ricetta-elettronica", 12, 2, false),
    service("cup", 13, 1, true),
    service("zerocode", 14, 1, true),
    service("archivio-730", 15, 1, false),
    service("portale-ts", 16, 1, false),
];

impl Service {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([198, 18, 2, self.host]), 8080)
    }

    pub fn health(&self) -> &'static str {
        if self.depends { "/cgi-bin/health" } else { "/health" }
    }

    fn yaml(&self, database: &Database) -> String {
        let (file, at) = if self.depends { ("dipende", "cgi-bin/health") } else { ("vive", "health") };
        let replicas = self.replicas.to_string();
        let ip = self.address().ip().to_string();
        let fields = [("NAME", self.name), ("IP", &ip), ("REPLICAS", &replicas), ("HEALTH", file), ("HEALTH_AT", at)];
        database.fill(&fill(include_str!("oggetti/servizio.yaml"), &fields))
    }
}

/// The template with its `{{FIELDS}}` filled in.
pub fn fill(template: &str, fields: &[(&str, &str)]) -> String {
    fields.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// The `CronJobs` of the data centre, and the script that each runs.
const WORK: [(&str, &str); 6] = [
    ("verifica-backup", "verifica-backup"),
    ("istantanea", "istantanea"),
    ("aggiorna", "aggiorna"),
    ("ripristina", "ripristina"),
    ("indici", "indici"),
    ("prova-a-porte-chiuse", "prova"),
];

/// Makes both namespaces and waits until people can use the services.
pub fn settle(cluster: &Cluster) -> Database {
    let database = Database::make(cluster);
    let namespaces =
        NAMESPACES.map(|name| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")).join("---\n");
    cluster.apply(&namespaces);
    let mut documents = vec![config_maps(), include_str!("oggetti/sanita.yaml").to_owned(), granted(cluster)];
    documents.extend(SERVICES.iter().map(|service| service.yaml(&database)));
    let work = |&(name, script): &(&str, &str)| fill(include_str!("oggetti/lavoro.yaml"), &[("NAME", name), ("SCRIPT", script)]);
    documents.extend(WORK.iter().map(|one| database.fill(&work(one))));
    cluster.apply(&documents.join("\n---\n"));
    wait(120, "services that people can use", || {
        let ready = |deployment: &Value| deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"];
        let deployments = cluster.list("/apis/apps/v1/namespaces/sanita/deployments");
        (deployments.len() == SERVICES.len() + 1 && deployments.iter().all(ready)).then_some(())
    });
    database
}

/// What the tenants grant by day, and nothing else: what the program prints for their runbook.
fn granted(cluster: &Cluster) -> String {
    let runbook = fill(include_str!("oggetti/notte.yaml"), &[("HARD_CAP", "12s")]);
    cluster.run(env!("CARGO_BIN_EXE_notturno"), &["rbac", "-"], &runbook)
}

fn config_maps() -> String {
    let work = json!({
        "comune": include_str!("lavori/comune"), "verifica-backup": include_str!("lavori/verifica-backup"),
        "istantanea": include_str!("lavori/istantanea"), "aggiorna": include_str!("lavori/aggiorna"),
        "ripristina": include_str!("lavori/ripristina"), "indici": include_str!("lavori/indici"), "prova": include_str!("lavori/prova"),
    });
    let site = json!({
        "vive": "bene\n", "cortesia": "Servizio in manutenzione: riapre prima degli sportelli.\n",
        "stato": include_str!("sito/stato"), "dipende": include_str!("sito/dipende"),
    });
    let map = |namespace: &str, name: &str, data: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})
            .to_string()
    };
    format!("{}\n---\n{}", map("centro-dati", "lavori", work), map("sanita", "sito", site))
}

/// Removes whatever earlier nights left, finalizers and all.
pub fn clear(cluster: &Cluster) {
    let nights = "/apis/notturno.dev/v1alpha1/namespaces/centro-dati/interventions";
    let kept = [nights, "/api/v1/namespaces/centro-dati/configmaps", "/api/v1/namespaces/centro-dati/pods"];
    for namespace in NAMESPACES {
        cluster.delete(&format!("/api/v1/namespaces/{namespace}"));
    }
    wait(90, "namespaces that are gone", || {
        for collection in kept {
            for object in cluster.list(collection) {
                if object["metadata"]["finalizers"].is_array() {
                    cluster.free(&format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap()));
                }
            }
        }
        NAMESPACES.iter().all(|name| cluster.get(&format!("/api/v1/namespaces/{name}")).is_none()).then_some(())
    });
}

/// The database that the night works on: a file of rows, and its checksum.
pub struct Database {
    directory: PathBuf,
}

impl Database {
    const ROWS: u32 = 400;

    fn make(cluster: &Cluster) -> Self {
        let directory = cluster.state().join("share/motore");
        if directory.exists() {
            fs::remove_dir_all(&directory).unwrap();
        }
        let row = |n: u32| format!("{n:06} RX-{:010}-ABCDEFGHIJ v15 aperta \n", n.wrapping_mul(7919));
        let rows: String = (1..=Self::ROWS).map(row).collect();
        assert_eq!(rows.len(), 44 * Self::ROWS as usize, "the scripts rewrite rows of 44 bytes");
        for place in ["", "ieri"] {
            let place = directory.join(place);
            fs::create_dir_all(&place).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
            fs::write(place.join("motore.db"), &rows).unwrap();
            fs::write(place.join("motore.db.sha256"), format!("{}\n", sha256(rows.as_bytes()))).unwrap();
        }
        Self { directory }
    }

    fn fill(&self, template: &str) -> String {
        fill(template, &[("DATI", self.directory.to_str().unwrap())])
    }

    /// The next upgrade hangs half-way: `sordo` does not hear that it should stop, `lungo` neither and for minutes, `cortese` does and
    /// claims success.
    pub fn break_upgrade(&self, how: &str) {
        fs::write(self.directory.join("guasto"), how).unwrap();
    }

    /// The first undo fails, the second hangs and does not hear that it should stop.
    pub fn break_undo(&self) {
        fs::write(self.directory.join("guasto-ripristino"), "").unwrap();
    }

    /// SHA-256 of the rows and of the file with their checksum.
    pub fn fingerprint(&self) -> [String; 2] {
        ["motore.db", "motore.db.sha256"].map(|file| sha256(&fs::read(self.directory.join(file)).unwrap()))
    }

    /// How many rows there are of a version.
    pub fn rows_of(&self, version: &str) -> usize {
        let rows = fs::read_to_string(self.directory.join("motore.db")).unwrap();
        rows.lines().filter(|row| row.split(' ').nth(2) == Some(version)).count()
    }

    /// What the Jobs themselves noted, in order: `inizia WORK POD` at each start, `lavora WORK POD` while one hangs.
    pub fn noted(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join("registro")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
