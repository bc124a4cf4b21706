//! Who sends a request, in uPKI's words.

use super::Upki;
use super::error::Error;
use crate::api::access::Serves;
use crate::service::Services;

impl Serves for Upki {
    type Refusal = Error;

    fn services(&self) -> &Services {
        self
    }
}
