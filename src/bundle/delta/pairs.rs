//! Which entry of the older wheel an entry of the newer one is likely made from.

use std::collections::HashMap;

use super::archive::Archive;

/// For each entry of `new`, the position of its counterpart in `old`: of the same name; else of the same name but for
/// versions and hashes in it (`name-1.2.dist-info`, `libfoo-1a2b3c4d.so.3`, `…cpython-312…`), nearest in size.
pub(super) fn pairs(old: &Archive, new: &Archive) -> Vec<Option<usize>> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut shapes: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, entry) in old.entries.iter().enumerate() {
        names.insert(&entry.name, at);
        shapes.entry(shape(&entry.name)).or_default().push(at);
    }
    let of = |entry: &super::archive::Entry| {
        names.get(entry.name.as_str()).copied().or_else(|| {
            let alike = shapes.get(&shape(&entry.name))?;
            alike
                .iter()
                .copied()
                .min_by_key(|at| (old.entries[*at].size.abs_diff(entry.size), *at))
        })
    };
    new.entries.iter().map(of).collect()
}

/// A name with every number, and every hash of eight digits behind a dash, as one sign.
fn shape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let hash = rest.strip_prefix('-').and_then(|after| {
            let word = after.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
            (word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit())).then_some(word.len())
        });
        if let Some(length) = hash {
            out.push_str("-#");
            rest = &rest[1 + length..];
        } else if first.is_ascii_digit() {
            out.push('#');
            // `1.2.3` and `1.10` are both one number.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            while let Some(after) = rest
                .strip_prefix('.')
                .filter(|after| after.starts_with(|c: char| c.is_ascii_digit()))
            {
                rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            }
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_hashes_do_not_tell_names_apart() {
        for (one, other) in [
            ("a-1.2.3.dist-info/RECORD", "a-1.10.dist-info/RECORD"),
            ("a.libs/libfoo-1a2b3c4d.so.3.1", "a.libs/libfoo-99887766.so.3.2.1"),
            (
                "a/_x.cpython-312-x86_64-linux-gnu.so",
                "a/_x.cpython-313-x86_64-linux-gnu.so",
            ),
        ] {
            assert_eq!(shape(one), shape(other));
        }
        assert_ne!(shape("a/b.py"), shape("a/c.py"));
        assert_ne!(shape("a-decades.py"), shape("a-another.py"));
    }
}
