//! `POST /admin/v1/profiles/explain`: would this be issued, and which rule decides.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use policy::evidence::Method;
use policy::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::failure;
use super::issue::{Issue, wanted};
use crate::api::access::{self, PermittedOwn};
use crate::problem::Problem;
use crate::service::explain::{Explained, Verdict};
use crate::service::issue::{Wanted, Warrant};
use crate::service::{Failure, Services};
use crate::shape;

/// What would be asked for.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The request, as `POST /admin/v1/certificates` takes it.
    pub request: Issue,
    /// Whose word it would be: `administrator`, `registration` or `unproven`.
    #[serde(default)]
    #[schemars(with = "Option<shape::Method>")]
    pub method: Option<Method>,
}

/// What would come of it. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Explanation {
    /// `issue`, `ask` (somebody must approve it) or `refuse`.
    pub verdict: String,
    /// Why, in a sentence.
    pub why: String,
    /// The field of the profile that decides, such as `names.permitted`.
    pub field: Option<String>,
    /// The profile's file.
    pub file: Option<String>,
    /// The line in it where the field stands, or its section.
    pub line: Option<usize>,
    /// The names that the certificate would hold.
    pub names: Option<Vec<String>>,
    /// Its common name.
    pub common_name: Option<String>,
    /// Its first second.
    pub not_before: Option<u64>,
    /// Its last second.
    pub not_after: Option<u64>,
}

pub(super) async fn explain(
    permitted: PermittedOwn<access::DryRun>,
    State(services): State<Arc<Services>>,
    Body(Explain { request, method }): Body<Explain>,
) -> Result<Json<Explanation>, Problem> {
    let warrant = match method {
        None | Some(Method::Administrator) => Warrant::Administrator { replaces: None },
        Some(Method::Registration) => Warrant::Registration,
        Some(Method::Unproven) => Warrant::Unproven,
        Some(_) => {
            let why = "`method` is administrator, registration or unproven".to_owned();
            return Err(Problem::from(&Failure::Invalid(why)));
        }
    };
    let wanted = Wanted { warrant, ..wanted(request)? };
    let explained = services.explain(&permitted, &wanted).await.map_err(failure::problem)?;
    Ok(Json(explained.into()))
}

impl From<Explained> for Explanation {
    fn from(explained: Explained) -> Self {
        let verdict = match explained.verdict {
            Verdict::Ask => "ask",
            Verdict::Issue => "issue",
            Verdict::Refuse => "refuse",
        };
        let (rule, terms) = (explained.rule, explained.terms);
        Self {
            verdict: verdict.to_owned(),
            why: explained.why,
            field: rule.as_ref().map(|place| place.field.to_owned()),
            line: rule.as_ref().map(|place| place.line),
            file: rule.map(|place| place.file),
            names: terms.as_ref().map(|terms| terms.names.iter().map(Name::to_string).collect()),
            not_before: terms.as_ref().map(|terms| terms.validity.not_before().0),
            not_after: terms.as_ref().map(|terms| terms.validity.not_after().0),
            common_name: terms.and_then(|terms| terms.common_name),
        }
    }
}
