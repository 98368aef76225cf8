//! Licences as SPDX expressions: what core metadata says, normalised where it is certain and unknown where it is not.
//!
//! PEP 639's `License-Expression` is an expression already. The older `License` field is free text and the classifiers
//! are a closed list, many of whose entries can mean several licences ("BSD License", "Apache Software License"); only
//! texts that can mean one are translated.

use spdx::expression::{ExprNode, Operator};
use spdx::{Expression, LicenseReq, ParseMode};

use super::metadata::CoreMetadata;

/// Longest text that is read as an expression, bytes. Longer ones are whole licences.
const MAX_BYTES: usize = 1_000;

/// Licences in two expressions that are compared for meaning; more would need too many trials.
const MAX_COMPARED: usize = 12;

/// Identifiers as PEP 639 takes them: SPDX's list, deprecated ones too.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// What a licence was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenceSource {
    /// `License-Expression`.
    Expression,
    /// `License`.
    Text,
    /// A classifier.
    Classifier,
}

/// The licence that metadata states with certainty: an SPDX expression and where it stands. A field that is there and
/// says nothing certain does not fall back to a weaker one that would contradict it.
pub fn stated(metadata: &CoreMetadata) -> Option<(String, LicenceSource)> {
    if let Some(expression) = &metadata.license_expression {
        return Some((normalise(expression)?, LicenceSource::Expression));
    }
    let by_text = metadata
        .license
        .as_deref()
        .and_then(|text| normalise(text).or_else(|| from_text(text)));
    if let Some(found) = by_text {
        return Some((found, LicenceSource::Text));
    }
    let mut licences = metadata
        .classifiers
        .iter()
        .filter_map(|classifier| classifier.strip_prefix("License :: "))
        .map(|rest| rest.strip_prefix("OSI Approved :: ").unwrap_or(rest))
        .filter(|name| *name != "OSI Approved");
    match (licences.next(), licences.next()) {
        // Of several classifiers nobody says whether they are joined by AND or by OR.
        (Some(one), None) => Some((from_classifier(one)?.to_owned(), LicenceSource::Classifier)),
        _ => None,
    }
}

/// An expression in SPDX's own spelling: identifiers in their proper case, operators in capitals, the parentheses that
/// are needed. `None` when it is no valid expression.
pub fn normalise(text: &str) -> Option<String> {
    let expression = parse(text)?;
    let mut stack: Vec<(String, Option<Operator>)> = Vec::new();
    for node in expression.iter() {
        match node {
            ExprNode::Req(required) => stack.push((spelled(&required.req), None)),
            ExprNode::Op(operator) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                let group = |(text, inner): (String, Option<Operator>)| {
                    // AND binds closer than OR.
                    if *operator == Operator::And && inner == Some(Operator::Or) {
                        format!("({text})")
                    } else {
                        text
                    }
                };
                let word = if *operator == Operator::And { "AND" } else { "OR" };
                stack.push((
                    format!("{} {word} {}", group(left), group(right)),
                    Some(*operator),
                ));
            }
        }
    }
    stack.pop().map(|(text, _)| text)
}

/// Whether two expressions allow the same: `MIT OR Apache-2.0` is `Apache-2.0 OR MIT`. `None` when one of them is no
/// expression, or both together name too many licences.
pub fn same(left: &str, right: &str) -> Option<bool> {
    let (left, right) = (parse(left)?, parse(right)?);
    let mut named: Vec<String> = left
        .requirements()
        .chain(right.requirements())
        .map(|required| spelled(&required.req))
        .collect();
    named.sort_unstable();
    named.dedup();
    if named.len() > MAX_COMPARED {
        return None;
    }
    // Two formulas are the same when no choice of accepted licences tells them apart.
    let accepts = |expression: &Expression, chosen: u32| {
        expression.evaluate(|required| {
            named
                .binary_search(&spelled(required))
                .is_ok_and(|place| chosen & (1 << place) != 0)
        })
    };
    Some((0..1_u32 << named.len()).all(|chosen| accepts(&left, chosen) == accepts(&right, chosen)))
}

/// One licence as SPDX spells it today: its deprecated `GPL-3.0` always meant that version only.
fn spelled(licence: &LicenseReq) -> String {
    let text = licence.to_string();
    let (id, exception) = text.split_once(" WITH ").unwrap_or((&text, ""));
    let is_bare = ["GPL-", "LGPL-", "AGPL-", "GFDL-"]
        .iter()
        .any(|family| id.starts_with(family))
        && id.ends_with(|last: char| last.is_ascii_digit());
    match (is_bare, exception) {
        (true, "") => format!("{id}-only"),
        (true, exception) => format!("{id}-only WITH {exception}"),
        (false, _) => text,
    }
}

