//! The whole road with every process apart: ledger, agent, a client, an auditor; and its interruptions.

use std::fs;

use serde_json::Value;

use crate::process::{Scratch, Server, address, good, http, sealtrail, text, until};

/// A ledger with one stream, and an agent's configuration for it.
struct Road {
    scratch: Scratch,
    ledger_address: String,
}

impl Road {
    fn new(kind: &str) -> Self {
        let scratch = Scratch::new();
        let (ledger, accept) = (scratch.path("ledger"), scratch.path("accept.toml"));
        good(&["init", text(&ledger), "--name", "ledger.test/road"]);
        let attester = scratch.path("attester");
        let value = good(&["attest", "reference-value", "--kind", kind, "--dir", text(&attester)]);
        fs::write(&accept, &value).unwrap();
        good(&["stream", "add", "payments", "--ledger", text(&ledger), "--accept", text(&accept)]);
        let policy = scratch.path("ledger.trust-policy.toml");
        let trusted = format!("{}\n{value}", fs::read_to_string(&policy).unwrap());
        fs::write(&policy, trusted).unwrap();
        // A port that stays the same over restarts, chosen by the system.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let road = Self { scratch, ledger_address: free.to_string() };
        road.configure(kind);
        road
    }

    fn configure(&self, kind: &str) {
        let policy: toml::Table = fs::read_to_string(self.policy()).unwrap().parse().unwrap();
        let ledger = &policy["ledger"];
        let trails = fs::read_dir(self.ledger().join("trails")).unwrap();
        let control = ledger["control"].as_str().unwrap();
        let names = trails.map(|trail| trail.unwrap().file_name().into_string().unwrap());
        let trail = names.into_iter().find(|name| name != control).unwrap();
        let config = format!(
            "stream = \"payments\"\nheartbeat_ms = 500\n\n[ledger]\nurl = \"http://{}\"\nname = {}\ncontrol = {}\nkey = {}\n\
             trail = \"{trail}\"\n\n[otlp]\ngrpc = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\n[batch]\ndelay_ms = 20\n\n\
             [outbox]\ndir = {:?}\n\n[attester]\nkind = \"{kind}\"\ndir = {:?}\n",
            self.ledger_address,
            ledger["name"],
            ledger["control"],
            ledger["key"],
            self.scratch.path("agent"),
            self.scratch.path("attester"),
        );
        fs::write(self.scratch.path("agent.toml"), config).unwrap();
        good(&["agent", "--config", text(&self.scratch.path("agent.toml")), "--check"]);
    }

    fn ledger(&self) -> std::path::PathBuf {
        self.scratch.path("ledger")
    }

    fn policy(&self) -> std::path::PathBuf {
        self.scratch.path("ledger.trust-policy.toml")
    }

    fn serve(&self) -> Server {
        let mut server = Server::start(&["serve", text(&self.ledger()), "--listen", &self.ledger_address]);
        assert!(server.line().ends_with(&self.ledger_address));
        server
    }

    fn agent(&self) -> (Server, String) {
        let mut agent = Server::start(&["agent", "--config", text(&self.scratch.path("agent.toml"))]);
        let http = address(&agent.line(), 1);
        (agent, http)
    }

    /// Records out of the ledger, by their number.
    fn exported(&self) -> Vec<i64> {
        let lines = good(&["export", "--jsonl", text(&self.ledger()), "--policy", text(&self.policy())]);
        let number = |line: &str| {
            let item: Value = serde_json::from_str(line).unwrap();
            item["record"]["attributes"]["n"].as_i64().unwrap()
        };
        lines.lines().map(number).collect()
    }

    fn verified(&self) {
        let verdict = good(&["verify", text(&self.ledger()), "--policy", text(&self.policy())]);
        assert!(verdict.starts_with("VERIFIED"), "{verdict}");
    }
}

/// One request with one record.
fn log(agent: &str, n: i64) -> u16 {
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"t"}}}}]}},
        "scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{}","body":{{"stringValue":"event"}},
        "attributes":[{{"key":"n","value":{{"intValue":"{n}"}}}}]}}]}}]}}]}}"#,
        1_767_225_600_000_000_000 + n
    );
    http(agent, "POST /v1/logs", body.as_bytes()).0
}

fn ready(agent: &str) {
    until("the agent is ready", || http(agent, "GET /readyz", b"").0 == 200);
}

