//! What targets are told, judged by what it would clear.

mod answers;
mod laws;
