//! A policy that can decide: profile, settings and the site's own rules, compiled once and named by a digest.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use chiron_storage::Digest;
use regorus::Engine;
use serde_json::{Value, json};

use super::compile::{Compiled, PolicyError, compile};
use super::evaluate::{EvaluateError, Evaluator, shortened};
use super::input::canonical;
use super::profile::SHARED;
use super::syntax::ModuleSyntax;
use super::{Kept, MinimumAge, Profile, Settings, SiteRules};

/// The rule that every policy answers with.
pub(super) const DECISION: &str = "data.chiron.profile.decision";
/// The objections that a site adds to the profile.
pub(super) const SITE_OBJECTIONS: &str = "data.chiron.site.objections";

/// A policy: rules, data and the digest that names them in every verdict. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    profile: Profile,
    replaced: bool,
    settings: Settings,
    sources: BTreeMap<String, String>,
    data: Value,
    digest: Digest,
    modules: Vec<ModuleSyntax>,
    /// The rules that a decision asks for.
    entries: Vec<String>,
    evaluator: Result<Evaluator, PolicyError>,
}

static BUILTIN: LazyLock<[Policy; 3]> =
    LazyLock::new(|| Profile::ALL.map(|profile| Policy::of_profile(profile, Settings::default())));

impl Policy {
    /// A built-in profile with the settings that an empty configuration has.
    pub fn builtin(profile: Profile) -> Self {
        let [strict, standard, audit] = &*BUILTIN;
        match profile {
            Profile::Strict => strict.clone(),
            Profile::Standard => standard.clone(),
            Profile::Audit => audit.clone(),
        }
    }

    /// The built-in rules always compile (a test sees to it); if they ever do not, nothing is decided with them.
    fn of_profile(profile: Profile, settings: Settings) -> Self {
        let site = SiteRules::default();
        match Self::new(profile, settings.clone(), &site) {
            Ok(policy) => policy,
            Err(error) => Self(Arc::new(Inner {
                profile,
                replaced: false,
                settings,
                sources: BTreeMap::new(),
                data: Value::Null,
                digest: Digest::of(error.to_string().as_bytes()),
                modules: Vec::new(),
                entries: Vec::new(),
                evaluator: Err(error),
            })),
        }
    }

    /// A profile with a site's settings and its own rules.
    ///
    /// # Errors
    ///
    /// Whatever keeps the rules from being run as they are meant: see [`PolicyError`].
    pub fn new(profile: Profile, settings: Settings, site: &SiteRules) -> Result<Self, PolicyError> {
        let mut sources: BTreeMap<String, String> = SHARED
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        let packages = site_packages(site)?;
        let replaced = packages.values().any(|package| package == "chiron.profile");
        if !replaced {
            let (file, text) = profile.rules();
            sources.insert(file.to_owned(), text.to_owned());
        }
        for (file, text) in &site.files {
            sources.insert(format!("site/{file}"), text.clone());
        }
        let data = json!({ "settings": settings, "site": site.data });
        let Compiled { engine, modules } = compile(&sources, &data)?;
        let has = |rule: &str| {
            modules
                .iter()
                .flat_map(|m| &m.rules)
                .any(|r| format!("data.{}", r.path) == rule)
        };
        if !has(DECISION) {
            return Err(PolicyError::Missing {
                rule: DECISION.to_owned(),
                why: "the package chiron.profile must say {\"admit\", \"requirements\", \"objections\"}",
            });
        }
        let mut entries = vec![DECISION.to_owned()];
        if packages.values().any(|package| package == "chiron.site") {
            if !has(SITE_OBJECTIONS) {
                return Err(PolicyError::Missing {
                    rule: SITE_OBJECTIONS.to_owned(),
                    why: "the package chiron.site adds objections: `objections contains {\"check\": …} if …`",
                });
            }
            entries.push(SITE_OBJECTIONS.to_owned());
        }
        let text = json!({
            "schema": "chiron.policy/v2", "profile": profile, "sources": sources, "data": data,
        });
        Ok(Self(Arc::new(Inner {
            profile,
            replaced,
            settings,
            digest: Digest::of(&canonical(&text)),
            sources,
            data,
            modules,
            entries,
            evaluator: Ok(Evaluator::new(engine)),
        })))
    }

