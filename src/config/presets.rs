//! Ready-made settings for known platforms, embedded. A preset lies between the defaults and the
//! user's file; a test loads each.

const PRESETS: &[(&str, &str)] = &[
    ("job-readiness", include_str!("../../config/presets/job-readiness.toml")),
    ("laravel-next", include_str!("../../config/presets/laravel-next.toml")),
    ("polymech", include_str!("../../config/presets/polymech.toml")),
    ("trainer-panel", include_str!("../../config/presets/trainer-panel.toml")),
];

/// What `graph.preset` may name.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The text of one.
pub(super) fn text(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, text)| *text)
}
