//! Chooses a [`Tuning`] by trying it on weights that are already in memory, in a fraction of a second.

use std::time::{Duration, Instant};

use super::activations::Activations;
use super::packed::PackedMatrix;
use crate::level::Level;
use crate::pool::ThreadPool;
use crate::quant::QuantType;
use crate::tuning::Tuning;

/// What was measured about the processor and its memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub tuning: Tuning,
    /// Bytes that all threads of the pool together read in a second.
    pub read_bandwidth: f64,
    /// Bytes of weights that were read: if they are few, part of them came from caches.
    pub bytes: usize,
}

/// A measurement takes little longer than this: choices not tried by then keep their defaults.
const AT_MOST: Duration = Duration::from_millis(150);
/// Bytes to read in one trial, more than caches hold.
pub const TRIAL_BYTES: usize = 128 << 20;
/// Bytes of the trial with several activation rows, where computing is the limit.
const SMALL_TRIAL_BYTES: usize = 4 << 20;
/// The part of the current choice's time that another has to stay below to replace it. A smaller difference may be
/// chance.
const BETTER: f64 = 0.97;

/// Tries `matrices` (those of a loaded model) with the pool that will compute.
pub fn measure_tuning(matrices: &[&PackedMatrix], pool: &ThreadPool) -> Measured {
    let started = Instant::now();
    let matrices = of_bytes(matrices, TRIAL_BYTES);
    let spin_micros = u64::try_from(pool.measure_spin().as_micros()).unwrap_or(u64::MAX);
    let mut best = Tuning { spin_micros, ..Tuning::DEFAULT };
    let bytes: usize = matrices.iter().map(|matrix| matrix.memory_bytes()).sum();
    let read = (0..2).map(|_| read_time(&matrices, pool)).min().unwrap_or(Duration::MAX);
    let read_bandwidth = bytes as f64 / read.as_secs_f64().max(1e-9);
    let decode = Trial::new(&matrices, 1, pool);
    let fetches = [2304, 4608, 13824].map(|fetch_ahead| Tuning { fetch_ahead, ..best });
    best = decode.best_of(best, &fetches, started);
    let tasks = [4, 16].map(|tasks_per_thread| Tuning { tasks_per_thread, ..best });
    best = decode.best_of(best, &tasks, started);
    for is_4_bit in [true, false] {
        let small = of_bytes(&of_bits(&matrices, is_4_bit), SMALL_TRIAL_BYTES);
        let rows = Tuning::DEFAULT.packed_rows;
        let once = match is_4_bit {
            true => Tuning { packed_rows_4_bit: rows / 2, ..best },
            false => Tuning { packed_rows: rows / 2, ..best },
        };
        best = Trial::new(&small, rows, pool).best_of(best, &[once], started);
    }
    Measured { tuning: best, read_bandwidth, bytes }
}

/// The first matrices that together have `bytes` bytes.
fn of_bytes<'a>(matrices: &[&'a PackedMatrix], bytes: usize) -> Vec<&'a PackedMatrix> {
    let mut sum = 0;
    let taken = matrices.iter().take_while(|matrix| {
        let is_room = sum < bytes;
        sum += matrix.memory_bytes();
        is_room
    });
    taken.copied().collect()
}

/// The K-quants of 4 bits, or the others.
fn of_bits<'a>(matrices: &[&'a PackedMatrix], is_4_bit: bool) -> Vec<&'a PackedMatrix> {
    let is_wanted = |matrix: &&&PackedMatrix| match matrix.quant {
        QuantType::Q4K => is_4_bit,
        QuantType::Q2K | QuantType::Q3K | QuantType::Q5K | QuantType::Q6K => !is_4_bit,
        _ => false,
    };
    matrices.iter().filter(is_wanted).copied().collect()
}

/// How long it takes to read the matrices once, with all threads.
fn read_time(matrices: &[&PackedMatrix], pool: &ThreadPool) -> Duration {
    const PART: usize = 1 << 20;
    let parts: Vec<&[u8]> = matrices.iter().flat_map(|matrix| matrix.bytes.as_slice().chunks(PART)).collect();
    let started = Instant::now();
    pool.run(parts.len(), &|index| {
        // Independent sums let the compiler use vectors.
        let mut sums = [0_u64; 16];
        for words in parts[index].as_chunks::<128>().0 {
            for (sum, word) in sums.iter_mut().zip(words.as_chunks::<8>().0) {
                *sum ^= u64::from_le_bytes(*word);
            }
        }
        std::hint::black_box(sums);
    });
    started.elapsed()
}