    /// The profile that the rules start from.
    pub fn profile(&self) -> Profile {
        self.0.profile
    }

    /// The site's own rules stand in the place of the profile's.
    pub fn replaces_profile(&self) -> bool {
        self.0.replaced
    }

    /// SHA-256 over rules and data.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Every file of rules: name and text. The site's begin with `site/`.
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.0.sources
    }

    /// What rules see as `data`: `settings` and `site`.
    pub fn data(&self) -> &Value {
        &self.0.data
    }

    /// What the site set without rules.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// How old a file must be; `None`: no waiting.
    pub fn minimum_age(&self) -> Option<MinimumAge> {
        MinimumAge::of(&self.0.settings)
    }

    /// How many persons a waiver needs.
    pub fn waiver_persons(&self) -> usize {
        usize::try_from(self.0.settings.waiver_persons)
            .unwrap_or(usize::MAX)
            .max(1)
    }

    pub(super) fn modules(&self) -> &[ModuleSyntax] {
        &self.0.modules
    }

    pub(super) fn entries(&self) -> &[String] {
        &self.0.entries
    }

    pub(super) fn values(
        &self,
        input: regorus::Value,
        rules: &[String],
    ) -> Result<Vec<Value>, EvaluateError> {
        match &self.0.evaluator {
            Ok(evaluator) => evaluator.values(input, rules),
            Err(error) => Err(EvaluateError::Failed(error.to_string())),
        }
    }
}

/// The package of each of the site's files, none of which may be a built-in one.
fn site_packages(site: &SiteRules) -> Result<BTreeMap<String, String>, PolicyError> {
    let mut packages = BTreeMap::new();
    for (file, text) in &site.files {
        let bytes = text.len() as u64;
        if bytes > super::compile::MAX_FILE {
            return Err(PolicyError::TooLong {
                file: file.clone(),
                bytes,
            });
        }
        let package = Engine::new()
            .add_policy(format!("site/{file}"), text.clone())
            .map_err(|error| PolicyError::Parse(shortened(&error.to_string())))?;
        let package = package.trim_start_matches("data.").to_owned();
        let family = |name: &str| {
            package == name
                || package
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('.') || rest == "_test")
        };
        if !family("chiron.site") && !family("chiron.profile") {
            return Err(PolicyError::Package {
                file: file.clone(),
                package,
            });
        }
        packages.insert(file.clone(), package);
    }
    Ok(packages)
}

/// The policy that decides now. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct InForce {
    now: Arc<RwLock<Arc<Policy>>>,
    kept: Option<Kept>,
}

impl InForce {
    /// Starts with a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            now: Arc::new(RwLock::new(Arc::new(policy))),
            kept: None,
        }
    }

    /// Starts with the policy that a file keeps, or else with the configured one.
    ///
    /// # Errors
    ///
    /// As [`Kept::policy`].
    pub fn kept(kept: Kept, configured: Policy) -> Result<Self, PolicyError> {
        let policy = kept.policy(configured.settings().clone())?.unwrap_or(configured);
        Ok(Self {
            kept: Some(kept),
            ..Self::new(policy)
        })
    }

    /// Where a policy that is put in force is kept.
    pub fn keeper(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// The policy at this moment. A judgment takes it once and keeps it to its end.
    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place, and gives back the one before.
    pub fn replace(&self, policy: Policy) -> Arc<Policy> {
        std::mem::replace(
            &mut *self.now.write().unwrap_or_else(PoisonError::into_inner),
            Arc::new(policy),
        )
    }
}

impl From<Policy> for InForce {
    fn from(policy: Policy) -> Self {
        Self::new(policy)
    }
}
