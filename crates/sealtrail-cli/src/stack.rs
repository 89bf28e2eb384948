//! Ledger, agent and attester in one process: what `sealtrail dev` runs and `sealtrail bench` measures.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use sealtrail_agent::{Acknowledge, Agent, AgentHandle, AttesterKind, Environment, OtlpConfig};
use sealtrail_attester::RUNNING_PROGRAM;
use sealtrail_core::name::{LedgerName, Name, TrailId};
use sealtrail_ledger::Ledger;
use serde_json::json;
use tokio::sync::oneshot;

use crate::admin::{create, open, runtime, trail_named};
use crate::agent::{Kind, attester};
use crate::failure::Failure;
use crate::listening::Listening;
use crate::policy::PolicyFile;

/// What to run, and where.
#[derive(Clone, Debug)]
pub(crate) struct StackConfig {
    /// Directory of everything.
    pub(crate) data: PathBuf,
    /// The ledger's address.
    pub(crate) listen: SocketAddr,
    /// The agent's addresses.
    pub(crate) otlp: OtlpConfig,
    /// What the attester is.
    pub(crate) attester: Kind,
    /// When a request is answered with success.
    pub(crate) acknowledge: Acknowledge,
    /// The stream that the agent writes.
    pub(crate) stream: String,
}

/// A running stack.
pub(crate) struct Stack {
    /// The agent.
    pub(crate) agent: AgentHandle,
    /// The ledger.
    pub(crate) ledger: Arc<Ledger>,
    /// Where the ledger listens.
    pub(crate) ledger_address: SocketAddr,
    /// The trust policy.
    pub(crate) policy: PathBuf,
    /// The ledger's directory.
    pub(crate) ledger_dir: PathBuf,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), Failure>>,
}

impl Stack {
    /// Takes the addresses, makes what is missing in the data directory, and starts everything.
    pub(crate) fn start(config: &StackConfig) -> Result<Self, Failure> {
        let stream = Name::new(&config.stream).map_err(Failure::usage)?;
        let ledger_config =
            sealtrail_ledger::Config { listen: config.listen, ..sealtrail_ledger::Config::default() };
        let listening = Listening::bind(&ledger_config, &config.otlp)?;
        let (ledger_dir, policy) = (config.data.join("ledger"), config.data.join("trust-policy.toml"));
        fs::create_dir_all(&config.data)
            .map_err(|error| Failure::new(format!("`{}`: {error}", config.data.display())))?;
        let mut trust = match PolicyFile::read(&policy)? {
            Some(trust) => trust,
            None if ledger_dir.exists() => {
                let missing = format!(
                    "`{}` exists, but its trust policy `{}` does not",
                    ledger_dir.display(),
                    policy.display()
                );
                return Err(Failure::new(missing)
                    .hint("bring the trust policy back, or give another directory with --data; keep this one: it holds records"));
            }
            None => new_ledger(&ledger_dir, &policy)?,
        };
        let attester_dir = config.data.join("attester");
        let attester = attester(config.attester, &attester_dir, Path::new(RUNNING_PROGRAM))?;
        let value = attester.reference_value();
        let ledger = open(&ledger_dir, ledger_config)?;
        let class = Name::new("default").map_err(Failure::new)?;
        let trail = trail_named(&ledger, &Name::new("main").map_err(Failure::new)?, &class)?;
        let unknown_code = !trust.accept.contains(&value);
        if unknown_code || !ledger.has_stream(&stream, trail) {
            ledger
                .add_stream(&stream, trail, vec![value.clone()])
                .map_err(|error| Failure::from_error(&error))?;
        }
        if unknown_code {
            trust.accept.push(value);
            trust.write(&policy)?;
        }
        let ledger = Arc::new(ledger);
        let (stop, server, ledger_address) = serve(&ledger, listening.ledger)?;
        let agent_config = agent_config(config, &trust, ledger_address, trail, &attester_dir)?;
        let agent = Agent::start_on(listening.agent, agent_config, attester, Environment::system())
            .map_err(|error| Failure::from_error(&error))?;
        Ok(Self { agent, ledger, ledger_address, policy, ledger_dir, stop, server })
    }

    /// Seals and commits what was taken, closes the epochs, ends.
    pub(crate) fn shutdown(self) -> Result<(), Failure> {
        self.agent.shutdown();
        // The server may have ended by itself; joining says why.
        let _ = self.stop.send(());
        self.server.join().map_err(|_| Failure::new("the ledger's server panicked"))??;
        let ledger =
            Arc::into_inner(self.ledger).ok_or_else(|| Failure::new("the ledger is still in use"))?;
        ledger.close().map_err(|error| Failure::from_error(&error))
    }
}

fn new_ledger(dir: &Path, policy: &Path) -> Result<PolicyFile, Failure> {
    let name = LedgerName::new("localhost/dev").map_err(Failure::new)?;
    let made = create(dir, name)?;
    let trust = PolicyFile::new(&made);
    trust.write(policy)?;
    Ok(trust)
}

type Server = (oneshot::Sender<()>, JoinHandle<Result<(), Failure>>, SocketAddr);

/// Serves the ledger on a thread of its own until told to stop.
fn serve(ledger: &Arc<Ledger>, listener: TcpListener) -> Result<Server, Failure> {
    let runtime = runtime()?;
    let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) });
    let listener = listener.map_err(|error| Failure::from_error(&error))?;
    let address = listener.local_addr().map_err(|error| Failure::from_error(&error))?;
    let (stop, stopped) = oneshot::channel();
    let ledger = Arc::clone(ledger);
    let server = std::thread::spawn(move || {
        let until = async {
            // A dropped sender is a stop as well.
            let _ = stopped.await;
        };
        runtime.block_on(ledger.serve(listener, until)).map_err(|error| Failure::from_error(&error))
    });
    Ok((stop, server, address))
}

fn agent_config(
    config: &StackConfig,
    trust: &PolicyFile,
    ledger: SocketAddr,
    trail: TrailId,
    attester_dir: &Path,
) -> Result<sealtrail_agent::Config, Failure> {
    let written = json!({
        "stream": config.stream,
        "acknowledge": config.acknowledge,
        "ledger": {
            "url": format!("http://{ledger}"), "name": trust.ledger.name, "control": trust.ledger.control,
            "key": trust.ledger.key, "trail": trail.to_string(),
        },
        "otlp": config.otlp,
        "outbox": { "dir": config.data.join("agent") },
        "attester": {
            "kind": match config.attester {
                Kind::Software => AttesterKind::Software,
                Kind::NitroSim => AttesterKind::NitroSim,
            },
            "dir": attester_dir,
        },
    });
    serde_json::from_value(written).map_err(|error| Failure::from_error(&error))
}
