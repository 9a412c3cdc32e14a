//! Pure resolution: an invalidation and the rules give a plan. It cannot fail, only warn.

use std::collections::BTreeMap;

/// The rules as configured.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Type → what it depends on.
    pub dependencies: BTreeMap<String, Vec<String>>,
    /// Other name → type.
    pub aliases: BTreeMap<String, String>,
    /// Whether unknown types are refused.
    pub is_strict: bool,
}
