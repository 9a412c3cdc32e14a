//! `doctor`: what goes wrong with caches, looked for one by one, and what helps.
//!
//! It reads the settings as `serve` would, and asks the instance that runs with them. It changes
//! nothing: no invalidation is made and no event is written. In the directory of the log and in the
//! data directory it creates an empty file and removes it, to see whether that works. One file for
//! each group of checks; each check has a time limit and none waits for another.

mod answering;
mod check;
mod disk;
mod mirrors;
mod names;
mod places;
mod stream;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::OnceCell;
use url::Url;

use super::Exit;
use super::settings::SettingsArgs;
use crate::config::{self, Settings, Sources};
use crate::net::{self, Network, Transport};
use answering::Instance;
use check::{Check, Status, show};
use places::Visit;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror doctor
  cache-mirror doctor --only config,secrets,env             nothing is asked over the network
  cache-mirror doctor --server https://eu.example.org --token-file eu.token
  cache-mirror doctor --sse https://www.example.org/api/stream
  cache-mirror doctor --json | jq '.checks[] | select(.status != \"ok\")'";

/// Longest time for one group; what is asked in it has limits of its own, and shorter ones.
const GROUP_TIME_MAX: Duration = Duration::from_secs(60);

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The control API of the instance to ask [env: CACHE_MIRROR_URL] [default: control.listen]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the token [env: CACHE_MIRROR_TOKEN] [default: auth.admin_token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The stream as browsers reach it, such as https://www.example.org/api/stream
    #[arg(long, value_name = "URL", value_parser = stream_url)]
    sse: Option<Url>,
    /// Only these checks
    #[arg(long, value_name = "CHECK", value_delimiter = ',', num_args = 1..)]
    only: Vec<Group>,
}

/// The groups of checks, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The settings are valid, and have no likely mistakes
    Config,
    /// Secrets are long enough, and each has one role
    Secrets,
    /// Which variables were seen
    Env,
    /// An instance answers, and takes our token
    Listen,
    /// The log can be written
    Log,
    /// The journal can be written, and is whole
    Journal,
    /// Versions are counted
    Versions,
    /// Mirrors answer, know our account, and have our graph
    Mirror,
    /// The backlog of each destination, and why it waits
    Backlog,
    /// No address redirects: a POST would not arrive
    Redirect,
    /// Clocks agree as far as tokens need it
    Clock,
    /// No mirror's name hides several instances
    Names,
    /// The endpoint that revalidates answers
    Revalidate,
    /// The stream is not held back on its way
    Sse,
}

/// What the checks look at.
struct Case {
    sources: Sources,
    settings: Settings,
    instance: Instance,
    sse: Option<Url>,
    network: Network,
    visits: OnceCell<Vec<Visit>>,
}

impl Case {
    /// The way to a peer: with its own authorities, where it has such.
    fn way_to(&self, name: &str) -> &dyn Transport {
        let peer = self.settings.deliver.peers.iter().find(|peer| peer.name == name);
        let own = peer.and_then(|peer| peer.network.as_deref());
        own.unwrap_or(&self.network)
    }

    /// What stands before statements about settings that are this shell's, and not those of the
    /// instance that answers; empty where there is no difference to see.
    fn label(&self) -> &'static str {
        written::label(&self.settings, &self.instance)
    }

    /// Findings about what the settings of this shell name.
    fn of_shell(&self, found: Vec<Check>) -> Vec<Check> {
        found.into_iter().map(|check| check.labelled(self.label())).collect()
    }

    /// Every address, asked once.
    async fn visits(&self) -> &[Visit] {
        self.visits.get_or_init(|| places::visit(self)).await
    }
}

fn stream_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("expected an http or https URL".into()),
    }
}

/// Runs the checks, prints them, and gives the exit code.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let sources = args.settings.sources()?;
    let settings = match config::load(&sources) {
        Ok(settings) => settings,
        Err(problems) => {
            show(&written::broken(&problems), is_json)?;
            return Err(Exit::Config(vec![format!(
                "{} in the configuration; nothing else was looked at",
                super::print::count(problems.len() as u64, "problem", "problems")
            )]));
        }
    };
    let instance = answering::look(args, (&sources, &settings)).await?;
    let network = network(&settings).map_err(|error| Exit::Failed(error.to_string()))?;
    let (sse, visits) = (args.sse.clone(), OnceCell::new());
    let case = Case { sources, settings, instance, sse, network, visits };
    let groups = Group::value_variants().iter().copied();
    let wanted = groups.filter(|group| args.only.is_empty() || args.only.contains(group));
    let found = join_all(wanted.map(|group| within_time(group, &case))).await;
    let checks: Vec<Check> = found.into_iter().flatten().collect();
    show(&checks, is_json)?;
    judge(&checks, &case.instance)
}

fn network(settings: &Settings) -> Result<Network, net::ClientError> {
    Network::new(net::Config {
        timeout: settings.deliver.timeout,
        connect_time_max: settings.deliver.connect_time_max,
        answer_bytes_max: settings.deliver.answer_bytes_max,
    })
}

/// One group; never longer than its time.
async fn within_time(group: Group, case: &Case) -> Vec<Check> {
    let name = group.to_possible_value().map(|value| value.get_name().to_owned());
    match tokio::time::timeout(GROUP_TIME_MAX, look(group, case)).await {
        Ok(checks) => checks,
        Err(_) => {
            let detail = format!("no end within {} s", GROUP_TIME_MAX.as_secs());
            let remedy = "something holds its connections open: try again with only this check";
            vec![Check::fail(name.unwrap_or_default(), detail, remedy)]
        }
    }
}

fn look(group: Group, case: &Case) -> BoxFuture<'_, Vec<Check>> {
    match group {
        Group::Config => ready(written::settings(&case.settings, &case.instance)),
        Group::Secrets => ready(case.of_shell(written::secrets(&case.settings))),
        Group::Env => ready(case.of_shell(written::variables(&case.sources))),
        Group::Listen => ready(answering::checks(case)),
        Group::Log => ready(disk::log(case)),
        Group::Journal => ready(disk::journal(case)),
        Group::Versions => Box::pin(answering::versions(case)),
        Group::Mirror => Box::pin(mirrors::reached(case)),
        Group::Backlog => ready(mirrors::backlogs(case)),
        Group::Redirect => Box::pin(async { case.of_shell(places::redirects(case).await) }),
        Group::Clock => Box::pin(async { case.of_shell(places::clocks(case).await) }),
        Group::Names => Box::pin(async { case.of_shell(names::checks(case).await) }),
        Group::Revalidate => Box::pin(async { case.of_shell(places::revalidates(case).await) }),
        Group::Sse => Box::pin(stream::checks(case)),
    }
}

fn ready(checks: Vec<Check>) -> BoxFuture<'static, Vec<Check>> {
    Box::pin(std::future::ready(checks))
}

/// The exit code: an instance that was named and is not there counts before all else.
fn judge(checks: &[Check], instance: &Instance) -> Result<(), Exit> {
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .map(|check| check.name.as_str())
        .collect();
    if let Instance::Silent { why, is_named: true, .. } = instance {
        return Err(Exit::Unreachable(why.clone()));
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(Exit::Failed(format!(
            "{count} of {} failed: {}",
            super::print::count(checks.len() as u64, "check", "checks"),
            failed.join(", ")
        ))),
    }
}
