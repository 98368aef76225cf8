//! `GET /openapi.json`: the admin API's description, generated from the handlers.

use utoipa::OpenApi;

use super::{
    advisories, airgap, events, files, held, ingest, jobs, judgments, policy, projects, proofs, rebuild, tuf,
};
use crate::api;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Chiron admin API", description = "Errors are RFC 9457 problem documents. Lists are paged with `after` and `limit`. Send the token of DATA/admin.token as `Authorization: Bearer`."),
    paths(
        super::status, advisories::status, advisories::load, advisories::records, advisories::check, events::list, files::show, judgments::verdict, judgments::waive, judgments::attach, files::evidence, files::change,
        ingest::submit, ingest::hand_in, held::hold, rebuild::rebuild, ingest::scrub, ingest::gc,
        jobs::list, jobs::show, jobs::cancel, jobs::events,
        policy::show, policy::put, policy::replay, projects::list, projects::show, proofs::inclusion, proofs::consistency,
        airgap::exports::export, airgap::imports::import, airgap::imports::show, airgap::imports::receipt,
        tuf::status, tuf::root, tuf::init, tuf::rotate, tuf::rebin, tuf::publish, tuf::requests, tuf::request, tuf::cancel, tuf::merge,
    ),
    components(schemas(
        api::AdvisoriesStatus, api::AdvisoriesLoad, api::AdvisoryCheck, api::AdvisoryDatabase, api::AdvisoryRecords,
        api::Noted, api::NotedRecord, api::VexDocumentView,
        api::IngestRequest, api::IngestItem, api::FileResult, api::FileOutcome, api::JobView, api::JobState,
        api::Progress, api::UpkeepRequest, api::DecisionRequest, api::DecisionView, api::ProjectSummary,
        api::ProjectView, api::FileView, api::EventView, api::StatusView, api::UpstreamStatus, api::ProofView,
        api::Explanation, api::PolicyView, api::PolicyText, api::PolicyRequest, api::PolicyChange, api::ReplayRequest, api::ReplayPage, api::ReplayedFile, api::HeldDocument, api::WaiveRequest, api::RejudgedView, api::PastVerdict,
        api::TufStatus, api::TufState, api::TufGeneration, api::TufTrustedRoot, api::TufRole, api::TufExpiry, api::TufRoleKey,
        api::TufWaiting, api::TufRequest, api::TufNeed, api::TufKeyName, api::TufKeyChoice, api::TufInit, api::TufPlan,
        api::TufRolePlan, api::TufRotate, api::TufChange, api::TufPublished, api::TufPublish, api::TufRebin, api::TufRequests,
        api::TufMerged, api::AirgapFailure, api::ExportForm, api::ExportReport, api::ExportRequest, api::ExportVolume, api::ImportRequest, api::ImportReport, api::ImportOutcome, api::ImportCounts, api::AirgapView, api::AirgapSenderView, api::AirgapStaged, api::AirgapState, api::AirgapSenderState,
    )),
    modifiers(&Security),
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin", SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("admin", [])]);
    }
}

/// The description as JSON (OpenAPI 3.1).
pub fn document() -> serde_json::Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}

/// `GET /openapi.json`
pub async fn serve() -> axum::Json<serde_json::Value> {
    axum::Json(document())
}
