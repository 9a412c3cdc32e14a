//! The basic types of cache-mirror, pure: no I/O, no clock, no async.
//!
//! Every other module uses these types. Two of them carry the correctness of the whole product:
//! [`selector::Selectors`] (a join-semilattice, so merging loses nothing) and [`scope::Scope`]
//! (decided in one place, so nothing loops).

pub mod action;
pub mod applied;
pub mod demand;
pub mod entity;
pub mod event;
pub mod glob;
#[cfg(test)]
mod growth;
pub mod invalidation;
pub mod label;
pub mod outcome;
pub mod pairs;
pub mod plan;
pub mod route;
pub mod scope;
pub mod selector;
pub mod submission;
pub mod type_name;
pub mod url_path;

pub use action::Action;
pub use applied::Applied;
pub use demand::Demand;
pub use event::{Event, EventId};
pub use glob::Glob;
pub use invalidation::Invalidation;
pub use label::Label;
pub use outcome::Status;
pub use pairs::Pairs;
pub use plan::Plan;
pub use scope::Scope;
pub use selector::{Selector, Selectors};
pub use submission::{Mode, Principal, Role, Source, Submission};
pub use type_name::TypeName;
pub use url_path::UrlPath;
