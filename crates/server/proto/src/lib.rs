//! Carries the wire types of `proto/loom/v1`: messages, client, server, the descriptor set they come from, and the details
//! of errors.
//!
//! Everything under `src/gen` is written by `cargo xtask gen` and compared by a test; nothing is edited by hand.

mod error_details;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use error_details::ErrorDetails;

/// The package `loom.v1`.
pub mod v1 {
    include!("gen/loom.v1.rs");
}

/// The encoded `FileDescriptorSet` of `loom.v1` and all it imports, with its `google.api.http` options and comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/loom.v1.binpb");

/// The descriptors of [`FILE_DESCRIPTOR_SET`], read once.
pub fn descriptor_pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET)
            .expect("the checked-in set is a generated one, as a test compares")
    });
    &POOL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_keeps_its_http_routes_and_comments() {
        let pool = descriptor_pool();
        let http = pool.get_extension_by_name("google.api.http").unwrap();
        let service = pool.get_service_by_name("loom.v1.LoomService").unwrap();
        assert!(service.methods().len() > 20);
        for method in service.methods() {
            assert!(method.options().has_extension(&http), "{} has no route", method.full_name());
        }
        let file = pool.get_file_by_name("loom/v1/loom.proto").unwrap();
        let info = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
        assert!(info.location.iter().any(|place| place.leading_comments().contains("Runs agents")));
    }
}
