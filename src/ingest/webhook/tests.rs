//! Templates and mappings, hostile deliveries included. Schemes and presets are tried where they
//! are configured (`config/tests/webhooks.rs`).

mod hostile;
mod mapping;
mod template;
