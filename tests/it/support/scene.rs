//! Several instances that know each other.

use super::node::{Node, Spec};
use super::ports::free_port;

/// Ports may be taken between their choice and their use.
const TRIES: usize = 5;

/// Some running instances.
pub struct Scene {
    /// In the order of their names: `n0`, `n1`, ...
    pub nodes: Vec<Node>,
}

impl Scene {
    /// Instances with the same `CACHE_MIRRORS`, each of them in it.
    pub async fn mesh(count: usize) -> Self {
        Self::mesh_with(count, |spec| spec).await
    }

    /// The same with settings of the scene's own.
    pub async fn mesh_with(count: usize, settle: impl Fn(Spec) -> Spec) -> Self {
        for _ in 0..TRIES {
            if let Some(scene) = Self::try_mesh(count, &settle).await {
                return scene;
            }
        }
        panic!("no {count} instances after {TRIES} tries");
    }

    async fn try_mesh(count: usize, settle: &impl Fn(Spec) -> Spec) -> Option<Self> {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let names: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let starting = ports.iter().enumerate().map(|(at, port)| {
            let spec = Spec::new(&format!("n{at}")).port(*port).mirrors(names.iter());
            settle(spec).try_start()
        });
        let nodes = futures_util::future::join_all(starting).await;
        let nodes = nodes.into_iter().collect::<Result<Vec<_>, _>>();
        nodes.map(|nodes| Self { nodes }).ok()
    }
}
