//! Five tenants of one city, each with its night: three whose Job rewrites, in place, the volume that their service serves, two that only
//! close and reopen.
//!
//! In: a cluster. Out: their namespaces, made anew, with everything that they set up and grant by day. Invariants: what an earlier test
//! left is gone first, whatever state it left it in; every service is open before anything begins. Not here: the nights ([`super::five`]).

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::cluster::{Cluster, wait};
use super::database::{Database, Rows};
use super::doors::{Door, Seen, answers};
use super::tenant::fill;

/// The namespace of all services.
pub const CITY: &str = "citta";

/// How a service is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Its Pods are taken away.
    Scale,
    /// Nobody is led to its Pod, which goes on.
    Selector,
}

/// A service that people use.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    /// The last number of its address.
    host: u8,
    closing: Closing,
}

impl Service {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([198, 18, 2, self.host]), 8080)
    }

    fn closing(&self) -> String {
        match self.closing {
            Closing::Scale => {
                format!("scale: {{target: {{apiVersion: apps/v1, kind: Deployment, name: {}}}, replicas: 0}}", self.name)
            }
            Closing::Selector => format!(
                "patch: {{target: {{apiVersion: v1, kind: Service, name: {}}}, merge: {{spec: {{selector: {{app: nessuno}}}}}}}}",
                self.name
            ),
        }
    }

    /// The kind, the field and the value by which it is open.
    pub fn opened_by(&self) -> (&'static str, &'static str, Value) {
        match self.closing {
            Closing::Scale => ("deployments", "/spec/replicas", json!(1)),
            Closing::Selector => ("services", "/spec/selector/app", json!(self.name)),
        }
    }

    /// What its closing changes.
    pub fn target(&self) -> String {
        match self.closing {
            Closing::Scale => format!("/apis/apps/v1/namespaces/{CITY}/deployments/{}", self.name),
            Closing::Selector => format!("/api/v1/namespaces/{CITY}/services/{}", self.name),
        }
    }
}

/// What a tenant does at night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A Job rewrites the volume that the first service serves.
    Rewrites,
    /// An object is changed.
    Changes,
    /// Nothing but to close and to reopen.
    Waits,
}

/// Where, in its night, the test holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    BeforeData,
    DuringData,
    AfterData,
    AfterChange,
    Closed,
}

/// A tenant.
#[derive(Debug)]
pub struct Tenant {
    pub name: &'static str,
    pub services: &'static [Service],
    pub work: Work,
    pub held: Placement,
}

const fn service(name: &'static str, host: u8, closing: Closing) -> Service {
    Service { name, host, closing }
}

pub static TENANTS: [Tenant; 5] = [
    Tenant {
        name: "anagrafe",
        services: &[service("certificati", 20, Closing::Scale), service("appuntamenti", 21, Closing::Selector)],
        work: Work::Rewrites,
        held: Placement::BeforeData,
    },
    Tenant {
        name: "tributi",
        services: &[service("pagamenti", 22, Closing::Scale)],
        work: Work::Rewrites,
        held: Placement::DuringData,
    },
    Tenant {
        name: "scuola",
        services: &[service("iscrizioni", 23, Closing::Selector)],
        work: Work::Rewrites,
        held: Placement::AfterData,
    },
    Tenant {
        name: "biblioteca",
        services: &[service("prestiti", 24, Closing::Scale)],
        work: Work::Changes,
        held: Placement::AfterChange,
    },
    Tenant {
        name: "mobilita",
        services: &[service("permessi", 25, Closing::Selector)],
        work: Work::Waits,
        held: Placement::Closed,
    },
];

/// The `CronJobs` of a tenant that rewrites, and the script that each runs.
const WORK: [(&str, &str); 5] = [
    ("istantanea", "istantanea-lenta"),
    ("riscrive", "riscrive"),
    ("collaudo", "collaudo"),
    ("ripristina", "ripristina"),
    ("prova", "prova"),
];

impl Tenant {
    fn names(&self, prefix: &str) -> String {
        json!(self.services.iter().map(|service| format!("{prefix}{}", service.name)).collect::<Vec<_>>()).to_string()
    }

    /// The template with what is the tenant's filled in.
    pub fn fill(&self, template: &str) -> String {
        let (services, references) = (self.names(""), self.names(&format!("{CITY}/")));
        let touched = self.services[0].name;
        fill(template, &[("TENANT", self.name), ("SERVICES", &services), ("REFERENCES", &references), ("TOUCHED", touched)])
    }

    /// The rights that it grants: what the program prints for its runbook.
    pub fn rights(&self, cluster: &Cluster) -> String {
        // No right depends on what is reserved.
        let declared = fill(&self.declared(), &[("RESERVE", "40s")]);
        cluster.run(env!("CARGO_BIN_EXE_notturno"), &["rbac", "-"], &declared)
    }

