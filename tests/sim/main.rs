//! A seeded simulation: several whole instances in one process, on simulated disks, over a network
//! that loses, doubles and cuts, on a clock that runs only while everybody waits.
//!
//! What must hold whatever the seed: every accepted event has its effect exactly once at every
//! other instance, nobody forwards what came from a peer, and in the end all is quiet. `SIM_SEED`
//! plays one seed again.

mod echo;
mod known;
mod network;
mod node;
mod scenes;
