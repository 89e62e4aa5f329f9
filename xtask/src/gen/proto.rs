//! Generates the Rust side of `proto/` for `loom-proto`: messages, client, server and the descriptor set.
//!
//! It needs no protoc and never writes: it returns what the files must hold.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};

/// The files compiled, relative to `proto/`; what they import comes along.
const ROOTS: [&str; 1] = ["loom/v1/loom.proto"];
/// Where the generated files live, relative to the workspace.
const TARGET: &str = "crates/server/proto/src/gen";

/// Every generated file with its content, by path relative to the workspace.
pub(crate) fn generate(root: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut compiler = protox::Compiler::new([root.join("proto")])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(ROOTS)?;

    let out = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(compiler.file_descriptor_set())?;

    let rust = std::fs::read(out.path().join("loom.v1.rs")).context("read the generated code")?;
    Ok(vec![
        (Path::new(TARGET).join("loom.v1.rs"), rust),
        (Path::new(TARGET).join("loom.v1.binpb"), descriptor_set(&compiler)?),
    ])
}

/// The descriptor set with its options, and of the source positions only those that carry a comment of ours.
///
/// It goes through prost-reflect, which keeps the `google.api.http` options that `prost_types` would drop.
fn descriptor_set(compiler: &protox::Compiler) -> anyhow::Result<Vec<u8>> {
    let pool = compiler.descriptor_pool();
    let kind = pool.get_message_by_name("google.protobuf.FileDescriptorSet").context("descriptor.proto")?;
    let encoded = compiler.encode_file_descriptor_set();
    let mut set = DynamicMessage::decode(kind, encoded.as_slice())?;
    let files = set.get_field_by_name_mut("file").and_then(Value::as_list_mut).context("files")?;
    for file in files.iter_mut().filter_map(Value::as_message_mut) {
        let name = file.get_field_by_name("name").and_then(|name| name.as_str().map(str::to_owned));
        if !name.is_some_and(|name| name.starts_with("loom/")) {
            file.clear_field_by_name("source_code_info");
            continue;
        }
        let info = file.get_field_by_name_mut("source_code_info").and_then(Value::as_message_mut);
        let places = info.and_then(|info| info.get_field_by_name_mut("location"));
        let places = places.and_then(Value::as_list_mut).context("source positions")?;
        places.retain(|place| {
            place.as_message().is_some_and(|place| place.has_field_by_name("leading_comments"))
        });
    }
    Ok(set.encode_to_vec())
}
