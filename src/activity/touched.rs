//! Selectors as log fields (docs/LOG.md).
//! Lists are joined with commas and cut to a length, because a log field is a flat scalar.

use super::{Activity, joined};
use crate::domain::{Label, Selectors, TypeName};

/// Selectors, each kind as one joined text. An absent kind has no field.
#[derive(Debug, Default)]
pub struct Touched {
    types: Option<String>,
    ids: Option<String>,
    tags: Option<String>,
    paths: Option<String>,
    keys: Option<String>,
}

impl Touched {
    /// The fields of some selectors. `all` is shown as the type `*`.
    pub fn of(selectors: &Selectors) -> Self {
        let list = |items: &mut dyn Iterator<Item = String>| {
            let text = joined(items);
            (!text.is_empty()).then_some(text)
        };
        let all = selectors.is_all().then(|| "*".to_owned());
        let types = selectors.named_types().map(ToString::to_string);
        // With several types, an id needs its type.
        let is_one_type = selectors.ids().len() == 1;
        let named = |(name, id): (&TypeName, &Label)| {
            if is_one_type { id.to_string() } else { format!("{name}/{id}") }
        };
        let pairs = selectors.ids().iter().flat_map(|(name, ids)| std::iter::repeat(name).zip(ids));
        let prefixes = selectors.prefixes().iter().map(|prefix| format!("{prefix}*"));
        let patterns = selectors.patterns().iter().map(ToString::to_string);
        Self {
            types: list(&mut all.into_iter().chain(types)),
            ids: list(&mut pairs.map(named)),
            tags: list(&mut selectors.tags().iter().map(ToString::to_string)),
            paths: list(&mut selectors.paths().iter().map(ToString::to_string).chain(prefixes)),
            keys: list(&mut selectors.keys().iter().map(ToString::to_string).chain(patterns)),
        }
    }

    /// The line with these fields filled in.
    pub fn name_in<'a>(&'a self, line: Activity<'a>) -> Activity<'a> {
        Activity {
            types: self.types.as_deref(),
            ids: self.ids.as_deref(),
            tags: self.tags.as_deref(),
            paths: self.paths.as_deref(),
            keys: self.keys.as_deref(),
            ..line
        }
    }
}
