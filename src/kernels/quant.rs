//! GGML tensor types: block sizes and plain dequantisation, the reference every fast kernel is tested against.

/// A GGML tensor type as stored in a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuantType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8K,
    Iq4Nl,
    Iq4Xs,
}

impl QuantType {
    /// The type with this GGUF tensor type id (`enum ggml_type`), or `None` if this project does not read it.
    pub fn from_ggml_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            15 => Self::Q8K,
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Values in one block.
    pub const fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Iq4Nl => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K | Self::Q8K | Self::Iq4Xs => 256,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 | Self::Iq4Nl => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
            Self::Q8K => 292,
            Self::Iq4Xs => 136,
        }
    }
}

/// Expands `bytes` (whole blocks of `quant`) into `out`.
///
/// # Panics
/// If `bytes` is not exactly the blocks of `out.len()` values.
pub fn dequantize(quant: QuantType, bytes: &[u8], out: &mut [f32]) {
    let (block_len, block_bytes) = (quant.block_len(), quant.block_bytes());
    assert!(
        out.len().is_multiple_of(block_len) && bytes.len() == out.len() / block_len * block_bytes,
        "{} values of {quant:?} do not take {} bytes",
        out.len(),
        bytes.len()
    );
    let dequantize_block = match quant {
        QuantType::F32 => f32_value,
        QuantType::F16 => f16_value,
        QuantType::Bf16 => bf16_value,
        QuantType::Q4_0 => q4_0,
        QuantType::Q4_1 => q4_1,
        QuantType::Q5_0 => q5_0,
        QuantType::Q5_1 => q5_1,
        QuantType::Q8_0 => q8_0,
        QuantType::Q2K => q2_k,
        QuantType::Q3K => q3_k,
        QuantType::Q4K => q4_k,
        QuantType::Q5K => q5_k,
        QuantType::Q6K => q6_k,
        QuantType::Q8K => q8_k,
        QuantType::Iq4Nl => iq4_nl,
        QuantType::Iq4Xs => iq4_xs,
    };
    for (block, out) in bytes.chunks_exact(block_bytes).zip(out.chunks_exact_mut(block_len)) {
        dequantize_block(block, out);
    }
}

/// The little-endian f16 at `offset`.
pub(super) fn f16_at(bytes: &[u8], offset: usize) -> f32 {
    half::f16::from_le_bytes([bytes[offset], bytes[offset + 1]]).to_f32()
}

fn f32_at(bytes: &[u8], offset: usize) -> f32 {
    f32::from_le_bytes([bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]])
}

fn f32_value(block: &[u8], out: &mut [f32]) {
    out[0] = f32_at(block, 0);
}

fn f16_value(block: &[u8], out: &mut [f32]) {
    out[0] = f16_at(block, 0);
}

fn bf16_value(block: &[u8], out: &mut [f32]) {
    out[0] = half::bf16::from_le_bytes([block[0], block[1]]).to_f32();
}

// In the 32-value types, byte i of `qs` holds value i in its low and value i + 16 in its high nibble, and bit i of the
// little-endian `qh` is the fifth bit of value i.

/// `f16 d, qs[16]`: `d * (q - 8)`.
fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = f16_at(block, 0);
    for (i, &q) in block[2..].iter().enumerate() {
        out[i] = d * (f32::from(q & 15) - 8.0);
        out[i + 16] = d * (f32::from(q >> 4) - 8.0);
    }
}

/// `f16 d, f16 m, qs[16]`: `d * q + m`.
fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (f16_at(block, 0), f16_at(block, 2));
    for (i, &q) in block[4..].iter().enumerate() {
        out[i] = d * f32::from(q & 15) + m;
        out[i + 16] = d * f32::from(q >> 4) + m;
    }
}

