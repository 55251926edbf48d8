//! Matrix kernels of every type and level against plain arithmetic.

use super::activations::quantize::{quantize_block, quantize_superblock};
use super::shape::{BLOCK, SUPER};
use super::*;
use crate::quant;
use crate::random::Random;

const ALL: [QuantType; 16] = [
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
    QuantType::Iq4Nl,
    QuantType::Iq4Xs,
];

/// Most of the error of a product comes from rounding the activations to 8 bits. For Gaussians, its rms is 0.7 % of the
/// rms of the outputs, and the largest of a few thousand errors is five times that.
const QUANTIZED: f64 = 0.05;
/// Products in f32 differ from f64 only by rounding.
const PLAIN: f64 = 1e-5;

fn tolerance(quant: QuantType) -> f64 {
    if Kernel::choose(quant, Level::detect()).has_native_rows() { PLAIN } else { QUANTIZED }
}

/// The product with every level that can run the matrix's kernel.
fn products(matrix: &PackedMatrix, values: &[f32], pool: &ThreadPool) -> Vec<(Level, Vec<f32>)> {
    let mut activations = Activations::default();
    activations.quantize(pool, values, matrix.cols, &[matrix]);
    let runs = |level: &Level| matrix.kernel == Kernel::Plain || *level != Level::Portable;
    let product = |level| {
        let mut out = vec![f32::NAN; values.len() / matrix.cols * matrix.rows];
        matrix.matmul_with(level, Tuning::in_use(), pool, &activations, &mut out);
        (level, out)
    };
    Level::supported().filter(runs).map(product).collect()
}

fn dequantized(quant: QuantType, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / quant.block_bytes() * quant.block_len()];
    quant::dequantize(quant, bytes, &mut values);
    values
}

/// Compares a product with the same one in f64 over the dequantised weights; errors are relative to the rms of the
/// outputs.
fn check(quant: QuantType, rows: usize, cols: usize, m: usize) {
    let random = &mut Random::new(rows as u64 * 31 + cols as u64 + m as u64);
    let pool = ThreadPool::new(2);
    let bytes = random.blocks(quant, rows * cols, 0.01);
    let matrix = PackedMatrix::pack(quant, rows, cols, &bytes, &pool);
    let values = random.gaussians(m * cols);
    let weights = dequantized(quant, &bytes);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let expected: Vec<f64> = values
        .chunks_exact(cols)
        .flat_map(|values| weights.chunks_exact(cols).map(move |weights| dot(weights, values)))
        .collect();
    let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
    for (level, found) in products(&matrix, &values, &pool) {
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*found) - expected).abs() / rms;
            let what = format!("{quant:?} {rows} x {cols}, m = {m}, {level:?}, {index}");
            assert!(error < tolerance(quant), "{what}: {found} != {expected}");
        }
    }
}

/// The activations as the integer kernels see them: quants, and for each block its scale and scaled sum.
struct Seen {
    block_len: usize,
    quants: Vec<i8>,
    scales: Vec<(f32, f32)>,
}

fn seen(quant: QuantType, values: &[f32]) -> Seen {
    let (mut quants, mut scales) = (Vec::new(), Vec::new());
    let block_len = if layout::has_block_scales(quant) { BLOCK } else { SUPER };
    if block_len == BLOCK {
        for block in values.as_chunks::<BLOCK>().0 {
            let block = quantize_block(Level::Portable, block);
            quants.extend(block.quants);
            scales.push((block.scale, block.scaled_sum));
        }
    } else {
        for superblock in values.as_chunks::<SUPER>().0 {
            let superblock = quantize_superblock(Level::Portable, superblock);
            quants.extend(superblock.quants);
            scales.push((superblock.scale, 0.0));
        }
    }
    Seen { block_len, quants, scales }
}

/// The product of a row of native blocks with activations as the kernel sees them, in f64, and the sum of the
/// magnitudes of its terms.
fn exact(quant: QuantType, row: &[u8], seen: &Seen, first_value: usize) -> (f64, f64) {
    let weights = dequantized(quant, row);
    let (mut sum, mut magnitude) = (0.0, 0.0);
    for (index, weights) in weights.chunks_exact(seen.block_len).enumerate() {
        let start = first_value + index * seen.block_len;
        let (scale, scaled_sum) = seen.scales[start / seen.block_len];
        // Q4_1 and Q5_1 multiply their minimum by the rounded scaled sum instead of by each quant.
        let min = match quant {
            QuantType::Q4_1 | QuantType::Q5_1 => f64::from(quant::f16_at(row, index * quant.block_bytes() + 2)),
            _ => 0.0,
        };
        for (weight, q) in weights.iter().zip(&seen.quants[start..]) {
            let term = (f64::from(*weight) - min) * f64::from(scale) * f64::from(*q);
            sum += term;
            magnitude += term.abs();
        }
        sum += min * f64::from(scaled_sum);
        magnitude += (min * f64::from(scaled_sum)).abs();
    }
    (sum, magnitude)
}

