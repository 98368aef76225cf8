//! CSAF documents of the profile VEX (OASIS CSAF 2.0, section 4.5).

use std::collections::HashMap;

use serde_json::Value;

use super::{
    MAX_STATEMENTS, Product, Statement, VexDocument, VexStatus, cut, names, product_of_name, product_of_purl,
    time,
};

/// Whether a document says that it is one. Other profiles are advisories of a vendor, which say nothing for Python.
pub(super) fn is_one(document: &Value) -> bool {
    document["document"]["csaf_version"].is_string()
        && document["document"]["category"]
            .as_str()
            .is_some_and(|category| category.eq_ignore_ascii_case("csaf_vex"))
}

/// Statuses by the name of their list of products.
const LISTS: &[(&str, VexStatus)] = &[
    ("known_not_affected", VexStatus::NotAffected),
    ("fixed", VexStatus::Fixed),
    ("first_fixed", VexStatus::Fixed),
    ("known_affected", VexStatus::Affected),
    ("first_affected", VexStatus::Affected),
    ("last_affected", VexStatus::Affected),
    ("under_investigation", VexStatus::UnderInvestigation),
];

/// Reads one.
pub(super) fn read(document: &Value) -> Result<VexDocument, String> {
    let about = &document["document"];
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(cut);
    let tracking = &about["tracking"];
    let at = time(&tracking["current_release_date"]);
    let mut read = VexDocument {
        id: text(&tracking["id"]).ok_or("it has no `document.tracking.id`")?,
        by: text(&about["publisher"]["name"]).ok_or("it has no `document.publisher.name`")?,
        at,
        statements: Vec::new(),
        unusable: Vec::new(),
    };
    let products = products(&document["product_tree"]);
    for vulnerability in document["vulnerabilities"].as_array().into_iter().flatten() {
        let ids = vulnerability["ids"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|id| &id["text"]);
        let vulnerabilities = names(ids.chain([&vulnerability["cve"]]).filter_map(Value::as_str));
        if vulnerabilities.is_empty() {
            read.unusable.push("a vulnerability without a name".to_owned());
            continue;
        }
        for (list, status) in LISTS {
            for product in vulnerability["product_status"][list]
                .as_array()
                .into_iter()
                .flatten()
            {
                if read.statements.len() + read.unusable.len() > MAX_STATEMENTS {
                    return Err(format!("it has more than {MAX_STATEMENTS} statements"));
                }
                let id = product.as_str().unwrap_or_default();
                match products.get(id) {
                    Some(Product::Ours(project, version)) => read.statements.push(Statement {
                        project: project.clone(),
                        version: version.clone(),
                        vulnerabilities: vulnerabilities.clone(),
                        status: *status,
                        by: read.by.clone(),
                        document: read.id.clone(),
                        at,
                    }),
                    Some(Product::Other(why)) => read.unusable.push(format!("{}: {why}", vulnerabilities[0])),
                    None => {
                        let id = cut(id);
                        read.unusable
                            .push(format!("{}: no product {id:?} is described", vulnerabilities[0]));
                    }
                }
            }
        }
    }
    Ok(read)
}

/// Every product that the tree describes, by its identifier.
fn products(tree: &Value) -> HashMap<&str, Product> {
    let mut found = HashMap::new();
    for product in tree["full_product_names"].as_array().into_iter().flatten() {
        describe(product, None, None, &mut found);
    }
    for branch in tree["branches"].as_array().into_iter().flatten() {
        walk(branch, None, None, &mut found);
    }
    for relation in tree["relationships"].as_array().into_iter().flatten() {
        if let Some(id) = relation["full_product_name"]["product_id"].as_str() {
            let why = "it is about a component inside a product".to_owned();
            found.insert(id, Product::Other(why));
        }
    }
    found
}

/// Goes down the branches, remembering the product's name and version. `serde_json` bounds the depth.
fn walk<'a>(
    branch: &'a Value,
    name: Option<&'a str>,
    version: Option<&'a str>,
    found: &mut HashMap<&'a str, Product>,
) {
    let own = branch["name"].as_str();
    let (name, version) = match branch["category"].as_str() {
        Some("product_name") => (own, version),
        Some("product_version") => (name, own),
        _ => (name, version),
    };
    describe(&branch["product"], name, version, found);
    for inner in branch["branches"].as_array().into_iter().flatten() {
        walk(inner, name, version, found);
    }
}

fn describe<'a>(
    product: &'a Value,
    name: Option<&str>,
    version: Option<&str>,
    found: &mut HashMap<&'a str, Product>,
) {
    let Some(id) = product["product_id"].as_str() else {
        return;
    };
    let helper = &product["product_identification_helper"];
    let read = match (helper["purl"].as_str(), name, version) {
        (Some(purl), ..) => product_of_purl(purl),
        // What is identified otherwise (CPE, hashes, a serial number) is no package of the index for all we know.
        (None, Some(name), Some(version)) if helper.is_null() => product_of_name(name, version),
        _ => Product::Other(format!("product {:?} has no package URL", cut(id))),
    };
    found.insert(id, read);
}
