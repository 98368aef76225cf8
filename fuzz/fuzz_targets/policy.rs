//! A site's rules: any text compiles or is refused, and what compiles answers or does not, but never takes the
//! process along or admits by itself.
#![no_main]

use chiron::policy::{Policy, Profile, Settings, SiteRules, lint, test};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let rules = format!("package chiron.site\n{text}");
    let files = [("fuzz.rego".to_owned(), rules)].into();
    let site = SiteRules {
        files,
        ..SiteRules::default()
    };
    if let Ok(policy) = Policy::new(Profile::Standard, Settings::default(), &site) {
        let _ = lint(&policy);
        let _ = test(&policy);
    }
});
