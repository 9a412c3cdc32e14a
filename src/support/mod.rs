//! Small things that know nothing of caches.
//! Each is a subject with a name; what fits nowhere does not fit here either.

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
