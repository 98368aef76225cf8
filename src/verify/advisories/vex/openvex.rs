//! `OpenVEX` documents (specification v0.2.0; the strings of v0.0.1 are understood too).

use serde_json::Value;

use super::{MAX_STATEMENTS, Product, Statement, VexDocument, VexStatus, cut, names, product_of_purl, time};

/// Whether a document says that it is one.
pub(super) fn is_one(document: &Value) -> bool {
    let context = &document["@context"];
    let says = |value: &Value| value.as_str().is_some_and(|text| text.contains("openvex"));
    (says(context) || context.as_array().is_some_and(|list| list.iter().any(says)))
        && document["statements"].is_array()
}

/// Reads one.
pub(super) fn read(document: &Value) -> Result<VexDocument, String> {
    let id = document["@id"]
        .as_str()
        .filter(|id| !id.is_empty())
        .ok_or("it has no `@id`")?;
    let by = document["author"]
        .as_str()
        .filter(|by| !by.is_empty())
        .ok_or("it has no `author`")?;
    let made = time(&document["last_updated"]).or_else(|| time(&document["timestamp"]));
    let mut read = VexDocument {
        id: cut(id),
        by: cut(by),
        at: made,
        statements: Vec::new(),
        unusable: Vec::new(),
    };
    for (at, statement) in document["statements"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if read.statements.len() + read.unusable.len() > MAX_STATEMENTS {
            return Err(format!("it has more than {MAX_STATEMENTS} statements"));
        }
        if let Err(why) = read_statement(statement, &mut read) {
            read.unusable.push(format!("statement {}: {why}", at + 1));
        }
    }
    Ok(read)
}

fn read_statement(statement: &Value, into: &mut VexDocument) -> Result<(), String> {
    let status = match statement["status"].as_str() {
        Some("not_affected") => VexStatus::NotAffected,
        Some("affected") => VexStatus::Affected,
        Some("fixed") => VexStatus::Fixed,
        Some("under_investigation") => VexStatus::UnderInvestigation,
        _ => return Err("its status is none of the four".to_owned()),
    };
    let said = |key: &str| {
        statement[key]
            .as_str()
            .is_some_and(|text| !text.trim().is_empty())
    };
    if status == VexStatus::NotAffected && !said("justification") && !said("impact_statement") {
        return Err("`not_affected` without a justification or an impact statement".to_owned());
    }
    let vulnerability = &statement["vulnerability"];
    let aliases = vulnerability["aliases"].as_array().into_iter().flatten();
    let one_of = [vulnerability, &vulnerability["name"], &vulnerability["@id"]];
    let vulnerabilities = names(one_of.into_iter().chain(aliases).filter_map(Value::as_str));
    if vulnerabilities.is_empty() {
        return Err("it names no vulnerability".to_owned());
    }
    let products = statement["products"]
        .as_array()
        .filter(|products| !products.is_empty());
    let products = products.ok_or("it names no product")?;
    let at = time(&statement["timestamp"]).or(into.at);
    let (mut ours, mut why) = (0, String::new());
    for product in products {
        match product_of(product) {
            Product::Ours(project, version) => {
                ours += 1;
                into.statements.push(Statement {
                    project,
                    version,
                    vulnerabilities: vulnerabilities.clone(),
                    status,
                    by: into.by.clone(),
                    document: into.id.clone(),
                    at,
                });
            }
            Product::Other(other) => why = other,
        }
    }
    if ours == 0 { Err(why) } else { Ok(()) }
}

/// A product; one with subcomponents is about what it is made of, not about its own release, and takes nothing out.
fn product_of(product: &Value) -> Product {
    if product["subcomponents"]
        .as_array()
        .is_some_and(|inner| !inner.is_empty())
    {
        return Product::Other("it is about components inside a product".to_owned());
    }
    let purl = product["identifiers"]["purl"].as_str();
    match purl
        .or_else(|| product["@id"].as_str())
        .or_else(|| product.as_str())
    {
        Some(text) => product_of_purl(text),
        None => Product::Other("a product without an identifier".to_owned()),
    }
}
