//! Kernels for aarch64 with NEON and the dot product instructions: a vector holds a dword of 4 rows, and one instruction
//! multiplies it with a dword of an activation row into 32-bit sums. Unsafe to call without these instruction sets.
//!
//! Where the standard library has no stable function for an instruction, it is written as assembly. Products are not
//! marked as pure, so that the compiler keeps them in program order. It would otherwise load everything first and run
//! out of registers.

#![allow(clippy::needless_range_loop, reason = "loops over registers index several arrays at once")]

pub(super) mod floats;
pub(super) mod k_quants;
pub(super) mod legacy_quants;

use std::arch::aarch64::*;
use std::arch::asm;

use super::formats::with_format;
use super::kernel::GroupKernel;
use crate::lanes::neon as lanes;
use crate::quant::QuantType;

/// The kernel of an interleaved or float type.
pub(super) fn group_kernel(quant: QuantType) -> GroupKernel {
    with_format!(quant,
        float F => floats::group::<F>,
        legacy F => legacy_quants::group::<F>,
        k_quant F => k_quants::group::<F>
    )
}

/// Adds to each lane of `sums` the products of that dword of `weights` with dword C of activation row I, byte by byte.
/// `activations` is the vector of 4 dwords which has it, of the dwords `[C][A]`.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot<const A: usize, const C: usize, const I: usize>(
    sums: int32x4_t,
    weights: int8x16_t,
    activations: int8x16_t,
) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: registers only; the processor has the instruction.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {activations:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            activations = in(vreg) activations,
            lane = const (C * A + I) % 4,
            options(nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Sums for `A` activation rows with `G` vectors of 4 rows.
pub(super) type Sums<const A: usize, const G: usize> = [[int32x4_t; G]; A];

/// Adds the products of 4 dwords of `A` activation rows, at `$quants`, with those of `4 * G` rows to `$sums`, a
/// `Sums<A, G>`. `$weights` is dword `$chunk` (a constant) of rows `4 g..4 g + 4` of them.
macro_rules! multiply_add {
    ($sums:ident, $quants:expr, |$chunk:ident, $g:ident| $weights:expr) => {{
        let quants: *const i8 = $quants;
        let mut activations = [vdupq_n_s8(0); A];
        for i in 0..A {
            activations[i] = vld1q_s8(quants.add(16 * i));
        }
        for_four!($chunk => {
            let mut weights = [vdupq_n_s8(0); G];
            for $g in 0..G {
                weights[$g] = $weights;
            }
            for_four!(I => {
                if I < A {
                    let activations = activations[($chunk * A + I) / 4];
                    for g in 0..G {
                        $sums[I][g] = dot::<A, $chunk, I>($sums[I][g], weights[g], activations);
                    }
                }
            });
        });
    }};
}
use multiply_add;

#[target_feature(enable = "neon")]
#[inline]
unsafe fn load(at: *const u8) -> uint8x16_t {
    // SAFETY: the caller passes 16 readable bytes.
    unsafe { vld1q_u8(at) }
}

/// Returns the same pointer, but hides that from the compiler. Each sub-block then loads what it shares with others
/// again. The compiler would otherwise keep it for the later ones, run out of registers, and spill it to the stack.
#[inline]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read")]
pub(super) fn opaque(mut at: *const u8) -> *const u8 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) at, options(nomem, nostack, preserves_flags)) };
    at
}

/// Nibbles, high if `high`.
#[target_feature(enable = "neon")]
#[inline]
fn nibbles(bytes: uint8x16_t, high: bool) -> uint8x16_t {
    if high { vshrq_n_u8::<4>(bytes) } else { vandq_u8(bytes, vdupq_n_u8(15)) }
}

/// Sixteen f16, as four vectors of f32.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn load_halves(at: *const u8) -> [float32x4_t; 4] {
    // SAFETY: the caller passes 32 readable bytes.
    unsafe { [lanes::halves(at), lanes::halves(at.add(8)), lanes::halves(at.add(16)), lanes::halves(at.add(24))] }
}
