//! `chiron attach`: gives a stored file a document that its publisher did not send along.

use std::path::PathBuf;

use clap::Args;
use http::Method;

use super::client::Payload;
use super::context::{Context, Open};
use super::documents::{attestation_kind, kind_name, read};
use super::exit::{ExitStatus, Failure};
use super::output::bytes;
use super::target::Target;
use super::waive::{one_file, print};
use crate::api::RejudgedView;
use crate::verify::DocumentKind;

/// Arguments of `attach`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron attach demo-1.0-py3-none-any.whl --sbom demo.cdx.json\n  chiron attach sha256:HEX --attestation demo-1.0-py3-none-any.whl.publish.attestation\n\nThe document is checked like one that came along, and the file is judged again with it: a document\nthat does not verify takes an admitted file out of service."
)]
pub struct AttachArgs {
    /// A file's name or sha256:HEX
    target: String,
    /// A bill of materials, CycloneDX or SPDX; may be given several times
    #[arg(long, value_name = "F", required_unless_present_any = ["attestation", "statement"])]
    sbom: Vec<PathBuf>,
    /// A provenance, an attestation (PEP 740), a Sigstore bundle or a detached signature; may be given several times
    #[arg(long, value_name = "F")]
    attestation: Vec<PathBuf>,
    /// A rebuilder's signed statement (in-toto in DSSE); may be given several times
    #[arg(long, value_name = "F")]
    statement: Vec<PathBuf>,
}

/// Attaches each, and says what became of the file.
pub async fn run(context: &Context, args: &AttachArgs) -> Result<ExitStatus, Failure> {
    let target = Target::parse(&args.target)?;
    let mut documents = Vec::new();
    for path in &args.sbom {
        documents.push((DocumentKind::Sbom, path, read(path)?));
    }
    for path in &args.attestation {
        let content = read(path)?;
        documents.push((attestation_kind(path, &content), path, content));
    }
    for path in &args.statement {
        documents.push((DocumentKind::RebuildStatement, path, read(path)?));
    }
    context
        .with_client(Open::Existing, async |client| {
            let file = one_file(&target, target.files(client).await?)?;
            let mut last = None;
            for (kind, path, content) in documents {
                let size = content.len() as u64;
                let dry = if context.global.dry_run {
                    "&dry_run=true"
                } else {
                    ""
                };
                let to = format!(
                    "/api/v1/files/{}/documents?kind={}{dry}",
                    file.sha256,
                    kind_name(kind)
                );
                let reply = client
                    .call(Method::POST, &to, "application/json", Payload::Bytes(content))
                    .await?;
                last = Some(client.read::<RejudgedView>(reply).await?);
                context.out.line(format_args!(
                    "{}: {}, {}",
                    path.display(),
                    kind_name(kind),
                    bytes(size)
                ));
            }
            match last {
                Some(view) => print(context, &view, "attached"),
                None => Err(Failure::usage("no document was named")),
            }
        })
        .await
}
