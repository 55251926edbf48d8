//! Without a model server in the settings, nothing is sent over any network: the binary completes without one.

#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::Value;

use crate::cli::stdio::Server;

/// `unshare` with the flags for a network namespace of its own; users other than root also need a user namespace. If
/// neither is allowed, CI fails, and any other run prints that it skips the test.
fn unshare() -> Option<Command> {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let command = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(arguments);
        command
    };
    let is_allowed =
        |arguments: &&&[&str]| command(arguments).arg("true").output().is_ok_and(|output| output.status.success());
    let way = ways.iter().find(is_allowed);
    assert!(
        way.is_some() || std::env::var_os("CI").is_none(),
        "expected to be allowed a network namespace (`unshare --net`)"
    );
    if way.is_none() {
        println!("skipped: no network namespace is allowed");
    }
    way.map(|arguments| command(arguments))
}

/// The network sockets that process `id` sees.
fn sockets(id: u32) -> Vec<String> {
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"];
    let read = |table: &str| std::fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap_or_default();
    tables.iter().flat_map(|table| read(table).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_completion_needs_no_network_and_opens_no_socket() {
    let Some(model) = crate::support::starter() else { return };
    let Some(mut command) = unshare() else { return };
    command.args([env!("CARGO_BIN_EXE_phi-ls"), "serve", "--completion-model", model.to_str().unwrap()]);
    let models = tempfile::tempdir().unwrap();
    let mut server = Server::run(command, models.path());
    server.open_with_settings(Value::Null);
    let items = server.complete(2);
    assert!(items[0]["insertText"].as_str().is_some_and(|text| text.contains("first")), "{items}");
    // `unshare` is replaced by the server, so it is the same process.
    assert_eq!(sockets(server.process_id()), [""; 0]);
    let interfaces = std::fs::read_to_string(format!("/proc/{}/net/dev", server.process_id())).unwrap();
    assert_eq!(
        interfaces.lines().filter(|line| line.contains(':')).count(),
        1,
        "only the loopback, which is down: {interfaces}"
    );
    assert_eq!(server.end(), Some(0));
}
