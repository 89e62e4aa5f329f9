//! The name of a request.

use loom_base::IdSource;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Status};

/// The metadata that carries it.
const HEADER: &str = "x-loom-idempotency-key";

/// Names one request, so that a server that has it already answers with the same turn when it comes again. A key is used
/// for one request only: the server refuses it with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey(String);

impl RequestKey {
    /// A new key that nobody else has.
    pub fn new(ids: &dyn IdSource) -> Self {
        Self(ids.uuid().simple().to_string())
    }

    /// Puts the key beside `request`.
    pub(crate) fn name<T>(&self, request: &mut Request<T>) -> Result<(), Status> {
        let value: AsciiMetadataValue =
            self.0.parse().map_err(|_| Status::internal("the request's key is no metadata"))?;
        request.metadata_mut().insert(HEADER, value);
        Ok(())
    }
}
