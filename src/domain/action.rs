//! What happened to an entity, and whether the fields that changed matter.
//!
//! Callers use the words of their framework, so those of Eloquent are read like our own. Frameworks
//! also set a time with every write, which must not defeat a rule about the other fields.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de};

/// What happened to the entity; told to listeners, never interpreted here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Action {
    Create,
    #[default]
    Update,
    Delete,
    Restore,
    ForceDelete,
    Archive,
}

impl Action {
    /// The words under which it is written.
    pub const WORDS: [&str; 6] =
        ["create", "update", "delete", "restore", "force_delete", "archive"];

    /// The names that frameworks give to the same, most of them those of Eloquent's model events.
    pub const OTHER_WORDS: [(&str, Self); 9] = [
        ("created", Self::Create),
        ("updated", Self::Update),
        ("saved", Self::Update),
        ("deleted", Self::Delete),
        ("trashed", Self::Delete),
        ("restored", Self::Restore),
        ("forceDelete", Self::ForceDelete),
        ("forceDeleted", Self::ForceDelete),
        ("archived", Self::Archive),
    ];

    /// Reads a word, whatever its case and separators: `forceDeleted`, `force_deleted`. What
    /// happens before a write (`updating`) is no action.
    pub fn parse(word: &str) -> Option<Self> {
        const LONGEST: usize = 16;
        if word.len() > LONGEST {
            return None;
        }
        let fold = |word: &str| -> String {
            let letters = word.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
            letters.map(|c| c.to_ascii_lowercase()).collect()
        };
        let word = fold(word);
        let own = Self::ALL.into_iter().find(|action| fold(action.as_str()) == word);
        let other = || Self::OTHER_WORDS.into_iter().find(|(other, _)| fold(other) == word);
        own.or_else(|| other().map(|(_, action)| action))
    }

    const ALL: [Self; 6] =
        [Self::Create, Self::Update, Self::Delete, Self::Restore, Self::ForceDelete, Self::Archive];

    /// The word used in requests, SSE data and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::ForceDelete => "force_delete",
            Self::Archive => "archive",
        }
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(from)?;
        Self::parse(&word).ok_or_else(|| de::Error::unknown_variant(&word, &Self::WORDS))
    }
}

/// Times that frameworks set with every write. `deleted_at` is none of them: it hides an entity or
/// brings it back.
const TIMESTAMPS: [&str; 4] = ["created_at", "updated_at", "createdAt", "updatedAt"];

/// Whether any of the changed fields matters by a rule. A timestamp beside other fields counts for
/// nothing unless the rule names it (`is_named`); alone it is a change like any other.
pub fn matters(
    changed: &[String],
    is_named: impl Fn(&String) -> bool,
    is_of_interest: impl Fn(&String) -> bool,
) -> bool {
    let is_timestamp = |field: &String| TIMESTAMPS.contains(&field.as_str());
    let is_alone = changed.iter().all(is_timestamp);
    let counts = |field: &&String| is_alone || !is_timestamp(field) || is_named(field);
    changed.iter().filter(counts).any(is_of_interest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_are_read_in_the_words_of_frameworks_and_written_in_one() {
        for (words, expected) in [
            (&["create", "created", "Created", "CREATE"][..], Action::Create),
            (&["update", "updated", "saved"], Action::Update),
            (&["delete", "deleted", "trashed"], Action::Delete),
            (&["restore", "restored"], Action::Restore),
            (
                &["force_delete", "forceDeleted", "force_deleted", "force-deleted", "ForceDelete"],
                Action::ForceDelete,
            ),
            (&["archive", "archived"], Action::Archive),
        ] {
            for word in words {
                let read: Action = serde_json::from_value(json!(word)).expect(word);
                assert_eq!(read, expected, "{word}");
            }
            assert_eq!(json!(expected), json!(expected.as_str()));
            assert!(Action::WORDS.contains(&expected.as_str()));
        }
        // What happens before a write, and what is no write.
        for word in ["updating", "saving", "forceDeleting", "retrieved", "", "_", "erase"] {
            assert_eq!(Action::parse(word), None, "{word}");
        }
        let bad = serde_json::from_value::<Action>(json!("updating")).expect_err("no action");
        assert!(
            bad.to_string().starts_with("unknown variant `updating`, expected one of `create`")
        );
        assert!(serde_json::from_value::<Action>(json!(7)).is_err());
    }

    #[test]
    fn a_timestamp_beside_other_fields_counts_for_nothing() {
        let judged = |changed: &[&str], ignored: &[&str], named: &[&str]| {
            let changed: Vec<String> = changed.iter().map(|field| (*field).to_owned()).collect();
            let is_in = |of: &[&str], field: &String| of.contains(&field.as_str());
            matters(&changed, |field| is_in(named, field), |field| !is_in(ignored, field))
        };
        for stamp in TIMESTAMPS {
            assert!(!judged(&["notes", stamp], &["notes"], &[]), "{stamp}");
            assert!(judged(&["notes", stamp], &["notes"], &[stamp]), "a rule names it");
            assert!(judged(&[stamp], &["notes"], &[]), "it was touched on purpose");
            assert!(!judged(&[stamp], &["notes", stamp], &[]));
        }
        assert!(judged(&["price", "updated_at"], &["notes"], &[]));
        assert!(judged(&["notes", "deleted_at"], &["notes"], &[]), "it is hidden, or back");
    }
}
