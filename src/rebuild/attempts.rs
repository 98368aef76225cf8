//! The attempts on one wheel, in the order in which they are most likely to end the matter.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chiron_storage::Digest;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::backend::{Generator, distribution_of};
use super::driver::{Answer, Done, Input, Plan, Role, Task, drive};
use super::epoch::epochs;
use super::recipe::{Kept, Recipe};
use super::resolve::{Environment, resolve};
use super::sandbox::Sandbox;
use super::shelf::Shelf;
use super::source::BuildSystem;
use super::{RebuildError, Sdist, Settings, Wheel};
use crate::blocking::{self, Lost};
use crate::mirror::Mirror;
use crate::package::{Specifiers, Version};
use crate::verify::reproducibility::{
    ATTEMPT_SCHEMA, Attempt, BackendFrom, CompareLimits, Level, PinnedFile, Rebuilt, compare,
};

/// How often a backend may ask for more before it is built: once is what PEP 517 allows; a second time is its answer to
/// what it was given.
const MAX_ASKS: usize = 3;

/// Everything that one rebuild works with.
pub(super) struct Work<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) settings: &'a Settings,
    pub(super) sandbox: &'a Sandbox,
    pub(super) wheel: &'a Wheel,
    pub(super) sdist: &'a Sdist,
    pub(super) as_of: Option<Timestamp>,
    pub(super) cancel: &'a CancellationToken,
}

/// One way to build.
struct Way {
    from: BackendFrom,
    /// What the environment must meet beyond what the source asks for.
    pins: Vec<String>,
    epoch: Option<i64>,
    recipe: Option<Kept>,
}

/// What a build came to, before it is compared.
#[derive(Default)]
struct Built {
    environment: Environment,
    log: String,
    log_cut: bool,
    output: Option<Vec<u8>>,
    problem: Option<String>,
    /// It went beyond its limits.
    killed: bool,
    /// Its environment could not be put together.
    unresolved: bool,
    /// The interpreter, where it is not the configured one.
    python: Option<Version>,
}

