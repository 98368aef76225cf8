//! The file's licence: what its metadata states, held against what the bill of the release states.

use super::facts::{LicenceFacts, LicenceFrom};
use crate::package::licence::{LicenceSource, normalise, same, stated};
use crate::package::metadata::CoreMetadata;

/// The facts; `in_bill` is the licence of the root of the bill that speaks of the release.
pub(super) fn facts(metadata: Option<&CoreMetadata>, in_bill: Option<&str>) -> LicenceFacts {
    let own = metadata.and_then(stated);
    let in_bill = in_bill.and_then(normalise);
    let agrees = match (&own, &in_bill) {
        (Some((own, _)), Some(in_bill)) => same(own, in_bill),
        _ => None,
    };
    let (expression, from) = match (own, in_bill) {
        (Some((expression, source)), _) => {
            let from = match source {
                LicenceSource::Expression => LicenceFrom::LicenseExpression,
                LicenceSource::Text => LicenceFrom::License,
                LicenceSource::Classifier => LicenceFrom::Classifier,
            };
            (Some(expression), from)
        }
        (None, Some(expression)) => (Some(expression), LicenceFrom::Sbom),
        (None, None) => (None, LicenceFrom::Unknown),
    };
    LicenceFacts {
        expression,
        from,
        agrees,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_files_own_word_comes_first() {
        let metadata = |field: &str| {
            CoreMetadata::parse(format!("Metadata-Version: 2.4\nName: a\nVersion: 1\n{field}").as_bytes())
                .unwrap()
        };
        let mit = metadata("License-Expression: MIT\n");
        let plain = metadata("");
        let check = |metadata, in_bill| {
            let found = facts(Some(metadata), in_bill);
            (found.expression, found.from, found.agrees)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            check(&mit, Some("mit")),
            (text("MIT"), LicenceFrom::LicenseExpression, Some(true))
        );
        assert_eq!(
            check(&mit, Some("ISC")),
            (text("MIT"), LicenceFrom::LicenseExpression, Some(false))
        );
        assert_eq!(
            check(&mit, Some("who knows")),
            (text("MIT"), LicenceFrom::LicenseExpression, None)
        );
        assert_eq!(check(&plain, Some("ISC")), (text("ISC"), LicenceFrom::Sbom, None));
        assert_eq!(check(&plain, None), (None, LicenceFrom::Unknown, None));
    }
}