    /// Its services and its runbook, as Notturno knows them.
    pub fn declared(&self) -> String {
        let service = |service: &Service| {
            let ip = service.address().ip().to_string();
            let template = self.fill(include_str!("oggetti/cinque/servizio.yaml"));
            fill(&template, &[("NAME", service.name), ("IP", &ip), ("CLOSING", &service.closing())])
        };
        let runbook = match self.work {
            Work::Rewrites => include_str!("oggetti/cinque/lavoro.yaml"),
            Work::Changes => include_str!("oggetti/cinque/orari.yaml"),
            Work::Waits => include_str!("oggetti/cinque/porte.yaml"),
        };
        let mut documents: Vec<String> = self.services.iter().map(service).collect();
        documents.push(self.fill(runbook));
        documents.join("\n---\n")
    }

    /// What stands in its namespace and in the city's by day.
    fn day(&self, cluster: &Cluster, database: &Database) -> String {
        let service = |service: &Service| {
            let ip = service.address().ip().to_string();
            fill(include_str!("oggetti/cinque/sportello.yaml"), &[("NAME", service.name), ("IP", &ip)])
        };
        let work = |&(name, script): &(&str, &str)| {
            let template = include_str!("oggetti/lavoro.yaml").replace("centro-dati", self.name);
            fill(&template, &[("NAME", name), ("SCRIPT", script)])
        };
        let mut documents = vec![self.rights(cluster), scripts(self.name), map(self.name, "via", &json!({}))];
        documents.push(map(self.name, "orari", &json!({"apre": "08:00"})));
        documents.extend(self.services.iter().map(service));
        if self.work == Work::Rewrites {
            documents.extend(WORK.iter().map(work));
        }
        database.fill(&documents.join("\n---\n"))
    }
}

fn map(namespace: &str, name: &str, data: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}).to_string()
}

fn scripts(namespace: &str) -> String {
    let data = json!({
        "comune": include_str!("lavori/comune"), "fermo": include_str!("lavori/fermo"), "riscrive": include_str!("lavori/riscrive"),
        "istantanea-lenta": include_str!("lavori/istantanea-lenta"), "collaudo": include_str!("lavori/collaudo"),
        "ripristina": include_str!("lavori/ripristina"), "prova": include_str!("lavori/prova"),
    });
    map(namespace, "lavori", &data)
}

/// All their namespaces.
pub fn namespaces() -> impl Iterator<Item = &'static str> {
    TENANTS.iter().map(|tenant| tenant.name).chain([CITY])
}

/// All services, in order.
pub fn services() -> impl Iterator<Item = &'static Service> {
    TENANTS.iter().flat_map(|tenant| tenant.services)
}

/// Their doors: open is who hands out whole rows.
pub fn doors() -> Vec<Door> {
    services().map(|service| Door::new(service.name, service.address(), "/motore.db", serves)).collect()
}

fn serves(answer: &str) -> Seen {
    match (answers(answer), answer.split_once("\r\n\r\n")) {
        (Seen::Open, Some((_, rows))) if Rows::of(rows) == Rows::Torn => Seen::OpenOnTornData,
        (seen, _) => seen,
    }
}

/// Makes all of it; a database for each tenant, in order.
pub fn settle(cluster: &Cluster) -> Vec<Database> {
    let namespaces = namespaces().map(|name| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"));
    cluster.apply(&namespaces.collect::<Vec<_>>().join("---\n"));
    let databases: Vec<Database> =
        TENANTS.iter().map(|tenant| Database::make(cluster, &format!("cinque-{}", tenant.name))).collect();
    let day = TENANTS.iter().zip(&databases).map(|(tenant, database)| tenant.day(cluster, database));
    cluster.apply(&day.collect::<Vec<_>>().join("\n---\n"));
    databases
}

/// Asks for their end; [`gone`] waits for it.
pub fn clear(cluster: &Cluster) {
    for name in namespaces() {
        cluster.delete(&format!("/api/v1/namespaces/{name}"));
    }
}

/// Waits until nothing is left, whatever holds it.
pub fn gone(cluster: &Cluster) {
    let kinds = [
        "/apis/notturno.dev/v1alpha1/namespaces/{}/interventions",
        "/api/v1/namespaces/{}/configmaps",
        "/api/v1/namespaces/{}/pods",
    ];
    wait(90, "namespaces that are gone", || {
        let left: Vec<&str> = namespaces().filter(|name| cluster.get(&format!("/api/v1/namespaces/{name}")).is_some()).collect();
        for collection in left.iter().flat_map(|name| kinds.map(|kind| kind.replace("{}", name))) {
            for object in cluster.list(&collection) {
                if object["metadata"]["finalizers"].is_array() {
                    cluster.free(&format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap()));
                }
            }
        }
        left.is_empty().then_some(())
    });
}

#[test]
fn a_door_that_hands_out_mixed_rows_is_open_on_torn_data() {
    let rows = |version: &str| format!("000001 RX-1 {version} aperta \n").repeat(200);
    let answer = |status: &str, body: &str| serves(&format!("HTTP/1.1 {status}\r\nServer: x\r\n\r\n{body}"));
    assert_eq!(answer("200 OK", &(rows("v15") + &rows("v15"))), Seen::Open);
    assert_eq!(answer("200 OK", &(rows("v15") + &rows("v16"))), Seen::OpenOnTornData);
    assert_eq!(answer("404 Not Found", "pagina di cortesia"), Seen::Closed);
    assert_eq!(serves(""), Seen::Closed);
}
