//! Small general-purpose modules that know nothing about caches.
//! Each has one subject; code without a subject does not belong here.

pub mod backoff;
pub mod boot;
pub mod clock;
pub mod duration;
pub mod finish;
pub mod live;
pub mod nearest;
pub mod plain_file;
pub mod proof;
pub mod random;
pub mod secret;
pub mod seldom;
pub mod small_file;
pub mod visible;

pub use finish::Finish;
pub use live::Live;
pub use secret::Secret;
pub use seldom::LogThrottle;
