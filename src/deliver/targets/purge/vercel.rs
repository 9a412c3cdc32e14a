//! Vercel: only tags of up to 256 characters, 16 per call; soft marks as stale, hard deletes.
//! It accepts neither URLs nor everything, so these need templates (`path_tag`, `all_tag`).
//! <https://vercel.com/docs/rest-api/edge-cache/invalidate-by-tag>

use reqwest::header::AUTHORIZATION;
use serde_json::json;

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, batches, sites};
use crate::domain::Mode;

/// Tags of one call.
const TAGS_MAX: usize = 16;
/// Longest tag.
const TAG_BYTES_MAX: usize = 256;

/// One project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vercel {
    /// Its id or name.
    pub project: String,
    /// The id of its team; empty for a personal account.
    pub team: String,
}

impl DialectRules for Vercel {
    fn tags(&self) -> Option<TagRules> {
        Some(TagRules { bytes_max: TAG_BYTES_MAX, forbidden: "," })
    }

    fn takes_path(&self, _purge: &Purge, _path: &str) -> bool {
        false
    }

    fn takes_all(&self) -> bool {
        false
    }

    fn supports_soft(&self) -> bool {
        true
    }

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let verb = match set.mode {
            Mode::Soft => "invalidate-by-tags",
            Mode::Hard => "dangerously-delete-by-tags",
        };
        let mut calls = vec![];
        for tags in batches(&set.tags, set.at_most(TAGS_MAX), usize::MAX) {
            let Some(mut url) = sites::api(purge, &format!("v1/edge-cache/{verb}")) else {
                continue;
            };
            url.query_pairs_mut().append_pair("projectIdOrName", &self.project);
            if !self.team.is_empty() {
                url.query_pairs_mut().append_pair("teamId", &self.team);
            }
            let token = (AUTHORIZATION, format!("Bearer {}", purge.token.expose()));
            let call = sites::post(purge, url, token, Some(&json!({ "tags": tags })));
            calls.push(TargetCall { tags, ..call });
        }
        calls
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("Vercel refuses the token of {name}: its owner needs to be a member of the team")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("Vercel has no such project: set project, and team, of {name}")
    }
}