/// Products of all `matrices` with activations of `rows` rows.
struct Trial<'a> {
    matrices: &'a [&'a PackedMatrix],
    inputs: Vec<Activations>,
    rows: usize,
    pool: &'a ThreadPool,
}

impl<'a> Trial<'a> {
    fn new(matrices: &'a [&'a PackedMatrix], rows: usize, pool: &'a ThreadPool) -> Self {
        let input = |matrix: &&PackedMatrix| {
            let values: Vec<f32> = (0..rows * matrix.cols).map(|i| (i % 255) as f32 - 127.0).collect();
            let mut input = Activations::default();
            input.quantize(pool, &values, matrix.cols, &[matrix]);
            input
        };
        Self { matrices, inputs: matrices.iter().map(input).collect(), rows, pool }
    }

    /// The fastest of `current` and `others`, each tried twice in turn.
    fn best_of(&self, current: Tuning, others: &[Tuning], started: Instant) -> Tuning {
        let mut times = vec![Duration::MAX; 1 + others.len()];
        for _ in 0..2 {
            for (time, tuning) in times.iter_mut().zip(std::iter::once(&current).chain(others)) {
                if started.elapsed() > AT_MOST {
                    return current;
                }
                *time = self.time(tuning).min(*time);
            }
        }
        let fastest = others.iter().zip(&times[1..]).min_by_key(|(_, time)| **time);
        match fastest {
            Some((other, time)) if time.as_secs_f64() < BETTER * times[0].as_secs_f64() => *other,
            _ => current,
        }
    }

    fn time(&self, tuning: &Tuning) -> Duration {
        let mut out = Vec::new();
        let started = Instant::now();
        for (matrix, input) in self.matrices.iter().zip(&self.inputs) {
            out.resize(self.rows * matrix.rows, 0.0);
            matrix.matmul_with(Level::in_use(), tuning, self.pool, input, &mut out);
        }
        started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_measurement_chooses_among_what_it_tries() {
        let pool = ThreadPool::new(2);
        let random = &mut Random::new(1);
        let matrices = [QuantType::Q4K, QuantType::Q6K, QuantType::Q8_0]
            .map(|quant| PackedMatrix::pack(quant, 64, 512, &random.blocks(quant, 64 * 512, 0.1), &pool));
        let measured = measure_tuning(&matrices.each_ref(), &pool);
        assert!([2304, 4608, 6912, 13824].contains(&measured.tuning.fetch_ahead), "{measured:?}");
        assert!([4, 8, 16].contains(&measured.tuning.tasks_per_thread), "{measured:?}");
        assert!(measured.read_bandwidth > 0.0, "{measured:?}");
    }

    #[test]
    fn no_choice_changes_a_product() {
        let pool = ThreadPool::new(2);
        let random = &mut Random::new(2);
        for quant in [QuantType::Q2K, QuantType::Q3K, QuantType::Q4K, QuantType::Q5K, QuantType::Q6K, QuantType::Q4_1] {
            let matrix = PackedMatrix::pack(quant, 70, 512, &random.blocks(quant, 70 * 512, 0.1), &pool);
            for rows in [1, 3, 8, 9] {
                let mut input = Activations::default();
                input.quantize(&pool, &random.gaussians(rows * 512), 512, &[&matrix]);
                let product = |level, tuning: &Tuning| {
                    let mut out = vec![f32::NAN; rows * 70];
                    matrix.matmul_with(level, tuning, &pool, &input, &mut out);
                    out
                };
                let other = Tuning {
                    fetch_ahead: 0,
                    packed_rows_4_bit: 0,
                    packed_rows: 0,
                    tasks_per_thread: 1,
                    ..Tuning::DEFAULT
                };
                for level in Level::supported().filter(|level| *level != Level::Portable) {
                    let expected = product(level, &Tuning::DEFAULT);
                    assert_eq!(product(level, &other), expected, "{quant:?}, {rows} rows, {level:?}");
                }
            }
        }
    }
}
