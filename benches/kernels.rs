//! The speed of the kernels on one thread, in processor time, compared with the limits of the machine: `cargo bench
//! --bench kernels`, optionally with a filter (`-- q4_k`) and limited to slower kernels (`-- --kernels avx2`).
//!
//! Products are given in GMAC/s (multiplications and additions) and, for few rows, in GB/s of packed weights read. The
//! matrix is larger than the caches for m <= 8, as in decoding, and small for larger m, as in prefill.

use std::hint::black_box;
use std::time::{Duration, Instant};

use phi_ls::kernels::attention::{AttentionInput, KvShape, KvType, PAGE_LEN, attend};
use phi_ls::kernels::buffer::AlignedBytes;
use phi_ls::kernels::level::Level;
use phi_ls::kernels::matmul::{Activations, PackedMatrix};
use phi_ls::kernels::ops;
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::kernels::quant::QuantType;

const TYPES: [(&str, QuantType); 13] = [
    ("f32", QuantType::F32),
    ("f16", QuantType::F16),
    ("bf16", QuantType::Bf16),
    ("q4_0", QuantType::Q4_0),
    ("q4_1", QuantType::Q4_1),
    ("q5_0", QuantType::Q5_0),
    ("q5_1", QuantType::Q5_1),
    ("q8_0", QuantType::Q8_0),
    ("q2_k", QuantType::Q2K),
    ("q3_k", QuantType::Q3K),
    ("q4_k", QuantType::Q4K),
    ("q5_k", QuantType::Q5K),
    ("q6_k", QuantType::Q6K),
];

/// Processor time of this thread, or wall-clock time if the system does not report it.
fn thread_time(origin: Instant) -> Duration {
    #[cfg(unix)]
    {
        let _ = origin;
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).expect("less than a second"))
    }
    #[cfg(not(unix))]
    origin.elapsed()
}

/// The seconds of the fastest of several runs.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let origin = Instant::now();
    let mut best = f64::INFINITY;
    while origin.elapsed() < Duration::from_millis(250) {
        let start = thread_time(origin);
        let mut runs = 0;
        while (thread_time(origin) - start) < Duration::from_millis(20) {
            run();
            runs += 1;
        }
        best = best.min((thread_time(origin) - start).as_secs_f64() / f64::from(runs));
    }
    best
}

/// Pseudo-random bytes. Without bits 2 and 6, no f16 of a block is infinite or NaN. Floats get normal values, because
/// random bits would often be subnormal, unlike weights.
fn blocks(quant: QuantType, values: usize) -> Vec<u8> {
    match quant {
        QuantType::F32 => return activations(values).iter().flat_map(|x| x.to_le_bytes()).collect(),
        QuantType::Bf16 => {
            return activations(values).iter().flat_map(|x| [x.to_le_bytes()[2], x.to_le_bytes()[3]]).collect();
        }
        _ => {}
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = vec![0; values / quant.block_len() * quant.block_bytes()];
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 33) as u8 & 0xbb;
    }
    bytes
}

fn activations(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1021) as f32 / 510.0 - 1.0).collect()
}

fn bench_matmul(name: &str, quant: QuantType, pool: &ThreadPool) {
    let cols = 3072;
    for m in [1, 2, 4, 8, 32, 128] {
        let rows = if m <= 8 { 32768 } else { 1024 };
        let bytes = blocks(quant, rows * cols);
        let matrix = PackedMatrix::pack(quant, rows, cols, &bytes, pool);
        let values = activations(m * cols);
        let mut input = Activations::default();
        input.quantize(pool, &values, cols, &[&matrix]);
        let mut out = vec![0.0; m * rows];
        let seconds = best(|| matrix.matmul(pool, &input, black_box(&mut out)));
        let gmacs = (rows * cols * m) as f64 / seconds * 1e-9;
        let gigabytes = bytes.len() as f64 / seconds * 1e-9;
        println!("{name:<6} m {m:>3}  {gmacs:7.1} GMAC/s  {gigabytes:6.1} GB/s");
    }
}

fn bench_pack(pool: &ThreadPool) {
    for (name, quant) in TYPES {
        let (rows, cols) = (8192, 3072);
        let bytes = blocks(quant, rows * cols);
        let seconds = best(|| {
            black_box(PackedMatrix::pack(quant, rows, cols, &bytes, pool));
        });
        println!("pack {name:<6} {:6.1} GB/s", bytes.len() as f64 / seconds * 1e-9);
    }
}

fn bench_quantize(pool: &ThreadPool) {
    for (name, quant) in [("per 32", QuantType::Q8_0), ("per 256", QuantType::Q4K)] {
        for m in [1, 128] {
            let cols = 3072;
            let matrix = PackedMatrix::pack(quant, 16, cols, &blocks(quant, 16 * cols), pool);
            let values = activations(m * cols);
            let mut input = Activations::default();
            let seconds = best(|| input.quantize(pool, black_box(&values), cols, &[&matrix]));
            println!("quantize {name:<8} m {m:>3}  {:6.2} G values/s", values.len() as f64 / seconds * 1e-9);
        }
    }
}

