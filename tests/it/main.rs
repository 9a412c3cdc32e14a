//! Scenes with real processes and real sockets: what this product promises, shown from outside.
//!
//! One binary, so that it links once: a file for each feature, `control` for the control listener,
//! `cli` for the command line. Every scene starts its own instances on free loopback ports
//! in temporary directories, waits for what it expects to see and never for time to pass (a proof
//! that something does not come needs a window, and says so), and leaves no process behind.

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
