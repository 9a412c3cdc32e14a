//! Scenes with real processes and real sockets: the promises of the product, shown from outside.
//!
//! One binary, so that it links once: a file for each feature, `control` for the control listener,
//! `cli` for the command line. Every scene starts its instances on free loopback ports in temporary
//! directories and leaves no process behind. It waits for an event, not for time to pass; only the
//! proof that something does not happen needs a fixed wait, with a comment that states it.

mod support;

mod alerts;
mod authority;
mod bounds;
mod cli;
mod control;
mod crash;
mod data;
mod dead;
mod doubt;
mod echoes;
mod ground;
mod harness;
mod keys;
mod known;
mod legacy;
mod lists;
mod logfile;
mod logins;
mod loops;
mod mesh;
mod names;
mod operate;
mod pace;
mod parked;
mod parts;
mod planted;
mod proxied;
mod purge;
mod purge_cdn;
mod recovery;
mod reload;
mod revalidate;
mod schedules;
mod shutdown;
mod spelling;
mod stream;
mod trust;
mod wait;
