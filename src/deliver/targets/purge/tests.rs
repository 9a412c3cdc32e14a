//! What targets are told, judged by what it would clear.

mod addresses;
mod answers;
mod laws;
