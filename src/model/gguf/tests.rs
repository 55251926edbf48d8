//! Valid files are read; damaged and hostile ones give one error each.

use super::*;
use crate::kernels::quant::QuantType;

/// A file with one entry, `general.architecture`, and one F32 tensor `w` of 2 x 32 values.
struct Sample {
    version: u32,
    tensor_count: u64,
    entry_count: u64,
    entries: Vec<u8>,
    tensors: Vec<u8>,
    data_len: usize,
}

impl Sample {
    fn new() -> Self {
        let entries = [string("general.architecture"), 8_u32.to_le_bytes().to_vec(), string("phi3")].concat();
        Self {
            version: 3,
            tensor_count: 1,
            entry_count: 1,
            entries,
            tensors: tensor("w", &[32, 2], 0, 0),
            data_len: 256,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.to_le_bytes());
        bytes.extend(self.entry_count.to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.tensors);
        bytes.resize(bytes.len().next_multiple_of(32) + self.data_len, 7);
        bytes
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn tensor(name: &str, shape: &[u64], ggml_type: u32, offset: u64) -> Vec<u8> {
    let mut entry = string(name);
    entry.extend((shape.len() as u32).to_le_bytes());
    shape.iter().for_each(|dimension| entry.extend(dimension.to_le_bytes()));
    entry.extend(ggml_type.to_le_bytes());
    entry.extend(offset.to_le_bytes());
    entry
}

fn open(bytes: &[u8]) -> Result<GgufFile, ModelError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.gguf");
    std::fs::write(&path, bytes).expect("writing the sample");
    GgufFile::open(&path)
}

/// Opening `bytes` fails with a message that contains `expected`.
#[track_caller]
fn check_error(bytes: &[u8], expected: &str) {
    let error = open(bytes).err().expect("the file should be refused").to_string();
    assert!(error.contains(expected), "expected `{expected}` in: {error}");
}

#[test]
fn a_sound_file_is_read() {
    let gguf = open(&Sample::new().bytes()).expect("a sound file");
    assert_eq!(gguf.string("general.architecture").expect("the key"), "phi3");
    let tensor = gguf.tensor("w").expect("the tensor");
    assert_eq!((&*tensor.shape, tensor.quant, tensor.bytes), ([2, 32].as_slice(), QuantType::F32, 256));
    gguf.release(&tensor);
    assert_eq!(gguf.tensor_bytes(&tensor), [7; 256]);
}

#[test]
fn missing_and_mistyped_keys_are_named() {
    let gguf = open(&Sample::new().bytes()).expect("a sound file");
    let error = gguf.unsigned("phi3.block_count").expect_err("missing").to_string();
    assert!(error.contains("`phi3.block_count` is missing, expected an unsigned integer"), "{error}");
    let error = gguf.floats("general.architecture").expect_err("mistyped").to_string();
    assert!(error.contains("`general.architecture`: expected an array of floats, found a string"), "{error}");
}

#[test]
fn what_is_no_gguf_file_is_refused() {
    check_error(b"", "found an empty file");
    check_error(b"GG", "found `GG`");
    check_error(b"# notes\nabout models", "found `# notes\\nabout mo`");
    check_error(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer");
    check_error(&Sample { version: 1, ..Sample::new() }.bytes(), "expected GGUF version 2 or 3, found version 1");
    check_error(&Sample { version: 3_u32.swap_bytes(), ..Sample::new() }.bytes(), "found a big-endian one");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = GgufFile::open(folder.path()).err().expect("a folder is no file").to_string();
    assert!(error.contains("found a directory"), "{error}");
    let missing = GgufFile::open(&folder.path().join("none.gguf"));
    assert!(matches!(missing, Err(ModelError::Io { .. })));
}

#[test]
fn every_cut_is_one_error() {
    let bytes = Sample::new().bytes();
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len]).is_err(), "{len} of {} bytes were accepted", bytes.len());
    }
    check_error(&bytes[..bytes.len() - 1], "it is truncated, download it again");
}

#[test]
fn absurd_counts_are_refused() {
    let huge = u64::MAX;
    check_error(&Sample { tensor_count: huge, ..Sample::new() }.bytes(), "tensors in the rest of the file");
    check_error(&Sample { entry_count: huge, ..Sample::new() }.bytes(), "metadata entries in the rest of the file");
    let entry = |value: &[&[u8]]| Sample { entries: [string("key"), value.concat()].concat(), ..Sample::new() };
    check_error(&entry(&[&8_u32.to_le_bytes(), &huge.to_le_bytes()]).bytes(), "bytes of key");
    for kind in [4_u32, 6, 8, 0, 9] {
        let array = entry(&[&9_u32.to_le_bytes(), &kind.to_le_bytes(), &huge.to_le_bytes()]);
        check_error(&array.bytes(), "`key`: expected an array of at most");
    }
    check_error(&entry(&[&99_u32.to_le_bytes()]).bytes(), "expected a value kind of 0 to 12, found 99");
    let nested = [9_u32.to_le_bytes().as_slice(), &1_u64.to_le_bytes()].concat().repeat(9);
    check_error(&entry(&[&9_u32.to_le_bytes(), &nested, &[0; 64]]).bytes(), "nested arrays, found more");
}

#[test]
fn tensors_that_contradict_the_file_are_refused() {
    let tensors = |tensors: &[Vec<u8>]| {
        let sample = Sample { tensor_count: tensors.len() as u64, tensors: tensors.concat(), ..Sample::new() };
        sample.bytes()
    };
    check_error(&tensors(&[tensor("w", &[32, 3], 0, 0)]), "`w` up to byte 512, but the file ends at byte 384");
    check_error(&tensors(&[tensor("w", &[32, 2], 0, 64)]), "it is truncated");
    check_error(&tensors(&[tensor("w", &[32, 2], 0, !31)]), "found one beyond any file");
    check_error(&tensors(&[tensor("w", &[32, 2], 0, 8)]), "expected an offset aligned to 32, found 8");
    check_error(&tensors(&[tensor("w", &[32, 0], 0, 0)]), "found dimensions [32, 0]");
    check_error(
        &tensors(&[tensor("w", &[1 << 40, 1 << 40], 0, 0)]),
        "whole F32 blocks, found dimensions [1099511627776",
    );
    check_error(&tensors(&[tensor("w", &[33], 12, 0)]), "whole Q4K blocks");
    check_error(&tensors(&[tensor("w", &[], 0, 0)]), "expected 1 to 4 dimensions, found 0");
    check_error(&tensors(&[tensor("w", &[256], 21, 0)]), "tensor `w` has type IQ3_S");
    check_error(&tensors(&[tensor("w", &[32], 0, 0), tensor("v", &[32], 0, 96)]), "`w` overlapping `v`");
    check_error(&tensors(&[tensor("w", &[8], 0, 0), tensor("w", &[8], 0, 32)]), "found `w` twice");
    let alignment = [string("general.alignment"), 4_u32.to_le_bytes().to_vec(), 24_u32.to_le_bytes().to_vec()].concat();
    check_error(&Sample { entries: alignment, ..Sample::new() }.bytes(), "power of two up to 1048576, found 24");
}
