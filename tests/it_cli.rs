//! The command line as its users meet it: the real binary, its output and its exit codes.

#[path = "it_cli/client.rs"]
mod client;
#[path = "it_cli/demo.rs"]
mod demo;
#[path = "it_cli/doctor.rs"]
mod doctor;
#[path = "it_cli/doctor_web.rs"]
mod doctor_web;
#[path = "it_cli/health.rs"]
mod health;
#[path = "it_cli/local.rs"]
mod local;
#[path = "it_cli/logs.rs"]
mod logs;
#[path = "it_cli/schedules.rs"]
mod schedules;
#[path = "it_cli/stories.rs"]
mod stories;
#[path = "it_cli/support.rs"]
mod support;
#[path = "it_cli/token.rs"]
mod token;
#[path = "it_cli/tune.rs"]
mod tune;
#[path = "it_cli/versions.rs"]
mod versions;