impl Work<'_> {
    pub(super) async fn run(&self) -> Result<Rebuilt, RebuildError> {
        let system = match self.describe().await? {
            Ok(system) => system,
            Err(why) => {
                let way = Way {
                    from: BackendFrom::AsOf,
                    pins: Vec::new(),
                    epoch: None,
                    recipe: None,
                };
                let built = Built {
                    problem: Some(why),
                    ..Built::default()
                };
                let attempt = self.judge(&way, None, Timestamp::now(), built).await?;
                return Ok(Rebuilt::new(vec![attempt]));
            }
        };
        let mut shelf = Shelf::new(self.mirror.clone(), self.sandbox.python().clone(), self.as_of);
        let mut attempts: Vec<Attempt> = Vec::new();
        // Another epoch does not find the distributions that could not be found.
        let mut without_environment: Vec<BackendFrom> = Vec::new();
        for way in self.ways()? {
            let best = attempts.iter().map(|attempt| attempt.level).max();
            if without_environment.contains(&way.from) {
                continue;
            }
            if best.is_some_and(|best| self.is_enough(best, &way, &attempts)) {
                continue;
            }
            let began = Timestamp::now();
            let built = self.build(&way, &system, &mut shelf).await?;
            let (killed, unresolved) = (built.killed, built.unresolved);
            attempts.push(self.judge(&way, Some(&system), began, built).await?);
            // What went beyond its limits would do so again, and cost as much each time.
            if killed {
                break;
            }
            if unresolved {
                without_environment.push(way.from);
            }
        }
        Ok(Rebuilt::new(attempts))
    }

    /// Whether `way` could bring nothing better than what was reached.
    fn is_enough(&self, best: Level, way: &Way, attempts: &[Attempt]) -> bool {
        // A wheel of files from several times was not stamped by the variable, and what its build stamped with the time
        // of the build nobody can stamp again: `time` is all that can be reached.
        let mixed = self
            .wheel
            .contents
            .dos_times
            .is_some_and(|(oldest, newest)| oldest != newest);
        // Only the times differ: no other environment changes them, and both ways to set them were tried.
        let tried: BTreeSet<Option<i64>> = attempts.iter().map(|attempt| attempt.epoch).collect();
        best == Level::Bit
            || (best == Level::Time && (mixed || tried.contains(&way.epoch)) && way.recipe.is_none())
    }

    /// The ways to build, best first.
    fn ways(&self) -> Result<Vec<Way>, RebuildError> {
        let contents = &self.wheel.contents;
        let mut epochs = epochs(contents.dos_times);
        if contents
            .dos_times
            .is_some_and(|(oldest, newest)| oldest != newest)
        {
            epochs.reverse();
        }
        let generator = contents.generator.as_deref().and_then(Generator::parse);
        let mut ways = Vec::new();
        let mut add = |from, pins: Vec<String>, epoch| {
            ways.push(Way {
                from,
                pins,
                epoch,
                recipe: None,
            });
        };
        if let Some(generator) = &generator {
            for epoch in &epochs {
                add(BackendFrom::Generator, generator.requirements(), *epoch);
            }
        }
        let first = epochs.first().copied().flatten();
        add(BackendFrom::AsOf, Vec::new(), first);
        if generator.is_none() {
            for epoch in epochs.iter().skip(1) {
                add(BackendFrom::AsOf, Vec::new(), *epoch);
            }
        }
        let project = self.wheel.name.project();
        let kept =
            Recipe::find(self.settings.recipes.as_deref(), project).map_err(|why| RebuildError::AtHand {
                what: project.to_string(),
                why,
            })?;
        let meant = |kept: &Kept| {
            let versions = kept.recipe.versions.as_deref().map(str::parse::<Specifiers>);
            versions.is_none_or(|versions| versions.is_ok_and(|v| v.contains(self.wheel.name.version())))
        };
        if let Some(kept) = kept.filter(meant) {
            ways.push(Way {
                from: BackendFrom::Recipe,
                pins: kept.recipe.requires.clone(),
                epoch: kept.recipe.epoch.or(first),
                recipe: Some(kept),
            });
        }
        Ok(ways)
    }

    /// Reads the source's own word for its build; the inner error is the source's.
    async fn describe(&self) -> Result<Result<BuildSystem, String>, RebuildError> {
        let nothing = Plan {
            backend: String::new(),
            backend_path: Vec::new(),
            config_settings: BTreeMap::new(),
            env: BTreeMap::new(),
            answered: Vec::new(),
            modes: self.wheel.modes(),
        };
        let answer = self
            .drive(self.sandbox, Task::Describe, nothing, &Environment::default())
            .await?;
        Ok(match answer.outcome {
            Ok(Done::Described(text)) => BuildSystem::parse(text.as_deref()),
            Ok(_) => Err("the driver did something else than it was told".to_owned()),
            Err(why) => Err(why),
        })
    }

    async fn build(&self, way: &Way, system: &BuildSystem, shelf: &mut Shelf) -> Result<Built, RebuildError> {
        let recipe = way.recipe.as_ref().map(|kept| &kept.recipe);
        let python = recipe.and_then(|recipe| recipe.python.as_deref());
        let other = match python {
            None => None,
            Some(python) => match self.sandbox.with_python(python).await {
                Ok(other) => Some(other),
                Err(error) => return Ok(Built::failed(error.to_string())),
            },
        };
        let sandbox = other.as_ref().unwrap_or(self.sandbox);
        let mut own;
        let shelf = if other.is_some() {
            own = Shelf::new(self.mirror.clone(), sandbox.python().clone(), self.as_of);
            &mut own
        } else {
            shelf
        };
        let mut env = recipe.map_or_else(BTreeMap::new, |recipe| recipe.env.clone());
        if let Some(epoch) = way.epoch {
            env.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string());
        }
        let mut built = Built {
            python: other.as_ref().map(|other| other.python().version().clone()),
            ..Built::default()
        };
        let mut asked: Vec<String> = Vec::new();
        for _ in 0..MAX_ASKS {
            let requires: Vec<String> = system.requires.iter().chain(&asked).cloned().collect();
            built.environment = match resolve(shelf, sandbox.python(), &requires, &way.pins).await {
                Ok(environment) => environment,
                Err(why) => {
                    return Ok(Built {
                        problem: Some(why),
                        unresolved: true,
                        ..built
                    });
                }
            };
            let names = built
                .environment
                .distributions
                .iter()
                .map(|taken| taken.name.project().to_string());
            let plan = Plan {
                backend: system.backend.clone(),
                backend_path: system.backend_path.clone(),
                config_settings: recipe.map_or_else(BTreeMap::new, |recipe| recipe.config_settings.clone()),
                env: env.clone(),
                answered: asked.iter().cloned().chain(names).collect(),
                modes: self.wheel.modes(),
            };
            let answer = self.drive(sandbox, Task::Build, plan, &built.environment).await?;
            (built.log, built.log_cut, built.killed) = (answer.log, answer.log_cut, answer.killed);
            match answer.outcome {
                Ok(Done::Built { filename, bytes }) => {
                    if filename != self.wheel.name.raw() {
                        let _ = writeln!(built.log, "\nthe build calls its wheel {filename:?}");
                    }
                    built.output = Some(bytes);
                    return Ok(built);
                }
                Ok(Done::Requires(more)) => asked = more,
                Ok(Done::Described(_)) => built.problem = Some("the driver gave no build".to_owned()),
                Err(why) => {
                    built.problem = Some(why);
                    return Ok(built);
                }
            }
        }
        built.problem = Some("the backend asks for something else each time".to_owned());
        Ok(built)
    }

    async fn drive(
        &self,
        sandbox: &Sandbox,
        task: Task,
        plan: Plan,
        environment: &Environment,
    ) -> Result<Answer, RebuildError> {
        let mut files = vec![Input {
            role: Role::Sdist,
            name: self.sdist.name.raw().to_owned(),
            bytes: self.sdist.bytes.clone(),
        }];
        files.extend(environment.distributions.iter().map(|taken| Input {
            role: Role::Wheel,
            name: taken.name.raw().to_owned(),
            bytes: taken.bytes.clone(),
        }));
        let (sandbox, cancel) = (sandbox.clone(), self.cancel.clone());
        let answer = blocking::run(move || drive(&sandbox, task, &plan, &files, &cancel))
            .await
            .map_err(|Lost| RebuildError::Lost)??;
        answer.ok_or(RebuildError::Cancelled)
    }

    /// Compares what was built, and writes the attempt down.
    async fn judge(
        &self,
        way: &Way,
        system: Option<&BuildSystem>,
        started: Timestamp,
        built: Built,
    ) -> Result<Attempt, RebuildError> {
        let Built {
            environment,
            log,
            log_cut,
            output,
            problem,
            killed: _,
            unresolved: _,
            python,
        } = built;
        let python = python.unwrap_or_else(|| self.sandbox.python().version().clone());
        let digest = output.as_deref().map(Digest::of);
        let (level, diff, diff_cut) = match output {
            None => (Level::Failed, String::new(), false),
            Some(bytes) => {
                let published = self.wheel.bytes.clone();
                let comparison =
                    blocking::run(move || compare(&published, &bytes, &CompareLimits::default()))
                        .await
                        .map_err(|Lost| RebuildError::Lost)?;
                (comparison.level, comparison.diff, comparison.cut)
            }
        };
        let pinned = |filename: &str, sha256| PinnedFile {
            filename: filename.to_owned(),
            sha256,
        };
        Ok(Attempt {
            schema: ATTEMPT_SCHEMA.to_owned(),
            wheel: pinned(self.wheel.name.raw(), self.wheel.sha256),
            source: pinned(self.sdist.name.raw(), self.sdist.sha256),
            level,
            problem,
            backend: Self::backend(system, &environment),
            backend_from: way.from,
            recipe: way
                .recipe
                .as_ref()
                .map(|kept| pinned(&kept.filename, kept.sha256)),
            epoch: way.epoch,
            as_of: self.as_of,
            environment: environment
                .distributions
                .iter()
                .map(|taken| pinned(taken.name.raw(), taken.sha256))
                .collect(),
            python: format!("Python {python}"),
            sandbox: self.sandbox.version().to_owned(),
            started,
            finished: Timestamp::now(),
            output: digest,
            log,
            log_cut,
            diff,
            diff_cut,
        })
    }

    /// The backend as a pin, `setuptools==75.1.0`; that of a source which brings its own has no version.
    fn backend(system: Option<&BuildSystem>, environment: &Environment) -> String {
        let Some(system) = system else {
            return String::new();
        };
        let distribution = distribution_of(&system.backend).filter(|_| system.backend_path.is_empty());
        distribution
            .and_then(|project| Some(format!("{project}=={}", environment.version_of(project)?)))
            .unwrap_or_else(|| system.backend.clone())
    }
}

impl Built {
    fn failed(why: String) -> Self {
        Self {
            problem: Some(why),
            ..Self::default()
        }
    }
}
