//! What a bill is about. Most bills in real wheels are about something *inside* the wheel, not about the wheel: of eight
//! documents in popular wheels, three have a root that names the Python project **[m]**.

use packageurl::PackageUrl;
use std::str::FromStr;

use super::bill::{Bill, Component};
use super::facts::Role;
use crate::package::{DistributionFilename, ProjectName};

/// Tools that put bills, or themselves as the root of one, into wheels.
const BUILD_TOOLS: [&str; 12] = [
    "auditwheel",
    "build",
    "cibuildwheel",
    "delocate",
    "delvewheel",
    "flit-core",
    "hatchling",
    "maturin",
    "meson-python",
    "repairwheel",
    "scikit-build-core",
    "setuptools",
];

/// The role of a bill for a file called `name`, in which the projects `vendored` lie.
pub(super) fn role(bill: &Bill, name: &DistributionFilename, vendored: &[ProjectName]) -> Role {
    let Some(root) = &bill.root else {
        return Role::Embedded;
    };
    let by_purl = root
        .purl
        .as_deref()
        .and_then(python_purl)
        .map(|(project, _)| project);
    let is_own = match &root.purl {
        Some(_) => by_purl.as_ref() == Some(name.project()),
        None => name.project().is_spelled(&root.name),
    };
    if is_own || root.name == name.raw() {
        return Role::Root;
    }
    let tool = by_purl.as_ref().map_or(root.name.as_str(), ProjectName::as_str);
    let is_tool = |tool: &str| {
        BUILD_TOOLS.contains(&tool) || bill.tools.iter().any(|other| other.eq_ignore_ascii_case(tool))
    };
    match by_purl {
        _ if is_tool(tool) => Role::BuildTool,
        // A bill about a Python release that is not a part of this file can only have been meant for another.
        Some(other) if !vendored.contains(&other) => Role::Root,
        _ => Role::Embedded,
    }
}

/// The Python project that a component is, by its purl; without a purl by its name, as far as that is one.
pub(super) fn python_project(component: &Component) -> Option<ProjectName> {
    match &component.purl {
        Some(purl) => python_purl(purl).map(|(project, _)| project),
        None => ProjectName::parse(&component.name).ok(),
    }
}

/// Project and version of a `pkg:pypi/…`.
pub(super) fn python_purl(purl: &str) -> Option<(ProjectName, Option<String>)> {
    let purl = PackageUrl::from_str(purl).ok()?;
    if purl.ty() != "pypi" {
        return None;
    }
    Some((
        ProjectName::parse(purl.name()).ok()?,
        purl.version().map(str::to_owned),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn bill(name: &str, purl: Option<&str>) -> Bill {
        Bill {
            root: Some(Component {
                name: name.to_owned(),
                purl: purl.map(str::to_owned),
                ..Component::default()
            }),
            ..Bill::default()
        }
    }

    #[test]
    fn roles_of_what_is_met_in_real_wheels() {
        let file = DistributionFilename::parse("Demo_Pkg-1.0-py3-none-any.whl").unwrap();
        let vendored = [ProjectName::parse("idna").unwrap()];
        for (name, purl, expected) in [
            (
                "demo-pkg",
                Some("pkg:pypi/demo_pkg@1.0?file_name=x.whl"),
                Role::Root,
            ),
            ("demo.pkg", None, Role::Root),
            (
                "demo-pkg",
                Some("pkg:cargo/demo-pkg@1.0?download_url=file://."),
                Role::Embedded,
            ),
            ("openssl", Some("pkg:generic/openssl@3"), Role::Embedded),
            ("idna", Some("pkg:pypi/idna@3.10"), Role::Embedded),
            ("auditwheel", Some("pkg:pypi/auditwheel@6"), Role::BuildTool),
            ("maturin", Some("pkg:cargo/maturin@1"), Role::BuildTool),
            ("requests", Some("pkg:pypi/requests@2"), Role::Root),
            ("requests", None, Role::Embedded),
            ("Demo_Pkg-1.0-py3-none-any.whl", None, Role::Root),
            ("a name with spaces", None, Role::Embedded),
        ] {
            assert_eq!(
                role(&bill(name, purl), &file, &vendored),
                expected,
                "{name} {purl:?}"
            );
        }
        assert_eq!(role(&Bill::default(), &file, &[]), Role::Embedded);
    }

    #[test]
    fn a_project_that_is_a_build_tool_may_have_a_bill_of_its_own() {
        let file = DistributionFilename::parse("maturin-1.0.tar.gz").unwrap();
        assert_eq!(
            role(&bill("maturin", Some("pkg:pypi/maturin@1")), &file, &[]),
            Role::Root
        );
    }
}
