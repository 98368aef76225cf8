//! Project pages in JSON (PEP 691 and what was added to it).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use super::loose::{Loose, Text};
use super::page::{Entry, PageBuilder, metadata_marker};
use super::{CoreMetadata, MAX_PAGE_BYTES, MAX_PAGE_FILES, PageError, ProjectPage, Yank};
use crate::package::ProjectName;

/// Reads a PEP 691 project page that came from `base` (the address after redirects).
///
/// Unknown keys are ignored and wrong types count as absent. An entry that cannot be used goes to
/// [`ProjectPage::skipped`]; only a page that is no version 1 project page is an error.
pub fn parse_json(body: &[u8], base: &Url, name: &ProjectName) -> Result<ProjectPage, PageError> {
    if body.len() > MAX_PAGE_BYTES {
        return Err(PageError::TooLarge(body.len()));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Bytes that are not UTF-8 spoil the entry they are in, at most.
    let text = match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(body),
    };
    let mut builder = PageBuilder::new(base, name)?;
    match serde_json::from_str::<Document<'_, Item<'_>>>(&text) {
        Ok(document) => fill(&mut builder, document, |item| item.0)?,
        // One entry that serde_json cannot read (a lone surrogate, 1e999) must not cost the others, so each
        // is read alone. This is slower, which is why it is not the first attempt.
        Err(error) => match serde_json::from_str::<Document<'_, &RawValue>>(&text) {
            Ok(document) => fill(&mut builder, document, |raw| {
                serde_json::from_str::<Item<'_>>(raw.get())
                    .ok()
                    .and_then(|item| item.0)
            })?,
            Err(_) => return Err(PageError::Json(error.to_string())),
        },
    }
    Ok(builder.finish())
}

fn fill<'a, T>(
    builder: &mut PageBuilder<'_>,
    document: Document<'a, T>,
    entry: impl Fn(T) -> Option<Entry<'a>>,
) -> Result<(), PageError> {
    if let Some(version) = document.api_version
        && version.split('.').next() != Some("1")
    {
        return Err(PageError::UnsupportedVersion(version.chars().take(20).collect()));
    }
    let files = document
        .files
        .ok_or(PageError::NotAPage("it has no list of files"))?;
    if document.too_many {
        return Err(PageError::TooManyFiles);
    }
    match document.status {
        Loose::Text(marker) => builder.status(&marker, None),
        Loose::Map(fields) => {
            let field = |key: &str| {
                fields
                    .iter()
                    .find(|(name, _)| name == key)
                    .map(|(_, value)| value.as_ref())
            };
            if let Some(marker) = field("status") {
                builder.status(marker, field("reason"));
            }
        }
        _ => {}
    }
    builder.reserve(files.len());
    for (place, item) in files.into_iter().enumerate() {
        match entry(item) {
            Some(entry) => builder.add(entry)?,
            None => builder.skip(&format!("files[{place}]"), "it is not a readable object"),
        }
    }
    Ok(())
}

/// The page, with its files as `T`: parsed at once, or raw text to be parsed one by one.
struct Document<'a, T> {
    api_version: Option<String>,
    files: Option<Vec<T>>,
    too_many: bool,
    status: Loose<'a>,
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Document<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PageVisitor<'a, T>(PhantomData<(&'a (), T)>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for PageVisitor<'a, T> {
            type Value = Document<'a, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a project page")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut page = Document {
                    api_version: None,
                    files: None,
                    too_many: false,
                    status: Loose::Null,
                };
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match &*key.0 {
                        "meta" => {
                            page.api_version = map.next_value::<Loose<'de>>()?.into_field("api-version");
                        }
                        "files" => {
                            let list = map.next_value::<Files<T>>()?;
                            (page.files, page.too_many) = (list.files, list.too_many);
                        }
                        "project-status" => page.status = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(page)
            }
        }
        deserializer.deserialize_map(PageVisitor(PhantomData))
    }
}

struct Files<T> {
    files: Option<Vec<T>>,
    too_many: bool,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Files<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FilesVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FilesVisitor<T> {
            type Value = Files<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of files")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut files = Vec::new();
                while let Some(item) = list.next_element()? {
                    files.push(item);
                    if files.len() > MAX_PAGE_FILES {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(Files {
                            files: Some(Vec::new()),
                            too_many: true,
                        });
                    }
                }
                Ok(Files {
                    files: Some(files),
                    too_many: false,
                })
            }
        }
        deserializer.deserialize_seq(FilesVisitor(PhantomData))
    }
}

/// One element of `files`; `None` when it is not an object.
struct Item<'a>(Option<Entry<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for ItemVisitor<'a> {
            type Value = Item<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                read_entry(map).map(|entry| Item(Some(entry)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Item(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Item(None))
            }
        }
        deserializer.deserialize_any(ItemVisitor(PhantomData))
    }
}

fn read_entry<'de, A: MapAccess<'de>>(mut map: A) -> Result<Entry<'de>, A::Error> {
    let mut entry = Entry::default();
    let mut legacy_metadata = CoreMetadata::None;
    while let Some(key) = map.next_key::<Text<'de>>()? {
        match &*key.0 {
            "filename" => entry.filename = map.next_value::<Loose<'de>>()?.text(),
            "url" => entry.url = map.next_value::<Loose<'de>>()?.text(),
            "hashes" => {
                if let Loose::Map(hashes) = map.next_value()? {
                    entry.hashes = hashes;
                }
            }
            "requires-python" => entry.requires_python = map.next_value::<Loose<'de>>()?.text(),
            "core-metadata" => entry.core_metadata = metadata(map.next_value()?),
            // The name before PEP 714; counts only where the new one is absent.
            "dist-info-metadata" | "data-dist-info-metadata" if entry.core_metadata.is_none() => {
                legacy_metadata = metadata(map.next_value()?);
            }
            "size" => {
                entry.size = match map.next_value()? {
                    Loose::Number(size) => Some(size),
                    Loose::Text(text) => text.parse().ok(),
                    _ => None,
                }
            }
            "upload-time" => entry.upload_time = map.next_value::<Loose<'de>>()?.text(),
            "yanked" => {
                entry.yanked = match map.next_value()? {
                    Loose::Bool(true) => Some(Yank::default()),
                    Loose::Text(reason) => Some(Yank {
                        reason: Some(reason.into_owned()),
                    }),
                    _ => None,
                }
            }
            "provenance" => entry.provenance = map.next_value::<Loose<'de>>()?.text(),
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    if entry.core_metadata.is_none() {
        entry.core_metadata = legacy_metadata;
    }
    Ok(entry)
}

fn metadata(value: Loose<'_>) -> CoreMetadata {
    match value {
        Loose::Bool(true) => CoreMetadata::Available,
        Loose::Text(text) => metadata_marker(&text),
        Loose::Map(hashes) => {
            let sha256 = hashes
                .iter()
                .find(|(algorithm, _)| algorithm.eq_ignore_ascii_case("sha256"));
            sha256
                .and_then(|(_, hex)| hex.parse().ok())
                .map_or(CoreMetadata::Available, CoreMetadata::Sha256)
        }
        _ => CoreMetadata::None,
    }
}

#[cfg(test)]
mod tests;