fn metric(agent: &str, name: &str) -> u64 {
    let text = http(agent, "GET /metrics", b"").1;
    let line = text.lines().find(|line| line.starts_with(&format!("sealtrail_agent_{name} "))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn drained(agent: &str) {
    until("the outbox is empty", || metric(agent, "outbox_pending_bytes") == 0);
}

#[test]
fn from_a_log_call_to_a_verdict() {
    for kind in ["software", "nitro-sim"] {
        let road = Road::new(kind);
        let ledger = road.serve();
        let (agent, http) = road.agent();
        ready(&http);
        (0..30).for_each(|n| assert_eq!(log(&http, n), 200));
        agent.stop();
        ledger.stop();
        road.verified();
        assert_eq!(road.exported(), (0..30).collect::<Vec<_>>(), "{kind}");
    }
}

#[test]
fn a_receipt_shows_a_truncated_ledger() {
    let road = Road::new("software");
    let ledger = road.serve();
    let (agent, http) = road.agent();
    ready(&http);
    assert_eq!(log(&http, 1), 200);
    agent.stop();
    ledger.stop();
    let receipts = fs::read_dir(road.scratch.path("agent").join("receipts")).unwrap();
    let receipt = receipts.map(|item| item.unwrap().path()).max().unwrap();
    let (dir, policy) = (road.ledger(), road.policy());
    let args = ["verify", text(&dir), "--policy", text(&policy), "--receipt", text(&receipt)];
    let verdict = good(&args);
    assert!(verdict.contains(": included"), "{verdict}");
    let verdict: Value = serde_json::from_str(&good(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(verdict["receipts"][0]["result"], "included");
    assert_eq!(verdict["outcome"], "verified");
}

#[test]
fn nothing_acknowledged_is_lost_when_everything_is_killed() {
    let road = Road::new("software");
    let mut acknowledged = Vec::new();
    for round in 0..3_i64 {
        let ledger = road.serve();
        let (agent, http) = road.agent();
        ready(&http);
        for n in round * 10..round * 10 + 5 {
            assert_eq!(log(&http, n), 200);
            acknowledged.push(n);
        }
        // The ledger dies; the agent goes on sealing on its own, and dies as well.
        ledger.kill();
        for n in round * 10 + 5..round * 10 + 10 {
            assert_eq!(log(&http, n), 200);
            acknowledged.push(n);
        }
        agent.kill();
    }
    let ledger = road.serve();
    let (agent, http) = road.agent();
    ready(&http);
    drained(&http);
    agent.stop();
    ledger.stop();
    road.verified();
    let mut exported = road.exported();
    exported.sort_unstable();
    assert_eq!(exported, acknowledged);
}

#[test]
fn an_agent_whose_disk_fails_ends_with_an_error() {
    let road = Road::new("software");
    let ledger = road.serve();
    let (agent, http) = road.agent();
    ready(&http);
    let receipts = road.scratch.path("agent").join("receipts");
    fs::remove_dir_all(&receipts).unwrap();
    fs::write(&receipts, "no directory").unwrap();
    // The end may be faster than the answer, which then fails.
    let _ = std::thread::spawn(move || log(&http, 1)).join();
    assert_eq!(agent.wait(), Some(2));
    fs::remove_file(&receipts).unwrap();
    let (agent, http) = road.agent();
    ready(&http);
    assert_eq!(log(&http, 1), 200);
    agent.stop();
    ledger.stop();
    road.verified();
    assert_eq!(road.exported(), [1]);
}

#[test]
fn a_ledger_is_opened_by_one_process_at_a_time() {
    let road = Road::new("software");
    let ledger = road.serve();
    let second = sealtrail(&["serve", text(&road.ledger()), "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("error: ") && said.contains("process"), "{said}");
    ledger.stop();
}

#[test]
fn a_record_is_shown_with_its_proof() {
    let road = Road::new("nitro-sim");
    let ledger = road.serve();
    let (agent, http) = road.agent();
    ready(&http);
    assert_eq!(log(&http, 7), 200);
    agent.stop();
    ledger.stop();
    let (dir, policy) = (road.ledger(), road.policy());
    let line = good(&["export", "--jsonl", text(&dir), "--policy", text(&policy)]);
    let item: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let id = item["id"].as_str().unwrap();
    let shown = good(&["show", id, "--ledger", text(&dir), "--policy", text(&policy), "--proof", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["leaf"]["holds"], true);
    assert_eq!(shown["epoch"]["evidence"], "nitro-sim");
    assert_eq!(shown["epoch"]["simulated"], true);
    assert_eq!(shown["verdict"]["outcome"], "verified");
    let text_form = good(&["show", id, "--ledger", text(&dir), "--policy", text(&policy), "--proof"]);
    for step in ["record ", "leaf ", "signature ", "evidence ", "entry ", "checkpoint "] {
        assert!(text_form.contains(step), "{step} in {text_form}");
    }
}

#[test]
fn a_running_ledger_is_verified_over_http() {
    let road = Road::new("software");
    let ledger = road.serve();
    let (agent, http) = road.agent();
    ready(&http);
    (0..5).for_each(|n| assert_eq!(log(&http, n), 200));
    drained(&http);
    let url = format!("http://{}", road.ledger_address);
    until("the records are published", || {
        let verdict = sealtrail(&["verify", &url, "--policy", text(&road.policy()), "--json"]);
        let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap();
        assert_eq!(verdict["outcome"], "verified", "{verdict:#}");
        verdict["covered"]["records"].as_u64().unwrap() >= 5 + 3
    });
    agent.stop();
    ledger.stop();
}
