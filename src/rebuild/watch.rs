//! Runs one sandbox from start to end: feeds it, reads it within bounds, and kills it when it goes too far.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::BuildLimits;
use super::census::Census;
use super::log::CappedLog;
use super::settings::LOG_FLOOD;

/// Longest first line of an answer, bytes.
const MAX_HEAD: usize = 1 << 20;

/// How often the sandbox is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long bubblewrap may take to end after what is inside was killed.
const TO_END: Duration = Duration::from_secs(2);

/// What is run.
pub(super) struct Order<'a> {
    /// The sandbox's command.
    pub(super) command: Command,
    /// Its stdin.
    pub(super) input: Vec<Bytes>,
    pub(super) limits: &'a BuildLimits,
    /// The folder inside that can be written.
    pub(super) work: &'a Path,
    pub(super) cancel: &'a CancellationToken,
}

/// Why a sandbox was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    WallClock,
    Processes,
    Memory,
    Files,
    Output,
    Log,
    Cancelled,
}

impl Killed {
    /// A sentence for the attempt.
    pub(super) fn why(self, limits: &BuildLimits) -> String {
        match self {
            Self::WallClock => format!(
                "it was killed after {} s (reproducibility.wall_clock)",
                limits.wall_clock.as_secs()
            ),
            Self::Processes => format!(
                "it was killed with more than {} processes (reproducibility.processes)",
                limits.processes
            ),
            Self::Memory => format!(
                "it was killed with more than {} bytes of memory (reproducibility.memory)",
                limits.memory
            ),
            Self::Files => format!("it was killed with more than {} files", limits.files),
            Self::Output => format!(
                "it was killed because its answer has more than {} bytes (reproducibility.max_wheel)",
                limits.max_wheel
            ),
            Self::Log => format!(
                "it was killed because it wrote {LOG_FLOOD} times as much log as is kept (reproducibility.max_log)"
            ),
            Self::Cancelled => "it was cancelled".to_owned(),
        }
    }
}

/// What a sandbox left behind. Nothing of it runs any more.
#[derive(Debug)]
pub(super) struct Ran {
    /// Exit status; `None` when a signal ended it.
    pub(super) status: Option<i32>,
    /// We ended it.
    pub(super) killed: Option<Killed>,
    /// The first line of its stdout, without the line's end.
    pub(super) head: Vec<u8>,
    /// What followed, in an unnamed file.
    pub(super) body: File,
    /// Bytes of it.
    pub(super) body_size: u64,
    /// Its stderr, capped.
    pub(super) log: String,
    /// Whether that was cut.
    pub(super) log_cut: bool,
}

/// Runs the order. The calling thread stays until the sandbox is gone: it dies with this thread (`--die-with-parent`).
pub(super) fn run(order: Order<'_>) -> io::Result<Ran> {
    let Order {
        mut command,
        input,
        limits,
        work,
        cancel,
    } = order;
    let body = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let fault = Mutex::new(None);
    let accuse = |what: Killed| {
        fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(what);
    };
    std::thread::scope(|scope| {
        scope.spawn(move || feed(stdin, &input));
        let answer = scope.spawn(|| read_answer(stdout, body, limits.max_wheel, &accuse));
        let log = scope.spawn(|| read_log(stderr, limits.max_log, &accuse));
        let deadline = Instant::now() + limits.wall_clock;
        let watched = watch(&mut child, |census, pid| {
            if cancel.is_cancelled() {
                return Some(Killed::Cancelled);
            }
            if Instant::now() > deadline {
                return Some(Killed::WallClock);
            }
            let accused = *fault.lock().unwrap_or_else(PoisonError::into_inner);
            accused.or_else(|| census.take(pid, limits, work))
        });
        let broke = || io::Error::other("a thread that read the sandbox was lost");
        let (head, body, body_size) = answer.join().map_err(|_| broke())??;
        let (log, log_cut) = log.join().map_err(|_| broke())?;
        let (status, killed) = watched?;
        // A reader may have found the flood only after the program had ended by itself.
        let killed = killed.or(*fault.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Ran {
            status,
            killed,
            head,
            body,
            body_size,
            log,
            log_cut,
        })
    })
}

/// Waits for the end, or brings it about.
fn watch(
    child: &mut Child,
    mut look: impl FnMut(&mut Census, u32) -> Option<Killed>,
) -> io::Result<(Option<i32>, Option<Killed>)> {
    let mut census = Census::default();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.code(), None));
        }
        if let Some(killed) = look(&mut census, child.id()) {
            end(child)?;
            return Ok((None, Some(killed)));
        }
        std::thread::sleep(LOOK);
    }
}

/// Ends everything inside; bubblewrap sees its first process die, collects it and ends by itself. Killed before that, it
/// would leave a zombie to whoever is process 1 here, which in a container may be us.
fn end(child: &mut Child) -> io::Result<()> {
    let deadline = Instant::now() + TO_END;
    while Census::kill(child.id()) && Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    // It dies when we say so, and the kernel ends what is inside with it (`--die-with-parent`).
    let _ = child.kill();
    child.wait().map(|_| ())
}

/// Writes stdin. A sandbox that does not read to the end closes the pipe, which is its own affair.
fn feed(stdin: Option<ChildStdin>, input: &[Bytes]) {
    if let Some(mut stdin) = stdin {
        for part in input {
            if stdin.write_all(part).is_err() {
                return;
            }
        }
    }
}

fn read_answer(
    stdout: Option<ChildStdout>,
    mut body: File,
    max_body: u64,
    accuse: &impl Fn(Killed),
) -> io::Result<(Vec<u8>, File, u64)> {
    let mut stdout = stdout.ok_or_else(|| io::Error::other("no stdout"))?;
    let (mut head, mut in_head, mut size) = (Vec::new(), true, 0_u64);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match stdout.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut part = &buffer[..read];
        if in_head {
            let line = part.iter().position(|byte| *byte == b'\n');
            head.extend_from_slice(&part[..line.unwrap_or(read)]);
            in_head = line.is_none();
            part = line.map_or(&[][..], |line| &part[line + 1..]);
        }
        size += part.len() as u64;
        if head.len() > MAX_HEAD || size > max_body {
            accuse(Killed::Output);
            break;
        }
        body.write_all(part)?;
    }
    body.rewind()?;
    Ok((head, body, size))
}

fn read_log(stderr: Option<ChildStderr>, max: usize, accuse: &impl Fn(Killed)) -> (String, bool) {
    let mut log = CappedLog::new(max);
    let Some(mut stderr) = stderr else {
        return log.finish();
    };
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => log.add(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if log.total() > LOG_FLOOD * max as u64 {
            accuse(Killed::Log);
            break;
        }
    }
    log.finish()
}