/// The 32 five-bit values of `qh[4], qs[16]`.
fn five_bits(qh: &[u8], qs: &[u8], mut emit: impl FnMut(usize, f32)) {
    let high = u32::from_le_bytes([qh[0], qh[1], qh[2], qh[3]]);
    for (i, &q) in qs.iter().enumerate() {
        emit(i, f32::from(q & 15) + if high >> i & 1 == 1 { 16.0 } else { 0.0 });
        emit(i + 16, f32::from(q >> 4) + if high >> (i + 16) & 1 == 1 { 16.0 } else { 0.0 });
    }
}

/// `f16 d, qh[4], qs[16]`: `d * (q - 16)`.
fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = f16_at(block, 0);
    five_bits(&block[2..6], &block[6..], |i, q| out[i] = d * (q - 16.0));
}

/// `f16 d, f16 m, qh[4], qs[16]`: `d * q + m`.
fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (f16_at(block, 0), f16_at(block, 2));
    five_bits(&block[4..8], &block[8..], |i, q| out[i] = d * q + m);
}

/// `f16 d, i8 qs[32]`: `d * q`.
fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = f16_at(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = d * f32::from(q.cast_signed());
    }
}

/// `scales[16], qs[64], f16 d, f16 dmin`; 16 sub-blocks of 16: `d * scale * q - dmin * min`, scale in the low and min
/// in the high nibble. Sub-blocks 8h + 2j and 8h + 2j + 1 are bits 2j, 2j + 1 of `qs[32h..32h + 32]`.
fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, qs) = (&block[..16], &block[16..80]);
    let (d, dmin) = (f16_at(block, 80), f16_at(block, 82));
    for (sub_block, out) in out.chunks_exact_mut(16).enumerate() {
        let (scale, min) = (d * f32::from(scales[sub_block] & 15), dmin * f32::from(scales[sub_block] >> 4));
        let start = sub_block / 8 * 32 + sub_block % 2 * 16;
        let shift = sub_block % 8 / 2 * 2;
        for (out, &q) in out.iter_mut().zip(&qs[start..]) {
            *out = scale * f32::from(q >> shift & 3) - min;
        }
    }
}

/// The 16 six-bit scales of a Q3_K block from their 12 bytes: low nibbles in bytes 0..8, top two bits in bytes 8..12.
pub(super) fn q3_k_scale(packed: &[u8], sub_block: usize) -> i32 {
    let low = packed[sub_block % 8] >> (sub_block / 8 * 4) & 15;
    let high = packed[8 + sub_block % 4] >> (sub_block / 4 * 2) & 3;
    i32::from(low | high << 4) - 32
}

/// `hmask[32], qs[64], scales[12], f16 d`; 16 sub-blocks of 16, order as in Q2_K: `d * scale * (q - 4)`, where bit
/// `sub_block / 2` of `hmask` is the third bit of q.
fn q3_k(block: &[u8], out: &mut [f32]) {
    let (hmask, qs, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let d = f16_at(block, 108);
    for (sub_block, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * q3_k_scale(scales, sub_block) as f32;
        let column = sub_block % 2 * 16;
        let low = &qs[sub_block / 8 * 32 + column..];
        let shift = sub_block % 8 / 2 * 2;
        for ((out, &q), &h) in out.iter_mut().zip(low).zip(&hmask[column..]) {
            let high = h >> (sub_block / 2) & 1;
            *out = scale * (f32::from(q >> shift & 3 | high << 2) - 4.0);
        }
    }
}

/// The six-bit scale and min of one of the 8 sub-blocks of Q4_K and Q5_K, from their 12 bytes.
pub(super) fn k_scale_min(packed: &[u8], sub_block: usize) -> (u8, u8) {
    if sub_block < 4 {
        (packed[sub_block] & 63, packed[sub_block + 4] & 63)
    } else {
        let low = packed[sub_block + 4];
        (low & 15 | packed[sub_block - 4] >> 6 << 4, low >> 4 | packed[sub_block] >> 6 << 4)
    }
}

/// `f16 d, f16 dmin, scales[12], qs[128]`; 8 sub-blocks of 32: `d * scale * q - dmin * min`. Sub-blocks 2j and 2j + 1
/// are the low and high nibbles of `qs[32j..32j + 32]`.
fn q4_k(block: &[u8], out: &mut [f32]) {
    k_nibbles(block, &[0; 32], &block[16..], out);
}

/// `f16 d, f16 dmin, scales[12], qh[32], qs[128]`: as Q4_K, bit s of `qh` being the fifth bit of sub-block s.
fn q5_k(block: &[u8], out: &mut [f32]) {
    k_nibbles(block, &block[16..48], &block[48..], out);
}

fn k_nibbles(block: &[u8], qh: &[u8], qs: &[u8], out: &mut [f32]) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    for (sub_block, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, min) = k_scale_min(&block[4..16], sub_block);
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        let shift = sub_block % 2 * 4;
        for ((out, &q), &h) in out.iter_mut().zip(&qs[sub_block / 2 * 32..]).zip(qh) {
            let q = q >> shift & 15 | (h >> sub_block & 1) << 4;
            *out = scale * f32::from(q) - min;
        }
    }
}

