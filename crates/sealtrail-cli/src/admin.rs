//! `sealtrail init`, `serve` and `stream add`: a ledger is made, run, told of its writers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sealtrail_core::name::{LedgerName, Name, TrailId};
use sealtrail_ledger::{Config, InitOptions, Initialised, Ledger};

use crate::failure::Failure;
use crate::output::print;
use crate::policy::{AcceptFile, PolicyFile};
use crate::signals::stop_asked;

/// Create a ledger
///
/// Makes the directory with its key and control trail, and beside it a trust policy that names the ledger. Give that file to
/// auditors by a way that the ledger's operator does not control.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// Where to create it; must be empty or missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// The ledger's name, part of every trail's origin for ever, like log.example.org/audit
    #[arg(long)]
    name: String,

    /// Where to write the trust policy [default: DIR with .trust-policy.toml]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Run a ledger
///
/// Listens on loopback only: there is no access control yet.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Configuration, TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Address to listen on, in place of the configured one; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
}

/// Administer streams: who may write
#[derive(Args, Debug)]
pub(crate) struct StreamArgs {
    #[command(subcommand)]
    command: StreamCommand,
}

#[derive(Subcommand, Debug)]
enum StreamCommand {
    Add(AddArgs),
}

/// Let a stream write to a trail, given evidence that one of the reference values accepts
///
/// The ledger must not be running. The trail is created where it does not exist.
#[derive(Args, Debug)]
struct AddArgs {
    /// Name of the stream
    #[arg(value_name = "NAME")]
    name: String,

    /// The ledger's directory
    #[arg(long, value_name = "DIR", default_value = "sealtrail-data/ledger", env = "SEALTRAIL_LEDGER")]
    ledger: PathBuf,

    /// Name of the trail to write to
    #[arg(long, default_value = "main")]
    trail: String,

    /// Retention class of the trail, where it is created
    #[arg(long, default_value = "default")]
    class: String,

    /// Reference values: a TOML file of [[accept]], as `sealtrail attest reference-value` prints them
    #[arg(long, value_name = "FILE")]
    accept: PathBuf,
}

pub(crate) fn init(args: &InitArgs) -> Result<ExitCode, Failure> {
    let name = LedgerName::new(&args.name).map_err(Failure::usage)?;
    let made = create(&args.dir, name)?;
    let beside = || args.dir.with_file_name(format!("{}.trust-policy.toml", file_name(&args.dir)));
    let path = args.policy.clone().unwrap_or_else(beside);
    PolicyFile::new(&made).write(&path)?;
    print(&format!(
        "ledger        {}\ndirectory     {}\ncontrol trail {}\nkey           {}\ngenesis       {}\ntrust policy  {}\n\n\
         next: sealtrail attest reference-value … > accept.toml\n      sealtrail stream add NAME --ledger {} --accept accept.toml\n      cat accept.toml >> {}   # whom auditors accept\n      sealtrail serve {}\n",
        made.name,
        args.dir.display(),
        made.control,
        made.vkey,
        made.genesis,
        path.display(),
        args.dir.display(),
        path.display(),
        args.dir.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn file_name(dir: &Path) -> String {
    dir.file_name().map_or_else(|| "ledger".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Makes a ledger.
pub(crate) fn create(dir: &Path, name: LedgerName) -> Result<Initialised, Failure> {
    Ledger::init(dir, &InitOptions { name }).map_err(|error| {
        Failure::from_error(&error).hint(format!("`{}` must be an empty directory or none", dir.display()))
    })
}

/// Opens a ledger for writing.
pub(crate) fn open(dir: &Path, config: Config) -> Result<Ledger, Failure> {
    Ledger::open(dir, config).map_err(|error| Failure::from_error(&error))
}

pub(crate) fn serve(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let mut config = match &args.config {
        None => Config::default(),
        Some(path) => {
            let wrong = |what: String| Failure::new(format!("configuration `{}`: {what}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    config.listen = args.listen.unwrap_or(config.listen);
    let ledger = open(&args.dir, config)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let listener = ledger.listen().await.map_err(|error| Failure::from_error(&error))?;
        let address = listener.local_addr().map_err(|error| Failure::from_error(&error))?;
        print(&format!("ledger {} listens on http://{address}\n", ledger.status().ledger))?;
        ledger.serve(listener, stop_asked()).await.map_err(|error| Failure::from_error(&error))
    })?;
    drop(runtime);
    ledger.close().map_err(|error| Failure::from_error(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The runtime of everything that listens.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("ledger-io")
        .enable_all()
        .build();
    runtime.map_err(|error| Failure::new(format!("cannot start threads: {error}")))
}

pub(crate) fn stream(args: &StreamArgs) -> Result<ExitCode, Failure> {
    let StreamCommand::Add(add) = &args.command;
    let wrong = |what: String| Failure::new(format!("reference values `{}`: {what}", add.accept.display()));
    let text = fs::read_to_string(&add.accept).map_err(|error| wrong(error.to_string()))?;
    let values: AcceptFile = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let stream = Name::new(&add.name).map_err(Failure::usage)?;
    let trail = Name::new(&add.trail).map_err(Failure::usage)?;
    let class = Name::new(&add.class).map_err(Failure::usage)?;
    let ledger = open(&add.ledger, Config::default())?;
    let id = trail_named(&ledger, &trail, &class)?;
    ledger.add_stream(&stream, id, values.accept).map_err(|error| Failure::from_error(&error))?;
    ledger.close().map_err(|error| Failure::from_error(&error))?;
    print(&format!("stream {stream} may write to trail {trail} ({id})\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The trail of this name, created where it does not exist.
pub(crate) fn trail_named(ledger: &Ledger, name: &Name, class: &Name) -> Result<TrailId, Failure> {
    match ledger.trails().into_iter().find(|(_, known)| known == name) {
        Some((id, _)) => Ok(id),
        None => ledger.add_trail(name, class).map_err(|error| Failure::from_error(&error)),
    }
}
