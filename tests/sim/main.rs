//! A seeded simulation: several whole instances in one process, on simulated disks, over a network
//! that loses, duplicates and cuts, with a clock that runs only while all tasks wait.
//!
//! For every seed: each accepted event has its effect exactly once at every other instance, no
//! instance forwards what came from a peer, and in the end no message is sent. `SIM_SEED` replays
//! one seed.

mod echo;
mod known;
mod network;
mod node;
mod scenes;