/// Checks that a kernel adds exactly what its integers say, up to the rounding of f32 sums.
fn check_exact(quant: QuantType, rows: usize, cols: usize, bytes: &[u8], values: &[f32]) {
    let pool = ThreadPool::new(2);
    let matrix = PackedMatrix::pack(quant, rows, cols, bytes, &pool);
    let seen = seen(quant, values);
    let row_bytes = bytes.len() / rows;
    for (level, found) in products(&matrix, values, &pool) {
        for (index, found) in found.iter().enumerate() {
            let (m, row) = (index / rows, index % rows);
            let (expected, magnitude) = exact(quant, &bytes[row * row_bytes..(row + 1) * row_bytes], &seen, m * cols);
            // A minimum and its scale may cancel, so errors are relative to the terms, not to their sum.
            let is_exact = (f64::from(*found) - expected).abs() <= 2e-6 * magnitude + 1e-30;
            assert!(is_exact, "{quant:?} {rows} x {cols}, {level:?}, row {row}, m {m}: {found} != {expected}");
        }
    }
}

fn interleaved_types() -> impl Iterator<Item = QuantType> {
    ALL.into_iter().filter(|quant| layout::is_interleaved(*quant) && tolerance(*quant) == QUANTIZED)
}

#[test]
fn every_type_multiplies_and_looks_up_rows() {
    for quant in ALL {
        for m in [1, 2, 5] {
            check(quant, 19, 512, m);
        }
        let pool = ThreadPool::new(1);
        let bytes = Random::new(3).blocks(quant, 5 * 256, 0.01);
        let matrix = PackedMatrix::pack(quant, 5, 256, &bytes, &pool);
        let mut row = vec![0.0; 256];
        matrix.dequantize_row(3, &mut row);
        assert_eq!(row, dequantized(quant, &bytes)[3 * 256..4 * 256], "{quant:?}");
    }
}

#[test]
fn widths_that_are_not_whole_superblocks_work() {
    for quant in [QuantType::F32, QuantType::F16, QuantType::Q4_1, QuantType::Q8_0] {
        check(quant, 33, 576, 3);
    }
}

#[test]
fn floats_work_at_any_width_and_number_of_rows() {
    for quant in [QuantType::F32, QuantType::F16, QuantType::Bf16] {
        for (rows, cols, m) in [(1, 1, 1), (17, 30, 4), (16, 8, 2), (5, 1100, 7), (40, 2049, 3)] {
            check(quant, rows, cols, m);
        }
    }
}

#[test]
fn integer_kernels_are_exact_for_any_number_of_rows() {
    for quant in interleaved_types() {
        for m in 1..=17 {
            let (rows, cols) = (16 + m, if quant.block_len() == BLOCK { 256 + 32 * m } else { 256 * m });
            let random = &mut Random::new(m as u64);
            let bytes = random.blocks(quant, rows * cols, 0.01);
            check_exact(quant, rows, cols, &bytes, &random.gaussians(m * cols));
        }
    }
}

#[test]
fn integer_kernels_are_exact_on_the_widest_rows() {
    for quant in interleaved_types() {
        let (rows, cols, m) = (16, 8192, 3);
        let random = &mut Random::new(8192);
        check_exact(quant, rows, cols, &random.blocks(quant, rows * cols, 0.01), &random.gaussians(m * cols));
    }
}

#[test]
fn integer_kernels_are_exact_at_their_extremes() {
    let (rows, cols, m) = (18, 512, 5);
    for quant in interleaved_types() {
        for fill in [0x00, 0xff, 0x80, 0x7f] {
            let random = &mut Random::new(u64::from(fill));
            // Only the scales stay random: all quants are equal, and so are the six-bit scales.
            let mut bytes = random.blocks(quant, rows * cols, 100.0);
            let scaled = bytes.clone();
            bytes.fill(fill);
            for (block, scaled) in bytes.chunks_mut(quant.block_bytes()).zip(scaled.chunks(quant.block_bytes())) {
                for &offset in Random::f16_offsets(quant) {
                    block[offset..offset + 2].copy_from_slice(&scaled[offset..offset + 2]);
                }
            }
            for values in [vec![1.0; m * cols], vec![-1.0; m * cols], random.gaussians(m * cols)] {
                check_exact(quant, rows, cols, &bytes, &values);
            }
        }
    }
}

#[test]
fn scales_at_the_edges_of_f16_and_zero_blocks_work() {
    let (rows, cols, m) = (16, 512, 3);
    for quant in interleaved_types() {
        for scale in [65504.0f32, -65504.0, 6e-8, 0.0] {
            let random = &mut Random::new(11);
            let mut bytes = random.blocks(quant, rows * cols, 1.0);
            for block in bytes.chunks_mut(quant.block_bytes()) {
                for &offset in Random::f16_offsets(quant) {
                    block[offset..offset + 2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
                }
            }
            let mut values = random.gaussians(m * cols);
            values[..cols].fill(0.0);
            check_exact(quant, rows, cols, &bytes, &values);
        }
    }
}
