//! The example `agent_server`, from the inbound session to the calls that its tasks make.

#[path = "../examples/agent_server.rs"]
mod agent_server;

#[test]
fn every_call_of_spawned_work_and_sockets_carries_its_own_session_and_is_counted() {
    agent_server::main().expect("the example runs to its end");
}
