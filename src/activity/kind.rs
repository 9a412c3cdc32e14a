//! The kind and the severity of a log line.
//!
//! The kind is the value of the `event` field, of the metric label and of the filter of
//! `cache-mirror logs`. docs/LOG.md explains each; a renamed kind is a change for users.

use std::fmt;

/// The value of the `event` field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/LOG.md explains each")]
pub enum ActivityKind {
    Invalidate,
    Cascade,
    Mirror,
    Token,
    Revalidate,
    Purge,
    Announce,
    Limit,
    Loop,
    Breaker,
    Gap,
    Schedule,
    Config,
    Journal,
    Login,
    Identity,
    #[default]
    Server,
    Store,
    Alert,
    Webhook,
    Refused,
}

impl ActivityKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 21] = [
        Self::Invalidate,
        Self::Cascade,
        Self::Mirror,
        Self::Token,
        Self::Revalidate,
        Self::Purge,
        Self::Announce,
        Self::Limit,
        Self::Loop,
        Self::Breaker,
        Self::Gap,
        Self::Schedule,
        Self::Config,
        Self::Journal,
        Self::Login,
        Self::Identity,
        Self::Server,
        Self::Store,
        Self::Alert,
        Self::Webhook,
        Self::Refused,
    ];

    /// The value in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalidate => "invalidate",
            Self::Cascade => "cascade",
            Self::Mirror => "mirror",
            Self::Token => "token",
            Self::Revalidate => "revalidate",
            Self::Purge => "purge",
            Self::Announce => "announce",
            Self::Limit => "limit",
            Self::Loop => "loop",
            Self::Breaker => "breaker",
            Self::Gap => "gap",
            Self::Schedule => "schedule",
            Self::Config => "config",
            Self::Journal => "journal",
            Self::Login => "login",
            Self::Identity => "identity",
            Self::Server => "server",
            Self::Store => "store",
            Self::Alert => "alert",
            Self::Webhook => "webhook",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for ActivityKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The severity of a line, in ascending order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// Helps to explain one case.
    Debug,
    /// Normal operation.
    #[default]
    Info,
    /// It works, but an operator should check.
    Warn,
    /// Something did not work.
    Error,
}

impl Level {
    /// From the least to the most severe.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// Its name in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of that name, upper or lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name))
    }

    /// The same level of `tracing`.
    pub(super) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }
}
