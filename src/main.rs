//! The thin binary: everything is in the library.
//! What a test cannot reach does not belong here.

fn main() -> std::process::ExitCode {
    cache_mirror::cli::main()
}
