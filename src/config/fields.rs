//! The fields of the tables that the reference file cannot show: those of arrays of tables, and of
//! tables whose names are the user's. What a field may hold is checked by whoever reads it.

use super::schema::Kind;

/// A mirror.
pub(super) const PEER: &[(&str, Kind)] = &[
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("email", Kind::Text),
    ("password", Kind::Text),
    ("password_file", Kind::Text),
    ("ca_file", Kind::Text),
    ("kind", Kind::Text),
    ("login", Kind::Fields(LOGIN)),
];

/// What a peer's own login may say, and `[mirrors.login]` beside email and password.
pub(super) const LOGIN: &[(&str, Kind)] = &[
    ("preset", Kind::Text),
    ("url", Kind::Text),
    ("body", Kind::Text),
    ("form", Kind::Flag),
    ("headers", Kind::Map(&Kind::Text)),
    ("token_pointer", Kind::Text),
    ("expires_pointer", Kind::Text),
    ("scope", Kind::Text),
    ("audience", Kind::Text),
    ("token", Kind::Text),
    ("token_file", Kind::Text),
];

/// A framework beside this instance.
pub(super) const TARGET: &[(&str, Kind)] = &[
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("form", Kind::Text),
    ("secret", Kind::Text),
    ("secret_file", Kind::Text),
    ("signing_secret", Kind::Text),
    ("signing_secret_file", Kind::Text),
    ("signing_secret_previous", Kind::Text),
    ("signing_secret_previous_file", Kind::Text),
    ("paths", Kind::Map(&Kind::Items(TEMPLATE))),
    ("tags", Kind::Map(&Kind::Items(TEMPLATE))),
    ("names", Kind::Map(&Kind::Text)),
    ("resolve", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("timeout_ms", Kind::Integer),
];

/// A path or tag of a target, where it is more than a text.
pub(super) const TEMPLATE: &[(&str, Kind)] = &[
    ("path", Kind::Text),
    ("type", Kind::Text),
    ("tag", Kind::Text),
    ("actions", Kind::List),
    ("when_fields", Kind::List),
    ("ignore_fields", Kind::List),
    ("otherwise", Kind::Text),
];

/// A service account.
pub(super) const ACCOUNT: &[(&str, Kind)] = &[
    ("email", Kind::Text),
    ("password_hash", Kind::Text),
    ("password_hash_file", Kind::Text),
    ("password_hash_previous", Kind::Text),
    ("password_hash_previous_file", Kind::Text),
];

/// A group or a hook.
pub(super) const RECIPE: &[(&str, Kind)] = &[("clears", Kind::List), ("narrowed", Kind::List)];

/// A webhook.
pub(super) const HOOK: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("preset", Kind::Text),
    ("secret", Kind::Text),
    ("secret_file", Kind::Text),
    ("secret_previous", Kind::Text),
    ("secret_previous_file", Kind::Text),
    ("form", Kind::Text),
    ("events", Kind::Text),
    ("delivery", Kind::Text),
    ("auth", Kind::Fields(HOOK_AUTH)),
    ("mapping", Kind::Fields(HOOK_MAPPING)),
];

/// How a webhook's deliveries are told from forgeries.
pub(super) const HOOK_AUTH: &[(&str, Kind)] = &[
    ("scheme", Kind::Text),
    ("header", Kind::Text),
    ("separator", Kind::Text),
    ("prefix", Kind::Text),
    ("encoding", Kind::Text),
    ("key", Kind::Text),
    ("content", Kind::Text),
    ("timestamp_header", Kind::Text),
    ("timestamp_prefix", Kind::Text),
    ("timestamp_unit", Kind::Text),
    ("tolerance_s", Kind::Integer),
    ("signed_headers", Kind::Text),
    ("path", Kind::Text),
];

/// What they mean.
pub(super) const HOOK_MAPPING: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("types", Kind::Map(&Kind::Text)),
    ("unlisted_type", Kind::Text),
    ("no_type", Kind::Text),
    ("ids", Kind::List),
    ("no_id", Kind::Text),
    ("tags", Kind::List),
    ("paths", Kind::List),
    ("keys", Kind::List),
    ("parents", Kind::List),
    ("action", Kind::Text),
    ("actions", Kind::Map(&Kind::Text)),
    ("fields", Kind::Map(&Kind::Text)),
    ("changed", Kind::List),
    ("compare", Kind::List),
];

/// What a purge target may say; which of it means something depends on its kind.
pub(super) const CACHE: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("kind", Kind::Text),
    ("hosts", Kind::List),
    ("sites", Kind::List),
    ("token", Kind::Text),
    ("token_file", Kind::Text),
    ("token_header", Kind::Text),
    ("ca_file", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("timeout_ms", Kind::Integer),
    ("calls_max", Kind::Integer),
    ("type_tag", Kind::Text),
    ("entity_tag", Kind::Text),
    ("list_tag", Kind::Text),
    ("custom_tag", Kind::Text),
    ("path_tag", Kind::Text),
    ("all_tag", Kind::Text),
    ("tag_header", Kind::Text),
    ("soft_tag_header", Kind::Text),
    ("soft_header", Kind::Text),
    ("ban_header", Kind::Text),
    ("tag_separator", Kind::Text),
    ("absent_status", Kind::Integer),
    ("bypass_header", Kind::Text),
    ("page_bytes_max", Kind::Integer),
    ("api", Kind::Text),
    ("zone", Kind::Text),
    ("plan", Kind::Text),
    ("service", Kind::Text),
    ("pull_zone", Kind::Text),
    ("project", Kind::Text),
    ("team", Kind::Text),
];

/// An invalidation by the clock.
pub(super) const SCHEDULE: &[(&str, Kind)] =
    &[("id", Kind::Text), ("cron", Kind::Text), ("tz", Kind::Text), ("invalidate", Kind::Object)];

/// What [`SCHEDULE`]'s `invalidate` may say. It is judged by the reader of the API's bodies; here
/// it only counts that none of these is a secret.
pub(super) const INVALIDATE: &[&str] = &[
    "type", "types", "id", "ids", "tag", "tags", "path", "paths", "key", "keys", "pattern",
    "patterns", "all", "items", "mode", "mirror", "action", "changed", "fields",
];
