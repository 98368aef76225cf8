//! Running a compiled policy: on threads of its own, with a deadline that holds even inside a builtin.
//!
//! `regorus` stops a rule that runs on at the next step it takes ([`TIME_BUDGET`]). A single step that does not end is
//! caught from outside: nobody waits longer than [`PATIENCE`], and after [`MAX_LOST`] threads were given up nothing is
//! evaluated any more until one of them comes back. A policy that overruns decides nothing, which admits nothing.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regorus::{Engine, Value};

/// How long one evaluation may take. A decision takes about a millisecond; the rest is for machines under load.
pub(super) const TIME_BUDGET: Duration = Duration::from_secs(2);
/// How long its caller waits for it, at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// Threads that may be at work on evaluations that nobody waits for any more. Threat: exhaustion of the processor.
const MAX_LOST: usize = 2;
/// Threads kept between evaluations.
const MAX_IDLE: usize = 16;
/// Stack of an evaluating thread, bytes; taken as it is used. Rules that call each other nest a hundred frames deep.
const STACK: usize = 64 << 20;
/// Bytes of one answer. Threat: memory.
pub(super) const MAX_ANSWER: usize = 1 << 20;
/// Work between two looks at the clock, in steps of the interpreter.
pub(super) const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// Why there is no answer. Nothing may be concluded from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The rule is not defined for this input.
    #[error("the rule {0} is undefined for this input")]
    Undefined(String),
    /// A rule or a builtin failed.
    #[error("{0}")]
    Failed(String),
    /// It was stopped, or given up.
    #[error("the rules took longer than {} seconds and were stopped", TIME_BUDGET.as_secs())]
    Overran,
    /// Several evaluations were given up and are still running.
    #[error("the rules ran without end {MAX_LOST} times, and nothing more is evaluated with them")]
    Exhausted,
    /// Its thread is gone: a defect of the interpreter.
    #[error("the interpreter broke off")]
    BrokeOff,
    /// The answer is too long to be one.
    #[error("the rule {0} gave more than {MAX_ANSWER} bytes")]
    TooLong(String),
}

struct Question {
    input: Value,
    rules: Vec<String>,
    answer: SyncSender<Result<Vec<serde_json::Value>, EvaluateError>>,
}

/// A compiled policy's threads.
pub(super) struct Evaluator {
    engine: Mutex<Engine>,
    idle: Mutex<Vec<SyncSender<Question>>>,
    lost: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").finish_non_exhaustive()
    }
}

impl Evaluator {
    /// `engine`: with policies and data, prepared.
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine: Mutex::new(engine),
            idle: Mutex::default(),
            lost: Arc::default(),
        }
    }

    /// The values of `rules` (`data.…`) for an input, in their order; an undefined one is an error.
    pub(super) fn values(
        &self,
        input: Value,
        rules: &[String],
    ) -> Result<Vec<serde_json::Value>, EvaluateError> {
        if self.lost.load(Ordering::Relaxed) >= MAX_LOST {
            return Err(EvaluateError::Exhausted);
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let thread = match idle {
            Some(thread) => thread,
            None => self.thread()?,
        };
        let (answer, reply) = sync_channel(1);
        let rules = rules.to_vec();
        thread
            .send(Question { input, rules, answer })
            .map_err(|_| EvaluateError::BrokeOff)?;
        match reply.recv_timeout(PATIENCE) {
            Ok(values) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < MAX_IDLE {
                    idle.push(thread);
                }
                values
            }
            Err(RecvTimeoutError::Timeout) => {
                // The thread counts itself back when it finds out that nobody waits.
                self.lost.fetch_add(1, Ordering::Relaxed);
                Err(EvaluateError::Overran)
            }
            Err(RecvTimeoutError::Disconnected) => Err(EvaluateError::BrokeOff),
        }
    }

    fn thread(&self) -> Result<SyncSender<Question>, EvaluateError> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (ask, questions) = sync_channel(1);
        let lost = Arc::clone(&self.lost);
        std::thread::Builder::new()
            .name("policy".to_owned())
            .stack_size(STACK)
            .spawn(move || serve(engine, &questions, &lost))
            .map_err(|error| EvaluateError::Failed(format!("no thread to evaluate on: {error}")))?;
        Ok(ask)
    }
}

fn serve(mut engine: Engine, questions: &Receiver<Question>, lost: &AtomicUsize) {
    while let Ok(Question { input, rules, answer }) = questions.recv() {
        engine.set_input(input);
        let values = rules.into_iter().map(|rule| value(&mut engine, rule)).collect();
        engine.set_input(Value::Undefined);
        if answer.send(values).is_err() {
            lost.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

fn value(engine: &mut Engine, rule: String) -> Result<serde_json::Value, EvaluateError> {
    let value = engine.eval_rule(rule.clone()).map_err(|error| {
        match error.downcast_ref::<regorus::LimitError>() {
            Some(regorus::LimitError::TimeLimitExceeded { .. }) => EvaluateError::Overran,
            // Long messages quote the policy; the first lines say where and what.
            _ => EvaluateError::Failed(shortened(&error.to_string())),
        }
    })?;
    // What `print` said is of no use here, and grows.
    let _ = engine.take_prints();
    if value == Value::Undefined {
        return Err(EvaluateError::Undefined(rule));
    }
    let mut text = Bounded(Vec::new());
    if serde_json::to_writer(&mut text, &value).is_err() {
        return Err(EvaluateError::TooLong(rule));
    }
    serde_json::from_slice(&text.0).map_err(|error| EvaluateError::Failed(format!("{rule}: {error}")))
}

/// At most 600 characters, on one line.
pub(super) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(600).collect()
}

/// Takes [`MAX_ANSWER`] bytes and then refuses: values share their parts and can be longer than memory when written.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_ANSWER {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
