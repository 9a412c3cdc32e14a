//! Scenes with real processes and real sockets: what this product promises, shown from outside.
//!
//! One binary, a file for each feature. Every scene starts its own instances on free loopback ports
//! in temporary directories, waits for what it expects to see and never for time to pass, and leaves
//! no process behind.

mod support;

mod harness;
