//! An agent server, from the inbound session to the calls that its streamed answer makes.

#[path = "../examples/agent_server.rs"]
mod agent_server;

#[test]
fn every_call_of_a_streaming_handler_carries_its_own_session() {
    agent_server::main().expect("the example runs to its end");
}
