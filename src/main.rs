//! The `messo` program: only sets the exit code.

fn main() -> std::process::ExitCode {
    messo::cli::main()
}
