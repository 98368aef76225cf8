//! The `chiron` binary: arguments, runtime, exit code.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::process::ExitCode;

use chiron::cli::exit::ExitStatus;
use chiron::cli::{self, Cli};
use clap::Parser;

/// Many short-lived buffers on many threads: it keeps resident memory lower than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for the disk and the checks. More of them only hold more buffers: what is bound by the processor
/// has permits of its own, and the disk is busy long before.
const BLOCKING_THREADS: usize = 48;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    std::panic::catch_unwind(run)
        .unwrap_or(ExitStatus::Internal)
        .into()
}

fn run() -> ExitStatus {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are answers; everything else is a usage error.
            let _ = answer.print();
            return if answer.use_stderr() {
                ExitStatus::Usage
            } else {
                ExitStatus::Done
            };
        }
    };
    // Buffers are touched in part and on many threads: with huge pages each first touch clears two megabytes,
    // which was a fifth of the gate's time and most of its memory. Where it cannot be said, it is only slower.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    keep_memory_private();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    match runtime
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
    {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => {
            cli::output::note(format_args!(
                "error: cannot start threads: {error}\n next: check the limits of this user (ulimit -a)"
            ));
            ExitStatus::Internal
        }
    }
}

/// Private keys and passphrases are in this process's memory: it leaves no core dump, and other processes of the same
/// user can neither attach to it nor read its memory and environment under `/proc` (root can).
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    // Where a system allows neither (some containers), it is as private as before.
    let _ = setrlimit(Resource::Core, limit);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// A bug in Chiron: where, and what to do; a stack trace only for whoever asks for one.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let what = info.payload_as_str().unwrap_or("no message");
    let place = info
        .location()
        .map(|place| format!(" at {}:{}", place.file(), place.line()))
        .unwrap_or_default();
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(
        stderr,
        "internal error{place}: {}\n next: this is a bug in Chiron; please report it with this line (RUST_BACKTRACE=1 adds a trace)",
        cli::output::plain(what)
    );
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        let _ = writeln!(stderr, "{trace}");
    }
}
