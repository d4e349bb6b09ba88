//! What the kernel and the server are told: silence ends a connection, and no request outlives its caller.

use std::time::Duration;

use notturno::operator::connect;
use notturno::operator::effects::Tenants;
use socket2::SockRef;
use std::sync::Arc;
use tower::Service;

use crate::world::{LIMIT, NIGHT, QUICK, WORK, World};

#[tokio::test]
async fn a_connection_is_told_to_give_up_on_a_silent_peer() {
    let world = World::new(QUICK).await;
    let mut tcp = connect::tcp(LIMIT);
    let stream = tcp.call(format!("http://{}", world.front.address).parse().unwrap()).await.unwrap();
    let stream = stream.into_inner();
    let socket = SockRef::from(&stream);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(LIMIT));
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
    let found = [socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()];
    assert_eq!(found, [Duration::from_secs(5); 2], "both fit twice into the limit");
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
}

/// The kernel's own list of connections says which have a keepalive timer.
#[tokio::test]
async fn the_operators_own_connections_and_the_tenants_are_kept_alive() {
    let world = World::new(QUICK).await;
    let config = world.front.config();
    let client = connect::client(&config, LIMIT).unwrap();
    client.apiserver_version().await.unwrap();
    let own = timers(world.front.address.port());
    assert!(!own.is_empty() && own.iter().all(|timer| timer == "02"), "{own:?}");
    let tenants = Tenants::new(client, Arc::new(connect::client_for_token(&config, LIMIT)));
    let tenant = tenants.of(WORK, "lavori-notturni").await.unwrap();
    tenant.client.apiserver_version().await.unwrap();
    let both = timers(world.front.address.port());
    assert!(both.len() > own.len() && both.iter().all(|timer| timer == "02"), "{both:?}");
}

/// The timers of all connections to this port: `00` none, `02` keepalive.
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to_port = format!(":{port:04X}");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.len() > 5 && fields[2].ends_with(&to_port) && fields[3] == "01")
        .map(|fields| fields[5].split(':').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_request_of_a_night_but_its_watches_tells_the_server_its_limit() {
    let world = World::new(QUICK).await;
    world.night();
    let _operator = world.operator();
    assert_eq!(world.outcome(NIGHT).await, "Completed");
    let asked = world.front.asked();
    let writes = asked.iter().filter(|one| one.method != "GET").count();
    assert!(writes > 10, "{}", world.front.story());
    for one in &asked {
        let told: Vec<&str> = one.query.split('&').filter(|part| part.starts_with("timeout=")).collect();
        let expected: &[&str] = if one.is_watch() { &[] } else { &["timeout=10s"] };
        assert_eq!(told, expected, "{} {}?{}", one.method, one.path, one.query);
    }
}
