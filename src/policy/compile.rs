//! From texts to rules that can be run: parsed, bounded, and looked through for what a policy may not do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use super::evaluate::{CHECK_INTERVAL, TIME_BUDGET, shortened};
use super::guard;
use super::syntax::{self, ModuleSyntax, Part};

/// Bytes of one file of rules. Threat: memory, and parsing without end.
pub const MAX_FILE: u64 = 1 << 20;
/// Bytes of all files together.
pub const MAX_TOTAL: u64 = 4 << 20;
/// How deep rules may use each other. Threat: the stack.
const MAX_CHAIN: usize = 100;

/// Why a policy cannot be used. Nothing is decided with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A file is not Rego, or uses what this build does not know.
    #[error("{0}")]
    Parse(String),
    /// A file is too long to be a policy.
    #[error(
        "{file} has {bytes} bytes; a file of rules has at most {MAX_FILE}, all of them together {MAX_TOTAL}"
    )]
    TooLong {
        /// Which file.
        file: String,
        /// How long it is, in bytes.
        bytes: u64,
    },
    /// A file or folder cannot be read.
    #[error("{path}: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said, or what it is instead.
        why: String,
    },
    /// `data.json` or `data.toml` is not a table of values.
    #[error("{file}: {why}")]
    Data {
        /// Which file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A rule calls what a policy may not call.
    #[error(
        "{place}: {builtin} may not be called: a verdict must follow from its input, so that it can be judged again"
    )]
    Forbidden {
        /// File, line, column.
        place: String,
        /// The builtin.
        builtin: String,
    },
    /// A rule calls what does not exist.
    #[error("{place}: there is no function {function}")]
    UnknownFunction {
        /// File, line, column.
        place: String,
        /// As written.
        function: String,
    },
    /// Rules that use themselves, or each other in a circle.
    #[error("these rules use each other in a circle, or deeper than {MAX_CHAIN} levels: {}", rules.join(", "))]
    Circle {
        /// Some of them.
        rules: Vec<String>,
    },
    /// A rule that every policy must have is missing.
    #[error("no rule {rule}: {why}")]
    Missing {
        /// Its path.
        rule: String,
        /// What it is for.
        why: &'static str,
    },
    /// A file is in a package that is not the site's to write.
    #[error(
        "{file}: the package {package} is built in; a site's rules are in chiron.site, or replace chiron.profile"
    )]
    Package {
        /// Which file.
        file: String,
        /// The package it says.
        package: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}

/// Parsed rules, ready to be run.
pub(super) struct Compiled {
    pub engine: Engine,
    pub modules: Vec<ModuleSyntax>,
}

/// Compiles `sources` (file name → text) with `data`.
pub(super) fn compile(
    sources: &BTreeMap<String, String>,
    data: &serde_json::Value,
) -> Result<Compiled, PolicyError> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: TIME_BUDGET,
        check_interval: CHECK_INTERVAL,
    });
    let failed = |error: anyhow::Error| PolicyError::Parse(shortened(&error.to_string()));
    let mut total = 0;
    for (file, text) in sources {
        let bytes = text.len() as u64;
        total += bytes;
        if bytes > MAX_FILE || total > MAX_TOTAL {
            return Err(PolicyError::TooLong {
                file: file.clone(),
                bytes,
            });
        }
        engine.add_policy(file.clone(), text.clone()).map_err(failed)?;
    }
    let modules: Vec<_> = engine
        .get_modules()
        .iter()
        .map(|module| syntax::read(module))
        .collect();
    check_calls(&modules)?;
    check_circles(&modules)?;
    guard::install(&mut engine).map_err(failed)?;
    let data = Value::from_json_str(&data.to_string()).map_err(failed)?;
    engine.add_data(data).map_err(failed)?;
    // What is only found out when rules are put in order (a variable that nothing binds) is found out now. On a copy:
    // the result itself is of no use here.
    let entry = modules.iter().flat_map(|module| &module.rules).next();
    if let Some(rule) = entry {
        let path: Arc<str> = format!("data.{}", rule.path).into();
        engine.clone().compile_with_entrypoint(&path).map_err(failed)?;
    }
    // Asking for a rule that is not there evaluates nothing, and leaves the engine prepared: its copies need not be.
    let _ = engine.eval_rule("data.chiron.nothing".to_owned());
    Ok(Compiled { engine, modules })
}