fn bench_attention(pool: &ThreadPool) {
    let models = [("Phi-3.5-mini", 32, 32, 96), ("Phi-4-mini", 24, 8, 128), ("SmolLM2-135M", 9, 3, 64)];
    for (model, num_heads, num_kv_heads, head_dim) in models {
        for kv_type in [KvType::F16, KvType::Q8_0] {
            let shape = KvShape { num_kv_heads, head_dim, kv_type };
            bench_store(&format!("{model} {kv_type:?}"), &shape);
            for (context, rows) in [64, 512, 2048, 4096].into_iter().flat_map(|c| [1, 2, 4, 8].map(|rows| (c, rows))) {
                bench_attend(&format!("{model} {kv_type:?}"), pool, &shape, num_heads, context, rows);
            }
            bench_attend(&format!("{model} {kv_type:?}"), pool, &shape, num_heads, 512, 64);
        }
    }
}

fn bench_store(name: &str, shape: &KvShape) {
    let width = shape.num_kv_heads * shape.head_dim;
    let mut pages = vec![vec![0; shape.page_layer_bytes()]; 16];
    let values = activations(pages.len() * PAGE_LEN * width);
    let seconds = best(|| {
        for (position, row) in values.chunks_exact(width).enumerate() {
            shape.store(&mut pages[position / PAGE_LEN], position % PAGE_LEN, row, row);
        }
    });
    println!("store {name} {:.2} G values/s", 2e-9 * values.len() as f64 / seconds);
}

/// Computes one layer after another, as in decoding, so that none is in a cache. A page of the KV cache holds all
/// layers.
fn bench_attend(name: &str, pool: &ThreadPool, shape: &KvShape, num_heads: usize, context: usize, rows: usize) {
    let (num_pages, layer_bytes) = ((context + rows).div_ceil(PAGE_LEN), shape.page_layer_bytes());
    let layers = (128_usize << 20).div_ceil(num_pages * layer_bytes);
    let mut memory = AlignedBytes::zeroed(layers * num_pages * layer_bytes);
    let row = activations(shape.num_kv_heads * shape.head_dim);
    for page in memory.as_mut_slice().chunks_exact_mut(layer_bytes) {
        (0..PAGE_LEN).for_each(|position| shape.store(page, position, &row, &row));
    }
    let pages_of = |layer: usize| -> Vec<&[u8]> {
        memory.as_slice().chunks_exact(layer_bytes).skip(layer).step_by(layers).collect()
    };
    let layers: Vec<Vec<&[u8]>> = (0..layers).map(pages_of).collect();
    let query = activations(rows * num_heads * shape.head_dim);
    let mut out = vec![0.0; query.len()];
    let mut next = layers.iter().cycle();
    let seconds = best(|| {
        let pages = next.next().expect("there is a layer");
        let input = AttentionInput { pages, past_len: context, rows, window: usize::MAX };
        attend(pool, shape, num_heads, &query, &[input], black_box(&mut out));
    });
    let gmacs = (2 * rows * num_heads * shape.head_dim * context) as f64 / seconds * 1e-9;
    let gigabytes = ((context + rows) * layer_bytes / PAGE_LEN) as f64 / seconds * 1e-9;
    let micros = seconds * 1e6;
    println!(
        "attention {name} context {context:>4} rows {rows:>2}: {micros:8.1} us a layer, {gmacs:6.1} GMAC/s, {gigabytes:5.1} GB/s"
    );
}

fn bench_ops() {
    let (n, rows) = (8192, 16);
    let gate_up = activations(2 * n * rows);
    let mut out = vec![0.0; n * rows];
    let seconds = best(|| ops::silu_gate(black_box(&gate_up), n, black_box(&mut out)));
    println!("silu_gate {:6.2} G values/s", out.len() as f64 / seconds * 1e-9);
    let weight = activations(3072);
    let hidden = activations(3072 * rows);
    let mut out = vec![0.0; hidden.len()];
    let seconds = best(|| ops::rms_norm(black_box(&hidden), &weight, 1e-5, black_box(&mut out)));
    println!("rms_norm  {:6.2} G values/s", out.len() as f64 / seconds * 1e-9);
    // A true rotation, so that repeated rotation does not change the size of the numbers.
    let (cos, sin) = ([0.8; 48], [0.6; 48]);
    for style in [ops::RopeStyle::Neox, ops::RopeStyle::Interleaved] {
        let seconds = best(|| {
            for head in out.chunks_exact_mut(96) {
                ops::rope(style, black_box(head), &cos, &sin);
            }
        });
        println!("rope {style:?} {:6.2} G values/s", out.len() as f64 / seconds * 1e-9);
    }
}

