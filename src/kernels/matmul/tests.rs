use super::*;
use crate::kernels::random::Random;

const ALL: [QuantType; 14] = [
    QuantType::F32,
    QuantType::F16,
    QuantType::Bf16,
    QuantType::Q4_0,
    QuantType::Q4_1,
    QuantType::Q5_0,
    QuantType::Q5_1,
    QuantType::Q8_0,
    QuantType::Q2K,
    QuantType::Q3K,
    QuantType::Q4K,
    QuantType::Q5K,
    QuantType::Q6K,
    QuantType::Q8K,
];

/// Compares a product with the same one in f64 over the dequantised weights. `tolerance` is relative to the root mean
/// square of the outputs.
fn check(quant: QuantType, rows: usize, cols: usize, m: usize, tolerance: f64) {
    let random = &mut Random::new(rows as u64 * 31 + cols as u64 + m as u64);
    let pool = ThreadPool::new(2);
    let bytes = random.blocks(quant, rows * cols, 0.01);
    let matrix = PackedMatrix::pack(quant, rows, cols, &bytes, &pool);
    let values = random.gaussians(m * cols);
    let mut activations = Activations::default();
    activations.quantize(&pool, &values, cols, &[&matrix]);
    let mut found = vec![f32::NAN; m * rows];
    matrix.matmul(&pool, &activations, &mut found);

    let mut weights = vec![0.0; rows * cols];
    quant::dequantize(quant, &bytes, &mut weights);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let expected: Vec<f64> = values
        .chunks_exact(cols)
        .flat_map(|values| weights.chunks_exact(cols).map(move |weights| dot(weights, values)))
        .collect();
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / rms;
        assert!(error < tolerance, "{quant:?} {rows} x {cols}, m = {m}, {index}: {found} != {expected}");
    }
}

#[test]
fn every_type_multiplies_and_looks_up_rows() {
    for quant in ALL {
        for m in [1, 2, 5] {
            check(quant, 19, 512, m, 1e-5);
        }
        let pool = ThreadPool::new(1);
        let bytes = Random::new(3).blocks(quant, 5 * 256, 0.01);
        let matrix = PackedMatrix::pack(quant, 5, 256, &bytes, &pool);
        let (mut row, mut all) = (vec![0.0; 256], vec![0.0; 5 * 256]);
        matrix.dequantize_row(3, &mut row);
        quant::dequantize(quant, &bytes, &mut all);
        assert_eq!(row, all[3 * 256..4 * 256], "{quant:?}");
    }
}

#[test]
fn widths_that_are_not_whole_superblocks_work() {
    for quant in [QuantType::F32, QuantType::F16, QuantType::Q4_1, QuantType::Q8_0] {
        check(quant, 33, 576, 3, 1e-5);
    }
}