fn parse(text: &str) -> Option<Expression> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_BYTES {
        return None;
    }
    Expression::parse_mode(text, MODE)
        .or_else(|_| Expression::parse_mode(&in_proper_case(text), MODE))
        .ok()
}

/// Identifiers may be written in any case (PEP 639); SPDX's list has one.
fn in_proper_case(text: &str) -> String {
    let mut proper = String::with_capacity(text.len());
    for piece in text.split_inclusive([' ', '(', ')', '+']) {
        let word = piece.trim_end_matches([' ', '(', ')', '+']);
        let found = spdx::identifiers::LICENSES
            .iter()
            .map(|licence| licence.name)
            .chain(
                spdx::identifiers::EXCEPTIONS
                    .iter()
                    .map(|exception| exception.name),
            )
            .chain(["AND", "OR", "WITH"])
            .find(|name| name.eq_ignore_ascii_case(word));
        proper.push_str(found.unwrap_or(word));
        proper.push_str(&piece[word.len()..]);
    }
    proper
}

/// Names that authors write for one licence and no other. Compared in lower case, without "the" and punctuation.
const TEXTS: [(&str, &str); 36] = [
    ("0bsd license", "0BSD"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache 2.0 license", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache software license version 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("boost software license 1.0", "BSL-1.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("2-clause bsd license", "BSD-2-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("simplified bsd license", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("isc license", "ISC"),
    ("isc license (iscl)", "ISC"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("mit license", "MIT"),
    ("mit licence", "MIT"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl2", "MPL-2.0"),
    ("unlicense", "Unlicense"),
];

fn from_text(text: &str) -> Option<String> {
    if text.len() > 100 {
        return None;
    }
    let text = text.trim().to_ascii_lowercase().replace([',', '"'], "");
    let text = text.strip_prefix("the ").unwrap_or(&text).trim_end_matches('.');
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    TEXTS
        .iter()
        .find(|(name, _)| *name == words)
        .map(|(_, licence)| (*licence).to_owned())
}

/// Classifiers that mean one licence, without their `License :: OSI Approved :: `.
const CLASSIFIERS: [(&str, &str); 37] = [
    ("Apache Software License 2.0", "Apache-2.0"),
    ("Blue Oak Model License (BlueOak-1.0.0)", "BlueOak-1.0.0"),
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    (
        "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)",
        "CECILL-2.1",
    ),
    (
        "Common Development and Distribution License 1.0 (CDDL-1.0)",
        "CDDL-1.0",
    ),
    ("Eclipse Public License 1.0 (EPL-1.0)", "EPL-1.0"),
    ("Eclipse Public License 2.0 (EPL-2.0)", "EPL-2.0"),
    ("European Union Public Licence 1.1 (EUPL 1.1)", "EUPL-1.1"),
    ("European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    (
        "GNU Affero General Public License v3 or later (AGPLv3+)",
        "AGPL-3.0-or-later",
    ),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    (
        "GNU General Public License v2 or later (GPLv2+)",
        "GPL-2.0-or-later",
    ),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    (
        "GNU General Public License v3 or later (GPLv3+)",
        "GPL-3.0-or-later",
    ),
    ("GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    (
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "LGPL-2.0-or-later",
    ),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    (
        "GNU Lesser General Public License v3 or later (LGPLv3+)",
        "LGPL-3.0-or-later",
    ),
    ("Historical Permission Notice and Disclaimer (HPND)", "HPND"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 1.0 (MPL)", "MPL-1.0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    (
        "Mulan Permissive Software License v2 (MulanPSL-2.0)",
        "MulanPSL-2.0",
    ),
    ("NASA Open Source Agreement v1.3 (NASA-1.3)", "NASA-1.3"),
    ("Open Software License 3.0 (OSL-3.0)", "OSL-3.0"),
    ("PostgreSQL License", "PostgreSQL"),
    ("SIL Open Font License 1.1 (OFL-1.1)", "OFL-1.1"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Universal Permissive License (UPL)", "UPL-1.0"),
    ("University of Illinois/NCSA Open Source License", "NCSA"),
    ("Zero-Clause BSD (0BSD)", "0BSD"),
    ("zlib/libpng License", "Zlib"),
];

fn from_classifier(name: &str) -> Option<&'static str> {
    CLASSIFIERS
        .iter()
        .find(|(classifier, _)| *classifier == name)
        .map(|(_, licence)| *licence)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn metadata(fields: &str) -> CoreMetadata {
        let text = format!("Metadata-Version: 2.4\nName: a\nVersion: 1\n{fields}");
        CoreMetadata::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn expressions_are_normalised() {
        for (text, normal) in [
            ("MIT", "MIT"),
            ("mit", "MIT"),
            ("mit or apache-2.0", "MIT OR Apache-2.0"),
            ("(MIT)", "MIT"),
            (
                "MIT AND (Apache-2.0 OR BSD-2-Clause)",
                "MIT AND (Apache-2.0 OR BSD-2-Clause)",
            ),
            ("(MIT AND ISC) OR Zlib", "MIT AND ISC OR Zlib"),
            (
                "GPL-3.0-or-later with classpath-exception-2.0",
                "GPL-3.0-or-later WITH Classpath-exception-2.0",
            ),
            ("LicenseRef-Proprietary", "LicenseRef-Proprietary"),
            ("GPL-3.0", "GPL-3.0-only"),
            ("GPL-3.0+", "GPL-3.0-or-later"),
            ("gpl-2.0 or mit", "GPL-2.0-only OR MIT"),
        ] {
            assert_eq!(normalise(text).as_deref(), Some(normal), "{text}");
        }
        for text in [
            "",
            "BSD",
            "Apache",
            "MIT OR",
            "MIT Apache-2.0",
            "see LICENSE",
            "GPL",
            &"MIT OR ".repeat(500),
        ] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_is_certain_is_stated() {
        use LicenceSource::{Classifier, Expression, Text};
        for (fields, expected) in [
            (
                "License-Expression: bsd-3-clause\n",
                Some(("BSD-3-Clause", Expression)),
            ),
            ("License-Expression: nonsense\nLicense: MIT\n", None),
            (
                "License: Apache License, Version 2.0\n",
                Some(("Apache-2.0", Text)),
            ),
            ("License: The MIT License.\n", Some(("MIT", Text))),
            (
                "License: BSD\nClassifier: License :: OSI Approved :: BSD License\n",
                None,
            ),
            ("License: GPLv3\n", None),
            (
                "Classifier: License :: OSI Approved :: MIT License\n",
                Some(("MIT", Classifier)),
            ),
            (
                "Classifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n",
                Some(("ISC", Classifier)),
            ),
            (
                "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: ISC License (ISCL)\n",
                None,
            ),
            (
                "Classifier: License :: OSI Approved :: Apache Software License\n",
                None,
            ),
            ("", None),
        ] {
            let found = stated(&metadata(fields));
            assert_eq!(
                found.as_ref().map(|(text, from)| (text.as_str(), *from)),
                expected,
                "{fields}"
            );
        }
    }

    #[test]
    fn every_translation_is_an_expression() {
        for (name, licence) in TEXTS.iter().chain(&CLASSIFIERS) {
            assert_eq!(normalise(licence).as_deref(), Some(*licence), "{name}");
        }
    }

    #[test]
    fn sameness_is_of_meaning() {
        assert_eq!(same("MIT OR Apache-2.0", "apache-2.0 or mit"), Some(true));
        assert_eq!(
            same("MIT AND (ISC OR Zlib)", "(MIT AND ISC) OR (MIT AND Zlib)"),
            Some(true)
        );
        assert_eq!(same("MIT OR ISC", "MIT AND ISC"), Some(false));
        assert_eq!(same("MIT", "ISC"), Some(false));
        assert_eq!(same("MIT", "BSD"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_an_expression_or_none(text in ".{0,60}") {
            if let Some(normal) = normalise(&text) {
                prop_assert_eq!(normalise(&normal), Some(normal.clone()));
                prop_assert_eq!(same(&normal, &text), Some(true));
            }
        }

        #[test]
        fn normalising_keeps_the_meaning(
            text in "(MIT|ISC|Zlib)( (AND|OR) (\\((MIT|0BSD) (OR|AND) Zlib\\)|ISC|MIT)){0,4}"
        ) {
            let normal = normalise(&text).unwrap();
            prop_assert_eq!(same(&normal, &text), Some(true), "{} {}", text, normal);
            prop_assert_eq!(normalise(&normal), Some(normal));
        }
    }
}
