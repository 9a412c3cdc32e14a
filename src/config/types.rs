//! Types of fields: what a value must be is declared where the field is.
//!
//! A number carries its unit and its range ([`Int`], [`Ms`], [`Seconds`], [`Rate`]), a text what it
//! is parsed to ([`Parsed`]), a secret that it is one. Deserialising checks them, and the schema
//! states them, so no other list of ranges, words or secrets exists. A bound is what the code below
//! can handle, or beyond any sensible use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderName;
use schemars::json_schema;
use serde::de::{Deserialize, Deserializer, Error};

use crate::activity::Level;
use crate::support::Secret;

/// Milliseconds in ten minutes, an hour; seconds in a day, a year.
pub(super) const TEN_MINUTES_MS: i64 = 600_000;
pub(super) const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_S: i64 = 86_400;
pub(super) const YEAR_S: i64 = 31_536_000;
/// Memory and disk are counted in i64 and added up; 64 TiB leaves room for that.
pub(super) const BYTES: i64 = 1 << 46;
/// Lists that are allocated or walked at once.
pub(super) const MANY: i64 = 10_000_000;

/// A table whose names are the user's own.
pub(super) type Map<T> = BTreeMap<String, T>;
/// Requests that may go at once.
pub(super) type Burst = Int<1, 1_000_000>;
/// One request.
pub(super) type Timeout = Ms<1, TEN_MINUTES_MS>;

/// A schema that stands where the type is used, without a name.
macro_rules! schema {
    ([$($generics:tt)*] $type:ty, $($json:tt)+) => {
        impl<$($generics)*> schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $($json)+
            }
        }
    };
}
pub(super) use schema;

/// An integer from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Int<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Int<MIN, MAX> {
    /// In the type that its reader counts in.
    pub(super) fn to<T: TryFrom<i64>>(self) -> T {
        let Ok(count) = T::try_from(self.0) else {
            unreachable!("{MIN} to {MAX} fits the type of the reader, as a test shows")
        };
        count
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Int<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = i64::deserialize(from)?;
        let is_within = (MIN..=MAX).contains(&given);
        let expected = || D::Error::custom(format!("expected an integer from {MIN} to {MAX}"));
        is_within.then_some(Self(given)).ok_or_else(expected)
    }
}

schema!([const MIN: i64, const MAX: i64] Int<MIN, MAX>,
    json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }));

/// A time in whole units: milliseconds or seconds.
macro_rules! time {
    ($name:ident, $of:path, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name<const MIN: i64, const MAX: i64>(Duration);

        impl<const MIN: i64, const MAX: i64> Deref for $name<MIN, MAX> {
            type Target = Duration;

            fn deref(&self) -> &Duration {
                &self.0
            }
        }

        impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for $name<MIN, MAX> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Int::<MIN, MAX>::deserialize(from).map(|count| Self($of(count.to())))
            }
        }

        schema!([const MIN: i64, const MAX: i64] $name<MIN, MAX>,
            json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }));
    };
}

time!(Ms, Duration::from_millis, "Milliseconds from `MIN` to `MAX`.");
time!(Seconds, Duration::from_secs, "Seconds from `MIN` to `MAX`.");

/// Requests a second. Slower than once in three hours is "paused"; faster than a million a second
/// no clock can pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(pub(super) f64);

const RATE: (f64, f64) = (0.0001, 1_000_000.0);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (min, max) = RATE;
        let given = f64::deserialize(from)?;
        let expected = || D::Error::custom(format!("expected a number from {min} to {max}"));
        (min..=max).contains(&given).then_some(Self(given)).ok_or_else(expected)
    }
}

schema!([] Rate, json_schema!({ "type": "number", "minimum": RATE.0, "maximum": RATE.1 }));

/// What a text is parsed to.
pub(super) trait Text: Sized {
    /// The words that are allowed; none where any text may be.
    const WORDS: &'static [&'static str] = &[];
    /// Whether it may contain a password or a query that must not be shown.
    const IS_URL: bool = false;
    /// Whether an empty text is allowed besides the words.
    const IS_OPTIONAL: bool = false;

    /// Parses it.
    ///
    /// # Errors
    /// What was expected instead.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A field that is written as a text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Parsed<T>(pub(super) T);