/// Measures the limits that the kernels are compared with.
fn bench_machine() {
    let memory = vec![1u64; 1 << 25];
    let seconds = best(|| {
        black_box(black_box(&memory).iter().fold(0, |sum, word| sum ^ word));
    });
    println!("streaming read {:.1} GB/s, plain loop", (memory.len() * 8) as f64 / seconds * 1e-9);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        let (read, maddubs) = unsafe { (peak::read(&memory), peak::maddubs()) };
        println!("streaming read {read:.1} GB/s, AVX2");
        println!("maddubs peak   {maddubs:.1} GMAC/s");
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the processor has AVX-512 with VNNI.
        println!("VNNI peak      {:.1} GMAC/s", unsafe { peak::vnni() });
    }
}

#[cfg(target_arch = "x86_64")]
mod peak {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// GB/s of reading memory that is in no cache.
    #[target_feature(enable = "avx2")]
    pub(crate) fn read(memory: &[u64]) -> f64 {
        let (lines, _) = memory.as_chunks::<16>();
        let seconds = super::best(|| {
            let mut sums = [_mm256_setzero_si256(); 4];
            for line in black_box(lines) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: 16 words are 4 vectors.
                    *sum = _mm256_or_si256(*sum, unsafe { _mm256_loadu_si256(line.as_ptr().add(4 * i).cast()) });
                }
            }
            black_box(sums);
        });
        (lines.len() * 128) as f64 / seconds * 1e-9
    }

    /// Eight products summed in 16 bits, then one `madd`, as in the 4-bit kernels, all in registers.
    #[target_feature(enable = "avx2")]
    pub(crate) fn maddubs() -> f64 {
        let steps = 100_000;
        let input = black_box([[3u8; 32]; 8 + 4]);
        let seconds = super::best(|| {
            let mut sums = [_mm256_setzero_si256(); 4];
            for _ in 0..steps {
                let input = black_box(&input);
                // SAFETY: each of the 12 vectors is 32 readable bytes.
                let vector = |i: usize| unsafe { _mm256_loadu_si256(input[i].as_ptr().cast()) };
                let activations = [vector(8), vector(9), vector(10), vector(11)];
                let mut partial = [_mm256_setzero_si256(); 4];
                for step in 0..8 {
                    let weights = vector(step);
                    for (partial, activations) in partial.iter_mut().zip(activations) {
                        *partial = _mm256_add_epi16(*partial, _mm256_maddubs_epi16(weights, activations));
                    }
                }
                for (sum, partial) in sums.iter_mut().zip(partial) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(partial, *sum));
                }
            }
            black_box(sums);
        });
        f64::from(steps) * 8.0 * 4.0 * 32.0 / seconds * 1e-9
    }

    /// Sixteen sums of 32 bits in registers, each product from a dword in every lane.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(crate) fn vnni() -> f64 {
        const SUMS: usize = 16;
        let steps = 200_000;
        let (weights, activations) = black_box(([3u8; 64], [1i32; SUMS]));
        let seconds = super::best(|| {
            let mut sums = [_mm512_setzero_si512(); SUMS];
            // SAFETY: 64 readable bytes.
            let weights = unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) };
            for _ in 0..steps {
                let activations = black_box(&activations);
                for (sum, activation) in sums.iter_mut().zip(activations) {
                    *sum = _mm512_dpbusd_epi32(*sum, weights, _mm512_set1_epi32(*activation));
                }
            }
            black_box(sums);
        });
        f64::from(steps) * SUMS as f64 * 64.0 / seconds * 1e-9
    }
}

/// Computes one product of one group of rows, `--once TYPE ROWS COLUMNS`, which `cycles.py` traces.
fn once(mut arguments: impl Iterator<Item = String>) {
    let mut argument = || arguments.next().expect("--once takes a type, rows and columns");
    let name = argument();
    let (_, quant) = TYPES.into_iter().find(|(known, _)| *known == name).expect("a type");
    let (m, cols): (usize, usize) = (argument().parse().expect("rows"), argument().parse().expect("columns"));
    let pool = ThreadPool::new(1);
    let matrix = PackedMatrix::pack(quant, 16, cols, &blocks(quant, 16 * cols), &pool);
    let mut input = Activations::default();
    input.quantize(&pool, &activations(m * cols), cols, &[&matrix]);
    let mut out = vec![0.0; m * 16];
    traced_product(&matrix, &pool, &input, &mut out);
    black_box(out);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn traced_product(matrix: &PackedMatrix, pool: &ThreadPool, input: &Activations, out: &mut Vec<f32>) {
    matrix.matmul(pool, input, out);
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut filter = String::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--kernels" => {
                let level: Level = arguments.next().unwrap_or_default().parse().expect("--kernels takes a level");
                level.use_at_most().expect("this processor has the level");
            }
            "--once" => return once(arguments),
            _ => filter = argument,
        }
    }
    let wanted = |name: &str| name.contains(&filter);
    let pool = ThreadPool::new(1);
    if wanted("machine") {
        bench_machine();
    }
    for (name, quant) in TYPES {
        if wanted(name) {
            bench_matmul(name, quant, &pool);
        }
    }
    if wanted("pack") {
        bench_pack(&pool);
    }
    if wanted("quantize") {
        bench_quantize(&pool);
    }
    if wanted("attention") {
        bench_attention(&pool);
    }
    if wanted("ops") {
        bench_ops();
    }
}
