//! Project pages in HTML (PEP 503 and the attributes added to it).

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use url::Url;

use super::page::{Entry, PageBuilder, metadata_marker};
use super::{MAX_PAGE_BYTES, MAX_PAGE_FILES, PageError, ProjectPage, Yank};
use crate::package::ProjectName;

/// Text of a link kept, in bytes: it can only be a file name, which has at most 255.
const MAX_TEXT_BYTES: usize = 1 << 10;

/// Reads a PEP 503 project page that came from `base` (the address after redirects).
///
/// Tag soup is read as browsers read it. A link that cannot be used goes to [`ProjectPage::skipped`].
pub fn parse_html(body: &[u8], base: &Url, name: &ProjectName) -> Result<ProjectPage, PageError> {
    if body.len() > MAX_PAGE_BYTES {
        return Err(PageError::TooLarge(body.len()));
    }
    let document = read(body);
    if !document.is_html {
        return Err(PageError::NotAPage("it has no HTML tag"));
    }
    if document.anchors.len() > MAX_PAGE_FILES {
        return Err(PageError::TooManyFiles);
    }
    let version = document
        .version
        .as_deref()
        .map(str::trim)
        .filter(|version| !version.is_empty());
    if let Some(version) = version
        && version.split('.').next() != Some("1")
    {
        return Err(PageError::UnsupportedVersion(version.chars().take(20).collect()));
    }
    // A base that is no web address is ignored, like a missing one.
    let inner = document
        .base
        .as_deref()
        .and_then(|href| base.join(href.trim()).ok());
    let base = inner
        .as_ref()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .unwrap_or(base);
    let mut builder = PageBuilder::new(base, name)?;
    if let Some(marker) = &document.status {
        builder.status(marker, document.status_reason.as_deref());
    }
    builder.reserve(document.anchors.len());
    for anchor in &document.anchors {
        // An anchor without href is a place on the page, not a link.
        if anchor.get(Attribute::Href).is_some() {
            builder.add(anchor.entry())?;
        }
    }
    Ok(builder.finish())
}

/// The attributes that mean something, of `a`, `base` and `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Href,
    RequiresPython,
    Yanked,
    CoreMetadata,
    DistInfoMetadata,
    Provenance,
    Name,
    Content,
}

impl Attribute {
    fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"href" => Self::Href,
            b"data-requires-python" => Self::RequiresPython,
            b"data-yanked" => Self::Yanked,
            b"data-core-metadata" => Self::CoreMetadata,
            b"data-dist-info-metadata" => Self::DistInfoMetadata,
            b"data-provenance" => Self::Provenance,
            b"name" => Self::Name,
            b"content" => Self::Content,
            _ => return None,
        })
    }
}

/// A start tag with its attributes, and for `a` the text up to its end.
#[derive(Debug, Default)]
struct Tag {
    attributes: Vec<(Attribute, String)>,
    text: String,
}

impl Tag {
    /// The first one counts, as the HTML standard says.
    fn get(&self, wanted: Attribute) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
    }

    fn entry(&self) -> Entry<'_> {
        let metadata = self
            .get(Attribute::CoreMetadata)
            .or_else(|| self.get(Attribute::DistInfoMetadata));
        Entry {
            text: Some(self.text.as_str().into()),
            url: self.get(Attribute::Href).map(Into::into),
            requires_python: self.get(Attribute::RequiresPython).map(Into::into),
            core_metadata: metadata.map(metadata_marker).unwrap_or_default(),
            yanked: self.get(Attribute::Yanked).map(|reason| Yank {
                reason: Some(reason.to_owned()),
            }),
            provenance: self.get(Attribute::Provenance).map(Into::into),
            ..Entry::default()
        }
    }
}

#[derive(Debug, Default)]
struct Document {
    is_html: bool,
    base: Option<String>,
    version: Option<String>,
    status: Option<String>,
    status_reason: Option<String>,
    /// One more than [`MAX_PAGE_FILES`] at most.
    anchors: Vec<Tag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Anchor,
    Base,
    Meta,
}

/// Where the reader is on the page.
#[derive(Default)]
struct Reader {
    document: Document,
    /// The start tag being read.
    open: Option<(Element, Tag)>,
    /// Whether the last attribute's value is wanted.
    value_wanted: bool,
    /// Whether text belongs to the last anchor.
    in_anchor: bool,
}

fn read(body: &[u8]) -> Document {
    let mut reader = Reader::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        reader.event(&event);
        None
    });
    // Without this, a link inside <script> or <title> would count.
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(body, emitter).finish();
    reader.document
}

impl Reader {
    fn event(&mut self, event: &CallbackEvent<'_>) {
        match *event {
            CallbackEvent::OpenStartTag { name } => {
                self.document.is_html = true;
                let element = match name {
                    b"a" => Some(Element::Anchor),
                    b"base" => Some(Element::Base),
                    b"meta" => Some(Element::Meta),
                    _ => None,
                };
                self.open = element.map(|element| (element, Tag::default()));
                self.value_wanted = false;
            }
            CallbackEvent::AttributeName { name } => {
                self.value_wanted = false;
                if let (Some((_, tag)), Some(attribute)) = (&mut self.open, Attribute::parse(name))
                    && tag.get(attribute).is_none()
                {
                    tag.attributes.push((attribute, String::new()));
                    self.value_wanted = true;
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if let (Some((_, tag)), true) = (&mut self.open, self.value_wanted)
                    && let Some((_, last)) = tag.attributes.last_mut()
                {
                    *last = String::from_utf8_lossy(value).into_owned();
                }
            }
            CallbackEvent::CloseStartTag { .. } => self.close(),
            CallbackEvent::EndTag { name } => {
                self.open = None;
                self.in_anchor &= name != b"a";
            }
            CallbackEvent::String { value } if self.in_anchor => {
                if let Some(anchor) = self.document.anchors.last_mut()
                    && anchor.text.len() + value.len() <= MAX_TEXT_BYTES
                {
                    anchor.text.push_str(&String::from_utf8_lossy(value));
                }
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let Some((element, tag)) = self.open.take() else {
            return;
        };
        let document = &mut self.document;
        match element {
            Element::Anchor => {
                self.in_anchor = true;
                if document.anchors.len() <= MAX_PAGE_FILES {
                    document.anchors.push(tag);
                }
            }
            Element::Base => {
                if document.base.is_none() {
                    document.base = tag.get(Attribute::Href).map(str::to_owned);
                }
            }
            Element::Meta => {
                let slot = match tag.get(Attribute::Name).unwrap_or_default().trim() {
                    "pypi:repository-version" => &mut document.version,
                    "pypi:project-status" => &mut document.status,
                    "pypi:project-status-reason" => &mut document.status_reason,
                    _ => return,
                };
                if slot.is_none() {
                    *slot = tag.get(Attribute::Content).map(str::to_owned);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
