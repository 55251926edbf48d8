//! Dequantisation compared with candle's block types, on random blocks of every type that a GGUF file can contain.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device};
use phi_ls::kernels::quant::{QuantType, dequantize};
use sha2::{Digest as _, Sha256};

/// Blocks of pseudo-random bytes whose f16 and f32 fields are finite.
fn random_blocks(quant: QuantType, blocks: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::new();
    for _ in 0..blocks * quant.block_bytes() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push((state >> 32) as u8);
    }
    for block in bytes.chunks_exact_mut(quant.block_bytes()) {
        // The byte with the sign and the top of the exponent of each float field.
        let tops: &[usize] = match quant {
            QuantType::F32 | QuantType::Q8K => &[3],
            QuantType::Q4_1 | QuantType::Q5_1 | QuantType::Q4K | QuantType::Q5K => &[1, 3],
            QuantType::Q2K => &[81, 83],
            QuantType::Q3K => &[109],
            QuantType::Q6K => &[209],
            QuantType::F16 | QuantType::Bf16 | QuantType::Q4_0 | QuantType::Q5_0 | QuantType::Q8_0 => &[1],
            QuantType::Iq4Nl | QuantType::Iq4Xs => &[1],
        };
        for &top in tops {
            block[top] &= 0xbb;
        }
    }
    bytes
}

fn check(ggml_id: u32, dtype: GgmlDType) {
    let quant = QuantType::from_ggml_id(ggml_id).expect("a known id");
    assert_eq!((quant.block_len(), quant.block_bytes()), (dtype.block_size(), dtype.type_size()), "{quant:?}");
    let values = 512;
    let bytes = random_blocks(quant, values / quant.block_len());
    let storage = QStorage::from_data(Cow::Borrowed(&bytes), &Device::Cpu, dtype).expect("storage");
    let tensor = QTensor::new(storage, values).expect("tensor").dequantize(&Device::Cpu).expect("dequantised");
    let expected = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.to_vec1::<f32>()).expect("values");
    let mut found = vec![0.0; values];
    dequantize(quant, &bytes, &mut found);
    assert!(found.iter().all(|x| x.is_finite()), "{quant:?}");
    assert_eq!(found, expected, "{quant:?}");
}

#[test]
fn dequantisation_equals_candle_for_every_type() {
    let types = [
        (0, GgmlDType::F32),
        (1, GgmlDType::F16),
        (2, GgmlDType::Q4_0),
        (3, GgmlDType::Q4_1),
        (6, GgmlDType::Q5_0),
        (7, GgmlDType::Q5_1),
        (8, GgmlDType::Q8_0),
        (10, GgmlDType::Q2K),
        (11, GgmlDType::Q3K),
        (12, GgmlDType::Q4K),
        (13, GgmlDType::Q5K),
        (14, GgmlDType::Q6K),
        (15, GgmlDType::Q8K),
        (30, GgmlDType::BF16),
    ];
    for (ggml_id, dtype) in types {
        check(ggml_id, dtype);
    }
}

/// candle does not support these types. The expected sums come from the Python package `gguf` 0.19.0 for the same
/// blocks.
#[test]
fn dequantisation_of_looked_up_values_equals_ggml() {
    let sums = [
        (20, "e0604e1e57b21014408380e05ba7801d6e4410d8dcd6c155fcb96bb4e69ff4ed"),
        (23, "b80b5e5c94390c0175041c63352b806800e929c8ac52f5e8a936530dc04c1401"),
    ];
    for (ggml_id, expected) in sums {
        let quant = QuantType::from_ggml_id(ggml_id).expect("a known id");
        let mut values = vec![0.0_f32; 512];
        dequantize(quant, &random_blocks(quant, values.len() / quant.block_len()), &mut values);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, expected, "{quant:?}");
    }
}
