//! `sealtrail agent` and `sealtrail attest`: the part that runs inside the trusted environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use sealtrail_agent::{Agent, AgentHandle, AttesterConfig, AttesterKind, Config, Level};
use sealtrail_attester::{Attester, Mode, NitroSim, RUNNING_PROGRAM, Software};

use crate::failure::Failure;
use crate::output::print;
use crate::policy::AcceptFile;
use crate::signals::stop_asked;

/// How often notices are shown and the agent is looked after.
const TICK: Duration = Duration::from_millis(200);

/// Run the in-TEE agent: OTLP in, sealed batches out
#[derive(Args, Debug)]
pub(crate) struct AgentArgs {
    /// Configuration, TOML
    #[arg(long, value_name = "FILE", env = "SEALTRAIL_AGENT_CONFIG")]
    config: PathBuf,

    /// Only check the configuration
    #[arg(long)]
    check: bool,
}

/// Evidence and reference values
#[derive(Args, Debug)]
pub(crate) struct AttestArgs {
    #[command(subcommand)]
    command: AttestCommand,
}

#[derive(Subcommand, Debug)]
enum AttestCommand {
    /// Print the reference value that accepts this program's evidence, for `stream add --accept` and a trust policy
    ReferenceValue {
        /// What makes the evidence
        #[arg(long, value_enum)]
        kind: Kind,
        /// Directory with the development root; created where it is missing
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The program that will run the agent [default: this one]
        #[arg(long, value_name = "FILE", default_value = RUNNING_PROGRAM, hide_default_value = true)]
        program: PathBuf,
    },
}

/// Kinds of attester.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A development key vouches for the program
    Software,
    /// A Nitro-shaped document under a development root
    NitroSim,
}

/// The attester of a kind, its root in a directory.
pub(crate) fn attester(kind: Kind, dir: &Path, program: &Path) -> Result<Box<dyn Attester>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from_error(error);
    fs::create_dir_all(dir).map_err(|error| Failure::new(format!("`{}`: {error}", dir.display())))?;
    Ok(match kind {
        Kind::Software => {
            Box::new(Software::open(&dir.join("software.key"), program).map_err(|error| failed(&error))?)
        }
        Kind::NitroSim => {
            let sim = NitroSim::open(&dir.join("nitro-sim"), program, Mode::Production);
            Box::new(sim.map_err(|error| failed(&error))?)
        }
    })
}

fn configured(config: &AttesterConfig) -> Result<Box<dyn Attester>, Failure> {
    let kind = match config.kind {
        AttesterKind::Software => Kind::Software,
        AttesterKind::NitroSim => Kind::NitroSim,
    };
    attester(kind, &config.dir, Path::new(RUNNING_PROGRAM))
}

pub(crate) fn attest(args: &AttestArgs) -> Result<ExitCode, Failure> {
    let AttestCommand::ReferenceValue { kind, dir, program } = &args.command;
    let attester = attester(*kind, dir, program)?;
    let file = AcceptFile { accept: vec![attester.reference_value()] };
    print(&toml::to_string(&file).map_err(|error| Failure::from_error(&error))?)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(args: &AgentArgs) -> Result<ExitCode, Failure> {
    let wrong = |what: String| Failure::new(format!("configuration `{}`: {what}", args.config.display()));
    let read = || {
        let text = fs::read_to_string(&args.config).map_err(|error| wrong(error.to_string()))?;
        Config::from_toml(&text).map_err(|error| wrong(error.to_string()))
    };
    let config = read()?;
    if args.check {
        config.check().map_err(|error| wrong(error.to_string()))?;
        print("the configuration is good\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let attester = configured(&config.attester)?;
    let mut agent = Agent::start(config, attester).map_err(|error| Failure::from_error(&error))?;
    print(&format!(
        "agent takes OTLP on grpc http://{} and http://{}\n",
        agent.grpc_address(),
        agent.http_address()
    ))?;
    // The agent has threads of its own; this one only waits for signals.
    let watching = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let watching = watching.map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    watching.block_on(watch(&agent, || {
        read().and_then(|config| agent.reconfigure(config).map_err(|error| Failure::from_error(&error)))
    }));
    end(&mut agent)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the agent with its last notices; fails where its outbox could not be written, so that whatever started it knows.
pub(crate) fn end(agent: &mut AgentHandle) -> Result<(), Failure> {
    agent.end();
    say(agent);
    if !agent.has_failed() {
        return Ok(());
    }
    Err(Failure::new("the agent stopped because its outbox could not be written")
        .hint("what it acknowledged is safe: see to the disk and start it again"))
}

/// Shows what the agent has to say until the process is asked to stop; SIGHUP reads the configuration again.
async fn watch(agent: &AgentHandle, reload: impl Fn() -> Result<(), Failure>) {
    let stop = stop_asked();
    tokio::pin!(stop);
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
        return;
    };
    loop {
        say(agent);
        tokio::select! {
            () = &mut stop => return,
            _ = hangup.recv() => {
                if let Err(failure) = reload() {
                    failure.report();
                }
            }
            () = tokio::time::sleep(TICK) => if agent.is_finished() { return },
        }
    }
}

/// Notices to standard error.
#[expect(clippy::print_stderr, reason = "the agent's operator reads standard error")]
pub(crate) fn say(agent: &AgentHandle) {
    for notice in agent.take_notices() {
        let level = match notice.level {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        eprintln!("agent: {level}: {}", notice.text);
    }
}
