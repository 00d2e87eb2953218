//! A gateway on Pingora: each value of x-session-affinity goes to one replica, and to a different one
//! while that replica is down.
//!
//! `pingora-gateway LISTEN REPLICA…`, each an address such as `127.0.0.1:19001`.

mod affinity;

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::services::background::background_service;
use pingora_load_balancing::health_check::TcpHealthCheck;
use pingora_proxy::http_proxy_service;

use affinity::{Affinity, Ring};

const USAGE: &str =
    "usage: pingora-gateway LISTEN REPLICA…, each an address such as 127.0.0.1:19001";

fn main() -> ExitCode {
    match addresses().as_deref() {
        Ok([listen, replicas @ ..]) if !replicas.is_empty() => run(*listen, replicas),
        Ok(_) => fail(USAGE),
        Err(error) => fail(error),
    }
}

fn addresses() -> Result<Vec<SocketAddr>, String> {
    let address = |text: String| match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => Err(format!(
            "{text:?} is not an IP address with a port; {USAGE}"
        )),
    };
    env::args().skip(1).map(address).collect()
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn run(listen: SocketAddr, replicas: &[SocketAddr]) -> ExitCode {
    let mut ring = match Ring::try_from_iter(replicas) {
        Ok(ring) => ring,
        Err(error) => return fail(&error.to_string()),
    };
    let mut check = TcpHealthCheck::new();
    // A replica on a machine that is busy for a second is not dead.
    check.consecutive_failure = 3;
    ring.set_health_check(check);
    ring.health_check_frequency = Some(Duration::from_millis(500));
    // A replica that does not answer does not delay the checks of the others.
    ring.parallel_health_check = true;
    let checks = background_service("health checks", ring);

    let settings = ServerConf {
        threads: available_parallelism().map_or(1, usize::from),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let gateway = Affinity::new(checks.task(), replicas.len());
    let mut gateway = http_proxy_service(&server.configuration, gateway);
    gateway.add_tcp(&listen.to_string());
    server.add_service(gateway);
    server.add_service(checks);
    server.run_forever()
}