/// `ql[128], qh[64], i8 scales[16], f16 d`; 16 sub-blocks of 16: `d * scale * (q - 32)`. Value 32w + i of half h has its
/// low nibble in `ql[64h + 32(w % 2) + i]` (low if w < 2), its high bits at 2w of `qh[32h + i]`.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let (ql, qh, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = f16_at(block, 208);
    for (sub_block, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = d * f32::from(scales[sub_block].cast_signed());
        let (half, quarter, column) = (sub_block / 8, sub_block % 8 / 2, sub_block % 2 * 16);
        let low = &ql[64 * half + 32 * (quarter % 2) + column..];
        let high = &qh[32 * half + column..];
        for ((out, &low), &high) in out.iter_mut().zip(low).zip(high) {
            let q = low >> (quarter / 2 * 4) & 15 | (high >> (2 * quarter) & 3) << 4;
            *out = scale * (f32::from(q) - 32.0);
        }
    }
}

/// `f32 d, i8 qs[256], i16 sums[16]`: `d * q`.
fn q8_k(block: &[u8], out: &mut [f32]) {
    let d = f32_at(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[4..260]) {
        *out = d * f32::from(q.cast_signed());
    }
}

/// What the nibbles of IQ4_NL and IQ4_XS stand for: closer together near zero, where most weights are.
pub(super) const IQ4_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// `f16 d, qs[16]`: `d * IQ4_VALUES[q]`.
fn iq4_nl(block: &[u8], out: &mut [f32]) {
    iq4_values(f16_at(block, 0), &block[2..], out);
}

/// `f16 d, u16 high, low[4], qs[128]`; 8 sub-blocks of 32: `d * (scale - 32) * IQ4_VALUES[q]`. Of a six-bit scale the low
/// four bits are nibbles of `low`, the others bits 2 s and 2 s + 1 of `high`.
fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let (d, high, low) = (f16_at(block, 0), u16::from_le_bytes([block[2], block[3]]), &block[4..8]);
    let sub_blocks = block[8..].chunks_exact(16).zip(out.chunks_exact_mut(32));
    for (sub_block, (qs, out)) in sub_blocks.enumerate() {
        let low = low[sub_block / 2] >> (sub_block % 2 * 4) & 15;
        let scale = i32::from(low) | i32::from(high >> (2 * sub_block) & 3) << 4;
        iq4_values(d * (scale - 32) as f32, qs, out);
    }
}

/// 32 values of `qs[16]`, in the order of the other 32-value types.
fn iq4_values(d: f32, qs: &[u8], out: &mut [f32]) {
    for (i, &q) in qs.iter().enumerate() {
        out[i] = d * f32::from(IQ4_VALUES[usize::from(q & 15)]);
        out[i + 16] = d * f32::from(IQ4_VALUES[usize::from(q >> 4)]);
    }
}