/// Every function that is called is a rule or a builtin, and none of the forbidden.
fn check_calls(modules: &[ModuleSyntax]) -> Result<(), PolicyError> {
    let rules: BTreeSet<&str> = modules
        .iter()
        .flat_map(|module| &module.rules)
        .map(|rule| rule.path.as_str())
        .collect();
    for (module, rule) in modules.iter().flat_map(|m| m.rules.iter().map(move |r| (m, r))) {
        for (function, place) in &rule.calls {
            let known = match function.strip_prefix("data.") {
                Some(path) => rules.contains(path),
                None => {
                    rules.contains(format!("{}.{function}", module.package).as_str())
                        || function == "print"
                        || regorus::unstable::BUILTINS.contains_key(function.as_str())
                }
            };
            if guard::FORBIDDEN.contains(&function.as_str()) {
                return Err(PolicyError::Forbidden {
                    place: place.to_string(),
                    builtin: function.clone(),
                });
            }
            if !known {
                return Err(PolicyError::UnknownFunction {
                    place: place.to_string(),
                    function: function.clone(),
                });
            }
        }
    }
    Ok(())
}

/// No rule leads back to itself, and none is deeper than [`MAX_CHAIN`]: the interpreter would recurse until its stack
/// ends, which ends the process. A variable that has the name of a rule counts as the rule.
fn check_circles(modules: &[ModuleSyntax]) -> Result<(), PolicyError> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in modules.iter().flat_map(|module| &module.rules) {
        let next = numbers.len();
        numbers.entry(&rule.path).or_insert(next);
    }
    let mut uses: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    for (module, rule) in modules.iter().flat_map(|m| m.rules.iter().map(move |r| (m, r))) {
        let Some(&from) = numbers.get(rule.path.as_str()) else {
            continue;
        };
        let calls = rule.calls.iter().map(|(function, _)| function.clone());
        let references = rule.references.iter().map(|(path, _)| {
            let named = path.iter().take_while(|part| matches!(part, Part::Name(_)));
            syntax::plain(&named.cloned().collect::<Vec<_>>())
        });
        for path in calls.chain(references) {
            let target = match path.strip_prefix("data.") {
                Some(path) => path.to_owned(),
                None if path == "input" || path.starts_with("input.") => continue,
                None => format!("{}.{path}", module.package),
            };
            uses.entry(from).or_default().extend(reached(&target, &numbers));
        }
    }
    // Rules are taken away once everything they use has been; what is left over at the end is in a circle.
    let mut open: BTreeSet<usize> = (0..numbers.len()).collect();
    for _ in 0..MAX_CHAIN {
        let stays = |number: &usize| uses.get(number).is_some_and(|used| !used.is_disjoint(&open));
        open = open.iter().copied().filter(stays).collect();
    }
    let left = numbers.iter().filter(|(_, number)| open.contains(number));
    let rules: Vec<String> = left.map(|(path, _)| (*path).to_owned()).take(8).collect();
    if rules.is_empty() {
        Ok(())
    } else {
        Err(PolicyError::Circle { rules })
    }
}

/// The rules that a path can mean: the one it names or goes into, or all under it.
fn reached(path: &str, numbers: &BTreeMap<&str, usize>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut end = path.len();
    loop {
        if let Some(number) = numbers.get(&path[..end]) {
            found.push(*number);
        }
        match path[..end].rfind('.') {
            Some(dot) => end = dot,
            None => break,
        }
    }
    let under = format!("{path}.");
    found.extend(
        numbers
            .range(under.as_str()..)
            .take_while(|(rule, _)| rule.starts_with(&under))
            .map(|(_, number)| *number),
    );
    found
}
