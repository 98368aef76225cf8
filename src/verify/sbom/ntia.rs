//! The NTIA minimum elements as a score: a measure of a bill's care, never a reason to refuse it.

use super::bill::Bill;
use super::facts::NtiaFacts;

/// Counts the seven elements.
pub(super) fn score(bill: &Bill) -> NtiaFacts {
    let every = |has: fn(&super::bill::Component) -> bool| {
        let mut components = bill
            .root
            .iter()
            .chain(&bill.components)
            .filter(|component| !component.is_file)
            .peekable();
        components.peek().is_some() && components.all(has)
    };
    let elements = [
        ("supplier", every(|component| component.supplied)),
        ("name", every(|component| !component.name.trim().is_empty())),
        ("version", every(|component| component.version.is_some())),
        ("identifier", every(|component| component.identified)),
        ("relationships", bill.related),
        ("author", bill.authored),
        ("timestamp", bill.dated),
    ];
    let missing: Vec<String> = elements
        .iter()
        .filter(|(_, met)| !met)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    NtiaFacts {
        score: u8::try_from(elements.len() - missing.len()).unwrap_or_default(),
        missing,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bill::Component;
    use super::*;

    #[test]
    fn an_element_counts_when_every_component_has_it() {
        assert_eq!(score(&Bill::default()).score, 0);
        let whole = Component {
            name: "a".to_owned(),
            version: Some("1".to_owned()),
            identified: true,
            supplied: true,
            ..Component::default()
        };
        let mut bill = Bill {
            root: Some(whole.clone()),
            components: vec![whole.clone()],
            related: true,
            authored: true,
            dated: true,
            ..Bill::default()
        };
        assert_eq!(score(&bill).score, 7);
        bill.components.push(Component {
            version: None,
            supplied: false,
            ..whole
        });
        let found = score(&bill);
        assert_eq!(
            (found.score, found.missing),
            (5, vec!["supplier".to_owned(), "version".to_owned()])
        );
    }
}
