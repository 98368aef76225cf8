//! A build environment out of requirements: greedy, the newest of everything, without going back. Build requirements are
//! few and loose; what this cannot meet, an operator's recipe can pin.

use std::collections::{BTreeMap, BTreeSet};

use uv_normalize::ExtraName;

use super::Python;
use super::requirement::Wanted;
use super::shelf::{Shelf, Taken};
use crate::package::{ProjectName, Specifiers};

/// Most distributions of an environment. Threat: requirements without end.
const MAX_DISTRIBUTIONS: usize = 60;

/// Most choices made before giving up: requirements that throw each other out.
const MAX_CHOICES: usize = 200;

/// What is installed for a build, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    pub(super) distributions: Vec<Taken>,
}

impl Environment {
    /// The version of a project in it.
    pub(super) fn version_of(&self, project: &str) -> Option<String> {
        self.distributions
            .iter()
            .find(|taken| taken.name.project().as_str() == project)
            .map(|taken| taken.name.version().to_string())
    }
}

#[derive(Default)]
struct Wants {
    specifiers: Vec<Specifiers>,
    extras: BTreeSet<ExtraName>,
}

/// Resolves `requires`. A project that `pins` names with `==` is taken as pinned, whatever others ask of it: the wheel
/// itself says what it was built with.
pub(super) async fn resolve(
    shelf: &mut Shelf,
    python: &Python,
    requires: &[String],
    pins: &[String],
) -> Result<Environment, String> {
    let parse = |text: &String, extras: &[ExtraName]| Wanted::parse(text, python, extras);
    let pinned: BTreeMap<ProjectName, Specifiers> = pins
        .iter()
        .filter(|pin| pin.contains("=="))
        .filter_map(|pin| parse(pin, &[]).transpose())
        .map(|wanted| wanted.map(|wanted| (wanted.project, wanted.specifiers)))
        .collect::<Result<_, _>>()?;
    let mut chosen: BTreeMap<ProjectName, (Taken, BTreeSet<ExtraName>)> = BTreeMap::new();
    for _ in 0..MAX_CHOICES {
        let mut wants: BTreeMap<ProjectName, Wants> = BTreeMap::new();
        let mut want = |wanted: Wanted| {
            let entry = wants.entry(wanted.project.clone()).or_default();
            entry.extras.extend(wanted.extras);
            match pinned.get(&wanted.project) {
                Some(pin) => entry.specifiers = vec![pin.clone()],
                None => entry.specifiers.push(wanted.specifiers),
            }
        };
        for text in requires.iter().chain(pins) {
            parse(text, &[])?.map(&mut want);
        }
        for (taken, extras) in chosen.values() {
            let extras: Vec<ExtraName> = extras.iter().cloned().collect();
            for text in &taken.requires {
                parse(text, &extras)
                    .map_err(|error| format!("{}: {error}", taken.name))?
                    .map(&mut want);
            }
        }
        // A constraint is no requirement: `setuptools<70.1` of a pin matters only where setuptools is asked for. It is,
        // by every source that a pin of `wheel` comes from.
        if wants.len() > MAX_DISTRIBUTIONS {
            return Err(format!(
                "more than {MAX_DISTRIBUTIONS} distributions would be needed to build it"
            ));
        }
        chosen.retain(|project, _| wants.contains_key(project));
        let open = wants.iter().find(|(project, wants)| {
            chosen.get(*project).is_none_or(|(taken, extras)| {
                *extras != wants.extras
                    || !wants
                        .specifiers
                        .iter()
                        .all(|specifiers| specifiers.contains(taken.name.version()))
            })
        });
        let Some((project, wants)) = open else {
            let distributions = chosen.into_values().map(|(taken, _)| taken).collect();
            return Ok(Environment { distributions });
        };
        let taken = shelf.take(project, &wants.specifiers).await?;
        chosen.insert(project.clone(), (taken, wants.extras.clone()));
    }
    Err(format!(
        "no environment was found after {MAX_CHOICES} choices: its requirements throw each other out"
    ))
}
