//! Servers tell each other which of their addresses they reach, and nobody uses them to knock at other doors.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use tokio::net::TcpListener;

use crate::support::{
    program::{Relay, command, free_tcp_port},
    soon, until,
};

fn peering(relay: &Relay, name: &str) -> u64 {
    relay.health()["peering"][name].as_u64().unwrap_or_else(|| panic!("no {name} in /healthz"))
}

fn answering() -> Relay {
    Relay::start(&["--tcp", "same", "--autonat", "answer"])
}

fn by_tcp(relay: &Relay) -> String {
    relay.address_by(&format!("/tcp/{}", relay.listen.port())).to_string()
}

#[tokio::test]
async fn a_server_learns_which_of_its_addresses_others_reach() {
    let other = answering();
    let port = free_tcp_port();
    let server = Relay::start(&["--peers", &by_tcp(&other), "--autonat", "ask", "--tcp", &format!("127.0.0.1:{port}")]);
    until("both addresses are judged", || peering(&server, "reached") == 2).await;
    assert_eq!((peering(&server, "unreached"), peering(&other, "reachRefused")), (0, 0));
    assert!(peering(&other, "reachAnswers") >= 2);
}

#[tokio::test]
async fn an_address_that_nobody_reaches_is_said_in_plain_words() {
    let other = answering();
    let nobody = format!("/ip4/127.0.0.1/tcp/{}/ws", free_tcp_port());
    let data_dir = tempfile::tempdir().unwrap();
    let mut process = command(data_dir.path())
        .args(["--listen", "127.0.0.1:0", "--peers", &by_tcp(&other), "--autonat", "ask", "--external", &nobody])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let sentence = format!("nobody outside reaches {nobody}: open the port");
    let told = tokio::task::spawn_blocking(move || log.any(|line| line.contains(&sentence)));
    let told = soon("the sentence", told).await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(told);
}

#[tokio::test]
async fn nobody_is_dialled_in_a_network_that_is_not_the_askers() {
    // All of 127.0.0.0/8 is this machine, so that a dial would arrive.
    let inner = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let other = answering();
    let target = format!("/ip4/127.0.0.9/tcp/{}/ws", inner.local_addr().unwrap().port());
    let server = Relay::start(&["--peers", &by_tcp(&other), "--autonat", "ask", "--external", &target]);
    until("the refusal", || peering(&other, "reachRefused") >= 1).await;
    until("the judgement", || peering(&server, "unreached") == 1).await;
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(500), inner.accept()).await;
    assert!(knocked.is_err(), "it was dialled");
    assert_eq!(peering(&other, "reachAnswers"), 0);
}

#[tokio::test]
async fn so_many_questions_of_one_network_are_answered() {
    let other = Relay::start(&["--tcp", "same", "--autonat", "answer", "--autonat-per-minute-per-network", "1"]);
    let many: Vec<_> = (0..3).map(|_| format!("/ip4/127.0.0.1/tcp/{}/ws", free_tcp_port())).collect();
    let _server = Relay::start(&["--peers", &by_tcp(&other), "--autonat", "ask", "--external", &many.join(",")]);
    until("the refusals", || peering(&other, "reachRefused") >= 2).await;
    assert_eq!(peering(&other, "reachAnswers"), 1);
}
