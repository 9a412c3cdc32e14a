//! From typed to true: hands each concern its values as durations, counts and lists, and gathers
//! what is wrong. A value out of its range is refused and replaced by the nearest bound, so that
//! reading goes on and all problems are found at once; nobody sees the settings that come of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::invalid::Invalid;
use super::layer::{invalid, read_secret};
use super::merged::Merged;
use super::{bounds, mask, schema};
use crate::support::Secret;

/// The merged values and the problems found in them.
pub(super) struct Reader {
    merged: Merged,
    pub(super) problems: Vec<Invalid>,
    pub(super) warnings: Vec<String>,
}

impl Reader {
    pub(super) fn new(mut merged: Merged) -> Self {
        let problems = std::mem::take(&mut merged.problems);
        let warnings = std::mem::take(&mut merged.warnings);
        let mut reader = Self { merged, problems, warnings };
        reader.check_bounds();
        reader
    }

    fn check_bounds(&mut self) {
        for (key, min, max) in bounds::INTEGERS {
            let given = self.value(key).and_then(Value::as_integer).unwrap_or(*min);
            if !(*min..=*max).contains(&given) {
                self.refuse(key, format!("expected an integer from {min} to {max}"));
            }
        }
        for key in ["mirrors.rate_per_second", "revalidate.rate_per_second"] {
            self.checked_rate(key, self.float(key));
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.merged.leaves.get(key).map(|leaf| &leaf.value)
    }

    /// A string; empty where unset.
    pub(super) fn text(&self, key: &str) -> String {
        self.value(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A value that differs from the default.
    pub(super) fn given(&self, key: &str) -> Option<Value> {
        self.value(key).filter(|value| schema::default(key) != Some(*value)).cloned()
    }

    /// A string that must never be shown.
    pub(super) fn secret(&self, key: &str) -> Secret {
        Secret::new(self.text(key))
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// An integer within its range, in the type that its reader counts in.
    pub(super) fn count<T: TryFrom<i64>>(&self, key: &str) -> T {
        let (min, max) = bounds::of(key).expect("every integer key has a range, as a test shows");
        let given = self.value(key).and_then(Value::as_integer).unwrap_or(min);
        let Ok(count) = T::try_from(given.clamp(min, max)) else {
            unreachable!("the range of {key} fits its type, as a test shows")
        };
        count
    }

    pub(super) fn ms(&self, key: &str) -> Duration {
        Duration::from_millis(self.count(key))
    }

    pub(super) fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.count(key))
    }

    pub(super) fn float(&self, key: &str) -> f64 {
        self.value(key).and_then(Value::as_float).unwrap_or_default()
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let items = self.value(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn tables(&self, key: &str) -> Vec<Table> {
        let items = self.value(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_table).cloned().collect()
    }

    /// The entries of a free map.
    pub(super) fn entries(&self, map: &str) -> BTreeMap<String, Value> {
        let leaves = self.merged.leaves.iter();
        leaves
            .filter_map(|(key, leaf)| {
                let name = key.strip_prefix(map)?.strip_prefix('.')?;
                Some((name.to_owned(), leaf.value.clone()))
            })
            .collect()
    }

    /// A path, from the working directory where it is relative.
    pub(super) fn path(&mut self, key: &str) -> PathBuf {
        let text = self.text(key);
        if text.is_empty() || text.contains('\0') {
            self.refuse(key, "expected a path");
        }
        self.merged.workdir.join(text)
    }

    /// A rate within its range.
    pub(super) fn checked_rate(&mut self, key: &str, rate: f64) -> f64 {
        let (min, max) = bounds::RATE;
        if !(min..=max).contains(&rate) {
            let shown = Value::Float(rate);
            self.refuse_value(key, &shown, format!("expected a number from {min} to {max}"));
        }
        rate
    }

    /// The text in a file that a field of a table names.
    pub(super) fn secret_file(&mut self, key: &str, path: &str) -> Secret {
        match read_secret(&self.merged.workdir, path) {
            Ok(text) => Secret::new(text),
            Err(expected) => {
                self.refuse_value(key, &Value::String(path.to_owned()), expected);
                Secret::default()
            }
        }
    }

    pub(super) fn is_test_login(&self) -> bool {
        self.merged.is_test_login
    }

    /// Where a key's value, or that of the array that holds it, came from.
    pub(super) fn origin(&self, key: &str) -> String {
        let array = key.split_once('[').map_or(key, |(array, _)| array);
        self.merged.leaves.get(array).map_or("default".into(), |leaf| leaf.origin.to_string())
    }

    /// Says that a key's value cannot be used.
    pub(super) fn refuse(&mut self, key: &str, expected: impl Into<String>) {
        let value = self.value(key).cloned().unwrap_or(Value::String(String::new()));
        self.refuse_value(key, &value, expected);
    }

    /// Says that part of a key's value cannot be used. The same is said once, and of a secret in a
    /// file that is of no use nothing but that.
    pub(super) fn refuse_value(&mut self, key: &str, value: &Value, expected: impl Into<String>) {
        let expected = expected.into();
        let is_told = |told: &Invalid| {
            let is_file = told.key.strip_suffix("_file") == Some(key);
            is_file || (told.key == key && told.expected == expected)
        };
        if self.problems.iter().any(is_told) {
            return;
        }
        let shown = mask::value(key, value);
        let origin = self.origin(key);
        self.problems.push(invalid(key, shown, &origin, expected));
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}
