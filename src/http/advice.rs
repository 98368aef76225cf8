//! What would change a verdict: for each objection, what its reader can do. One place, for `/explain`, for the
//! answers to installers, and for the command line.

/// One thing to do about each objection (check and code), in their order and each once.
pub fn advice<'a>(reasons: impl IntoIterator<Item = (&'a str, &'a str)>, filename: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut waivable = Vec::new();
    for (check, code) in reasons {
        let what = one(check, code, filename);
        if !said.contains(&what) {
            said.push(what);
        }
        if may_be_waived(check, code) && !waivable.contains(&check) {
            waivable.push(check);
        }
    }
    if let Some(check) = waivable.first() {
        said.push(format!(
            "an operator who answers for it: `chiron waive {filename} --check {check} --until DATE --reason WHY`"
        ));
    }
    said
}

/// The first and most important thing to do, for a line that an installer prints.
pub fn first<'a>(reasons: impl IntoIterator<Item = (&'a str, &'a str)>, filename: &str) -> Option<String> {
    let (check, code) = reasons.into_iter().next()?;
    Some(one(check, code, filename))
}

/// False for what must not be waved through: another file than the published one, an archive that readers see
/// differently, malware, and what only waits.
fn may_be_waived(check: &str, code: &str) -> bool {
    match check {
        "structure" | "hashes" | "store" => false,
        "advisories" => code != "malware",
        "reproducibility" => code != "rebuild-pending",
        "policy" => !matches!(code, "filename-reuse" | "owned-name" | "undecided"),
        _ => true,
    }
}

fn one(check: &str, code: &str, filename: &str) -> String {
    match (check, code) {
        (_, "no-evidence") => format!("`chiron ingest` of {filename} again runs the check that did not run"),
        ("structure", "could-not-check" | "error") => {
            "the file could not be read: look into the daemon's log, then ingest it again".to_owned()
        }
        ("structure", "start-up" | "start-up-code" | "pth") => {
            "code that runs whenever Python starts is not in the source: report it to the project, take another release"
                .to_owned()
        }
        ("structure", _) => {
            "nothing here makes these bytes acceptable: its publisher must publish a sound file under a new version or build number".to_owned()
        }
        ("hashes", "absent") => {
            "nobody published a digest for it: hand it in with the one its publisher states, or by another profile"
                .to_owned()
        }
        ("hashes", _) => {
            "these are not the published bytes: fetch the file again, and if that gives the same, do not trust who sent it".to_owned()
        }
        ("signature", "absent" | "missing" | "required" | "publisher-required") => {
            format!("`chiron attach {filename} --attestation FILE` gives it the attestation that its publisher made")
        }
        ("signature", "downgrade") => {
            "earlier releases were signed and this one is not: ask the project whether this release is theirs"
                .to_owned()
        }
        ("signature", "wrong-publisher" | "publisher" | "identity" | "publisher-rule" | "unknown-publisher" | "publisher-unknown") => {
            "somebody else signed it than may sign this project: if the project moved, write its new publisher into the policy; else keep away from it".to_owned()
        }
        ("signature", "unknown-root" | "untrusted-certificate" | "could-not-check" | "error") => {
            "no trust root here vouches for the signer: bring the trust roots up to date (docs/evidence.md)".to_owned()
        }
        ("signature", _) => {
            "what was published beside it does not verify: its publisher must publish a sound attestation, or none"
                .to_owned()
        }
        ("sbom", "absent" | "missing" | "required" | "not-published") => {
            format!("`chiron attach {filename} --sbom FILE` gives it the bill of materials that is asked for")
        }
        ("sbom", _) => "its publisher must publish a bill of materials that is valid and speaks of this file".to_owned(),
        ("reproducibility", "rebuild-pending") => {
            "nothing: the rebuild runs, and the file is judged again by itself (`chiron jobs list`)".to_owned()
        }
        ("reproducibility", "differs" | "level-too-low") => {
            "its source does not give this wheel: read the rebuild's difference (`chiron show`), keep a recipe, or take another rebuilder's statement".to_owned()
        }
        ("reproducibility", "rebuild-unavailable") => {
            "this machine cannot rebuild (`chiron doctor` says why): make it able to, or take statements of other rebuilders".to_owned()
        }
        ("reproducibility", "absent") => {
            "its project publishes no source to hold it against: ask for an sdist".to_owned()
        }
        ("reproducibility", "regression") => {
            "earlier releases could be rebuilt and this one cannot: ask the project what changed in its build".to_owned()
        }
        ("reproducibility", "source-unavailable" | "could-not-check" | "error") => {
            format!("the source could not be had: `chiron ingest` of {filename} again fetches it")
        }
        ("reproducibility", _) => {
            "it holds what its source does not: look at the files named below before anybody runs them".to_owned()
        }
        ("advisories", "malware") => {
            "keep away from it: it is known malware; look for machines that installed it".to_owned()
        }
        ("advisories", "absent" | "stale" | "unknown" | "empty" | "could-not-check" | "error" | "required") => {
            "`chiron advisories load PATH` brings in a newer advisory database; everything is then judged again"
                .to_owned()
        }
        ("advisories", _) => {
            "take a release in which it is fixed, or state with VEX that this use is not affected".to_owned()
        }
        ("policy", "too-young") => "nothing: it is judged again by itself once it is old enough".to_owned(),
        ("policy", "filename-reuse") => {
            "a published filename never changes its content: publish under a new version or build number".to_owned()
        }
        ("policy", "owned-name") => {
            "only this site supplies the name: `chiron ingest FILE` hands it in".to_owned()
        }
        ("policy", "yanked") => "its publisher yanked it: take another release, or set policy.yanked".to_owned(),
        ("policy", "licence-denied" | "licence-unknown") => {
            "take a release under a licence that the policy allows (policy.licences_allow, policy.licences_deny)"
                .to_owned()
        }
        ("policy", "undecided") => {
            "the policy gave no decision: `chiron policy check` and `chiron policy test` say why".to_owned()
        }
        ("store", _) => "`chiron scrub --repair` fetches the same bytes again and restores it".to_owned(),
        _ => "`chiron policy show` says what is asked".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_objection_has_its_remedy_once() {
        let said = advice(
            [("sbom", "absent"), ("sbom", "absent"), ("signature", "absent")],
            "demo-1.0-py3-none-any.whl",
        );
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("chiron attach demo-1.0-py3-none-any.whl --sbom"));
        assert!(said[1].contains("--attestation"));
        assert!(said[2].contains("chiron waive demo-1.0-py3-none-any.whl --check sbom"));
    }

    #[test]
    fn what_must_not_pass_is_not_offered_a_waiver() {
        for never in [
            ("structure", "record-hash"),
            ("hashes", "sha256"),
            ("advisories", "malware"),
            ("reproducibility", "rebuild-pending"),
            ("policy", "filename-reuse"),
        ] {
            let said = advice([never], "x.whl");
            assert!(said.iter().all(|line| !line.contains("chiron waive")), "{said:?}");
        }
    }
}
