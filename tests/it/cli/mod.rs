//! The command line as its users meet it: the real binary, its output and its exit codes.

mod client;
mod demo;
mod doctor;
mod doctor_web;
mod health;
mod local;
mod logs;
mod schedules;
mod stories;
mod support;
mod token;
mod tune;
mod versions;