impl<T> Deref for Parsed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Text> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::parse(&String::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

schema!([T: Text] Parsed<T>, {
    let mut schema = json_schema!({ "type": "string" });
    if !T::WORDS.is_empty() {
        let none = T::IS_OPTIONAL.then_some("");
        schema.insert("enum".into(), T::WORDS.iter().copied().chain(none).collect());
    }
    if T::IS_URL {
        schema.insert("x-url".into(), true.into());
    }
    schema
});

/// An empty text is the same as none.
impl<T: Text> Text for Option<T> {
    const WORDS: &'static [&'static str] = T::WORDS;
    const IS_URL: bool = T::IS_URL;
    const IS_OPTIONAL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }
}

/// Makes a type one of some words.
macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal = $value:expr),+ $(,)?) => {
        impl $crate::config::types::Text for $type {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err($expected.into()),
                }
            }
        }
    };
}
pub(super) use words;

/// Makes a flag that is spelt in two words, the first for no; so is an empty text.
macro_rules! two_words {
    ($name:ident, $expected:literal, $no:literal, $yes:literal) => {
        #[derive(Debug, Clone, Copy, Default)]
        pub(super) struct $name(pub(super) bool);
        $crate::config::types::words!(
            $name,
            $expected,
            "" = Self(false),
            $no = Self(false),
            $yes = Self(true)
        );
    };
}
pub(super) use two_words;

impl Text for Level {
    const WORDS: &'static [&'static str] = &["trace", "debug", "info", "warn", "error"];

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "expected trace, debug, info, warn or error".to_owned())
    }
}

impl Text for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected an address and a port, such as 127.0.0.1:4400";
        text.parse().map_err(|_| expected.to_owned())
    }
}

impl Text for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        let is_path = !text.is_empty() && !text.contains('\0');
        is_path.then(|| text.into()).ok_or_else(|| "expected a path".to_owned())
    }
}

impl Text for HeaderName {
    fn parse(text: &str) -> Result<Self, String> {
        Self::try_from(text).map_err(|_| "expected a header's name".to_owned())
    }
}

/// A name in headers, tokens, file names and commands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name(pub(super) String);

impl Name {
    pub(super) const CHARS_MAX: usize = 64;
    pub(super) const EXPECTED: &str = "expected 1 to 64 of A-Z a-z 0-9 _ . -";

    pub(super) fn is_valid(name: &str) -> bool {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        (1..=Self::CHARS_MAX).contains(&name.len()) && name.chars().all(is_allowed)
    }
}

impl Text for Name {
    fn parse(text: &str) -> Result<Self, String> {
        let is_valid = Self::is_valid(text);
        is_valid.then(|| Self(text.to_owned())).ok_or_else(|| Self::EXPECTED.to_owned())
    }
}

/// A host or a URL; what it may be depends on other keys, so [`super::peers`] judges it later.
#[derive(Debug, Clone, Default)]
pub(super) struct Address(String);

impl Text for Address {
    const IS_URL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl Deref for Address {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The schema of what is never shown: it may also be given as `KEY_file`.
macro_rules! secret {
    ([$($generics:tt)*] $type:ty) => {
        $crate::config::types::schema!([$($generics)*] $type, schemars::json_schema!({
            "type": "string", "format": "password", "writeOnly": true
        }));
    };
}
pub(super) use secret;

secret!([] Secret);

/// A secret of at least `MIN` bytes, or none.
#[derive(Debug, Clone, Default)]
pub(super) struct Strong<const MIN: usize>(Secret);

impl<const MIN: usize> Deref for Strong<MIN> {
    type Target = Secret;

    fn deref(&self) -> &Secret {
        &self.0
    }
}

impl<'de, const MIN: usize> Deserialize<'de> for Strong<MIN> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(from)?;
        let text = secret.expose();
        if text.trim_start().starts_with("-----BEGIN") {
            // Its public half would be a password.
            return Err(Error::custom("a PEM is no secret: expected it in auth.signing_key"));
        }
        if !text.is_empty() && text.len() < MIN {
            return Err(Error::custom(format!("expected at least {MIN} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::custom("expected a text without control characters"));
        }
        Ok(Self(secret))
    }
}

secret!([const MIN: usize] Strong<MIN>);

/// The secret and the one in rotation, as far as they are given.
pub(super) fn given<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<Secret> {
    secrets.into_iter().filter(|secret| !secret.is_empty()).cloned().collect()
}
