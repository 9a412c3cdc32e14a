//! What stands while the demo runs: the directory, the instances, the sites and the readers; and
//! how it is put up and taken down.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_all, try_join_all};
use reqwest::Method;
use serde_json::Value;

use super::child::{Instance, Plan};
use super::database::Database;
use super::front::Front;
use super::readers::Reader;
use super::scratch::Scratch;
use super::site::Site;
use crate::cli::{Exit, print, secret};
use crate::support::Secret;

/// The three instances; the first is where the editor works.
pub const NAMES: [&str; 3] = ["staging", "production-eu", "production-us"];
/// The account that every instance logs in with at the others.
pub const EMAIL: &str = "mirror@demo.example";
/// A free port may be taken between its choice and its use; three times in a row it is not chance.
const STARTS: usize = 3;
/// Until each has found itself and the others in its list.
const ACQUAINTANCE_TIME_MAX: Duration = Duration::from_secs(10);

/// What stands.
pub struct Stage {
    // Dropped in this order: readers before what they read.
    pub readers: Vec<Reader>,
    pub fronts: Vec<Front>,
    pub sites: Vec<Site>,
    pub instances: Vec<Instance>,
    pub database: Arc<Database>,
    scratch: Scratch,
}

impl Stage {
    /// An empty one.
    ///
    /// # Errors
    /// There is no directory to be had.
    pub fn new() -> Result<Self, Exit> {
        Ok(Self {
            readers: vec![],
            fronts: vec![],
            sites: vec![],
            instances: vec![],
            database: Arc::new(Database::new()),
            scratch: Scratch::new()?,
        })
    }

    /// Starts the instances, then the sites and the readers.
    ///
    /// # Errors
    /// One of them does not come up.
    pub async fn set(&mut self) -> Result<(), Exit> {
        let mut attempt = 1;
        self.instances = loop {
            match self.start(attempt).await {
                Err(exit) if attempt == STARTS => return Err(exit),
                Err(_) => attempt += 1,
                Ok(instances) => break instances,
            }
        };
        for instance in &self.instances {
            let (name, client) = (instance.name, instance.client.clone());
            let site = Site { instance: name, client, database: Arc::clone(&self.database) };
            self.fronts.push(Front::open(site.clone()).await?);
            self.readers.push(Reader::open(&site.client).await?);
            self.sites.push(site);
        }
        Ok(())
    }

    async fn start(&self, attempt: usize) -> Result<Vec<Instance>, Exit> {
        let mirrors = free_addresses()?;
        let password = Secret::new(secret::random(24)?);
        let plans = mirrors.iter().map(|(name, address)| {
            Ok(Plan {
                name,
                address: *address,
                mirrors: &mirrors,
                email: EMAIL,
                password: &password,
                token: Secret::new(secret::random(24)?),
                dir: self.scratch.path().join(format!("{name}-{attempt}")),
            })
        });
        let plans = plans.collect::<Result<Vec<_>, Exit>>()?;
        try_join_all(plans.into_iter().map(Instance::start)).await
    }

    /// Waits until every instance knows who is who in its list.
    ///
    /// # Errors
    /// That does not come about.
    pub async fn until_acquainted(&self) -> Result<(), Exit> {
        let deadline = Instant::now() + ACQUAINTANCE_TIME_MAX;
        for instance in &self.instances {
            while let Some(stranger) = stranger(instance).await? {
                if Instant::now() > deadline {
                    let text = format!("{} does not recognise {stranger}", instance.name);
                    return Err(Exit::Failed(text));
                }
                // It was asked before it was up: the next question would come in minutes.
                let path = format!("/api/mirrors/{stranger}/retry");
                instance.client.call(Method::POST, &path, None).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// The name of the first instance that ends by itself.
    pub async fn until_one_ends(&mut self) -> &'static str {
        let ends = self.instances.iter_mut().map(|instance| {
            Box::pin(async move {
                instance.ended().await;
                instance.name
            })
        });
        select_all(ends).await.0
    }

    /// Takes it all down.
    pub async fn strike(mut self) {
        self.readers.clear();
        self.fronts.clear();
        join_all(self.instances.iter_mut().map(Instance::stop)).await;
    }
}

/// A mirror that an instance has not placed yet.
async fn stranger(instance: &Instance) -> Result<Option<String>, Exit> {
    let answer = instance.client.get("/api/mirrors").await?;
    let is_placed = |mirror: &Value| match mirror["name"] == instance.name {
        true => mirror["kind"] == "self",
        false => mirror["kind"] == "cache-mirror",
    };
    let mirrors = answer["mirrors"].as_array();
    let stranger = mirrors.into_iter().flatten().find(|mirror| !is_placed(mirror));
    Ok(stranger.map(|mirror| print::text(mirror, "name")))
}

/// Three free loopback addresses, all held until all are chosen.
fn free_addresses() -> Result<Vec<(&'static str, SocketAddr)>, Exit> {
    let bind = |name| Ok((name, TcpListener::bind(("127.0.0.1", 0))?));
    let held: std::io::Result<Vec<_>> = NAMES.into_iter().map(bind).collect();
    let addresses = held.and_then(|held| {
        held.iter().map(|(name, socket)| Ok((*name, socket.local_addr()?))).collect()
    });
    addresses.map_err(|error| Exit::Failed(format!("no free port: {error}")))
}
