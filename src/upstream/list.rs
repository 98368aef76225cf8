//! The list of an index's projects, in either form (PEP 503, PEP 691).

use html5gum::{Token, Tokenizer};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::package::ProjectName;

/// The names on the list, sorted, each once. What is no project name is left out.
pub(super) fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Vec<ProjectName>, String> {
    let trimmed = body.trim_ascii_start();
    let json = match trimmed.first() {
        Some(b'{') => true,
        Some(b'<') => false,
        _ => content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("json")),
    };
    let mut names = if json {
        parse_json(trimmed)?
    } else {
        parse_html(trimmed)?
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn parse_json(body: &[u8]) -> Result<Vec<ProjectName>, String> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        projects: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Project {
        name: ProjectName,
    }
    let document: Document<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let names = document
        .projects
        .into_iter()
        .filter_map(|raw| serde_json::from_str::<Project>(raw.get()).ok());
    Ok(names.map(|project| project.name).collect())
}

/// The text of each link is a project's name.
fn parse_html(body: &[u8]) -> Result<Vec<ProjectName>, String> {
    let mut names = Vec::new();
    let mut is_html = false;
    let mut text: Option<Vec<u8>> = None;
    for token in Tokenizer::new(body) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                is_html = true;
                if tag.name.as_slice() == b"a" {
                    text = Some(Vec::new());
                }
            }
            Token::String(part) => {
                if let Some(text) = &mut text {
                    text.extend_from_slice(&part);
                }
            }
            Token::EndTag(tag) if tag.name.as_slice() == b"a" => {
                let name = text.take().and_then(|text| String::from_utf8(text).ok());
                names.extend(name.and_then(|name| ProjectName::parse(name.trim()).ok()));
            }
            _ => {}
        }
    }
    if is_html {
        Ok(names)
    } else {
        Err("it is neither an HTML nor a JSON list of projects".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn names(content_type: Option<&str>, body: &str) -> Vec<String> {
        parse(content_type, body.as_bytes())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn both_forms_give_the_same_names() {
        let json = r#"{"meta": {"api-version": "1.0"}, "projects": [{"name": "Zope.Interface"}, {"name": "a"}, {"name": null}, {"name": "../x"}, 5, {"name": "A"}]}"#;
        let html = "<!DOCTYPE html><a href='/simple/a/'>A</a> <a href=\"zope-interface/\">\n Zope.Interface</a><a>a</a><a href='x'>../x</a>";
        assert_eq!(names(None, json), ["a", "zope-interface"]);
        assert_eq!(
            names(Some("application/json"), html),
            ["a", "zope-interface"],
            "the body decides, not its label"
        );
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for body in [
            "",
            "not found",
            "{}",
            r#"{"projects": null}"#,
            "{\"projects\": [{\"name\": \"a\"}",
        ] {
            assert!(parse(None, body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(names) = parse(None, &body) {
                prop_assert!(names.is_sorted());
            }
        }
    }
}
