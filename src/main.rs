//! The binary; everything is in the library, where tests can reach it.

/// Events are allocated by one thread and freed by another; with the system's allocator the two
/// wait for each other (a quarter of the time of a busy instance).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cache_mirror::cli::main()
}
