//! The thin binary: everything is in the library.
//! What a test cannot reach does not belong here.

/// Events are made by one thread and freed by another; the system's allocator makes the two wait
/// for each other (a quarter of the time of a busy instance).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cache_mirror::cli::main()
}
