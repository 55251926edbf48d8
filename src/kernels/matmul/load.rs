//! Reads and packs many matrices in one go. Each thread reads a stretch of rows into its cache and packs it from there,
//! so that the file's bytes do not take up memory.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::layout;
use super::packed::{Kernel, PackedMatrix};
use super::shape::ROWS;
use crate::buffer::AlignedBytes;
use crate::disjoint::DisjointSlice;
use crate::level::Level;
use crate::pool::ThreadPool;
use crate::quant::QuantType;

/// Fills a buffer with the native bytes of a matrix from an offset on.
pub type ReadAt<'a> = dyn Fn(usize, &mut [u8]) -> io::Result<()> + Send + Sync + 'a;

/// A matrix that is yet to be packed: `rows` rows of `cols` values in `quant` blocks.
pub struct Source<'a> {
    pub quant: QuantType,
    pub rows: usize,
    pub cols: usize,
    pub read: Box<ReadAt<'a>>,
}

/// Matrices are packed in batches of about this size, so that many small ones share one parallel region, and progress
/// is reported after each batch.
const BATCH_BYTES: usize = (96 << 20) / SMALLER;
/// Bytes that one task packs: several huge pages, since two threads that touch the same new huge page would both clear
/// it.
const STRETCH_BYTES: usize = (4 << 20) / SMALLER;
/// Bytes that a thread reads at once, or a whole group of rows: half of a second-level cache or less.
const READ_BYTES: usize = (256 << 10) / SMALLER;
/// Lets the tests cross every limit with matrices of some KiB.
const SMALLER: usize = if cfg!(test) { 256 } else { 1 };

/// A run of row groups of one matrix.
struct Stretch {
    matrix: usize,
    groups: Range<usize>,
}

impl Source<'_> {
    fn row_bytes(&self) -> usize {
        self.cols / self.quant.block_len() * self.quant.block_bytes()
    }

    fn bytes(&self) -> usize {
        self.rows * self.row_bytes()
    }

    fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Packs `groups` into `packed`.
    fn pack(&self, kernel: Kernel, groups: Range<usize>, packed: &mut [u8]) -> io::Result<()> {
        thread_local! {
            static NATIVE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let group_bytes = layout::group_bytes(self.quant, self.cols);
        let native = groups.start * group_bytes..self.bytes().min(groups.end * group_bytes);
        if kernel.has_native_rows() {
            return (self.read)(native.start, &mut packed[..native.len()]);
        }
        NATIVE.with_borrow_mut(|buffer| {
            let step = (READ_BYTES / group_bytes).max(1) * group_bytes;
            buffer.resize(step.max(buffer.len()), 0);
            for (start, packed) in native.clone().step_by(step).zip(packed.chunks_mut(step)) {
                let buffer = &mut buffer[..step.min(native.end - start)];
                (self.read)(start, buffer)?;
                layout::pack(Level::in_use(), self.quant, self.cols, buffer, packed);
            }
            Ok(())
        })
    }
}

impl PackedMatrix {
    /// Reads and packs all `sources`; `progress` is told after every batch how many of their bytes are done.
    ///
    /// # Errors
    /// Returns the first error of reading.
    ///
    /// # Panics
    /// If the columns of a source are not whole blocks.
    pub fn load_all(
        sources: &[Source<'_>],
        pool: &ThreadPool,
        progress: &mut dyn FnMut(usize),
    ) -> io::Result<Vec<Self>> {
        let mut packed = Vec::with_capacity(sources.len());
        let mut done = 0;
        while packed.len() < sources.len() {
            let rest = &sources[packed.len()..];
            let mut bytes = 0;
            let full = rest.iter().position(|source| {
                bytes += source.bytes();
                bytes >= BATCH_BYTES
            });
            let batch = &rest[..full.map_or(rest.len(), |last| last + 1)];
            packed.extend(load_batch(batch, pool)?);
            done += bytes;
            progress(done);
        }
        Ok(packed)
    }
}

/// Packs `sources` in one parallel region.
fn load_batch(sources: &[Source<'_>], pool: &ThreadPool) -> io::Result<Vec<PackedMatrix>> {
    let mut matrices: Vec<PackedMatrix> = sources.iter().map(empty).collect();
    let stretches: Vec<Stretch> =
        sources.iter().enumerate().flat_map(|(matrix, source)| stretches(matrix, source)).collect();
    let kernels: Vec<Kernel> = matrices.iter().map(|matrix| matrix.kernel).collect();
    let targets: Vec<_> = matrices.iter_mut().map(|matrix| DisjointSlice::new(matrix.bytes.as_mut_slice())).collect();
    let failure = Mutex::new(None);
    pool.run(stretches.len(), &|index| {
        let Stretch { matrix, groups } = &stretches[index];
        let source = &sources[*matrix];
        let group_bytes = layout::group_bytes(source.quant, source.cols);
        // SAFETY: each task has its own groups of its matrix.
        let packed = unsafe { targets[*matrix].slice(groups.start * group_bytes..groups.end * group_bytes) };
        if let Err(error) = source.pack(kernels[*matrix], groups.clone(), packed) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(matrices),
    }
}

fn empty(source: &Source<'_>) -> PackedMatrix {
    let Source { quant, rows, cols, .. } = *source;
    let kernel = Kernel::choose(quant, Level::in_use());
    assert!(cols.is_multiple_of(quant.block_len()), "{cols} columns are not whole blocks of {quant:?}");
    let bytes = AlignedBytes::zeroed(source.groups() * layout::group_bytes(quant, cols));
    PackedMatrix { quant, rows, cols, kernel, bytes }
}

fn stretches(matrix: usize, source: &Source<'_>) -> impl Iterator<Item = Stretch> {
    let groups = source.groups();
    let step = (STRETCH_BYTES / layout::group_bytes(source.quant, source.cols)).max(1);
    (0..groups).step_by(step).map(move |start| Stretch { matrix, groups: start..groups.min(start + step) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::dequantize;
    use crate::random::Random;

    /// With few rows and many, read at once and in several reads, with and without an interleaved layout.
    const MATRICES: [(QuantType, usize, usize); 6] = [
        (QuantType::Q4K, 5, 256),
        (QuantType::Q6K, 1000, 1024),
        (QuantType::F32, 37, 40),
        (QuantType::Q8_0, 333, 320),
        (QuantType::F16, 300, 500),
        (QuantType::Q5K, 48, 2048),
    ];

    fn native() -> Vec<Vec<u8>> {
        let random = &mut Random::new(5);
        MATRICES.iter().map(|&(quant, rows, cols)| random.blocks(quant, rows * cols, 1.0)).collect()
    }

    fn sources(native: &[Vec<u8>]) -> Vec<Source<'_>> {
        let source = |(&(quant, rows, cols), bytes): (&(QuantType, usize, usize), &'_ Vec<u8>)| {
            let bytes = bytes.clone();
            let read = move |start: usize, buffer: &mut [u8]| {
                let bytes = bytes.get(start..start + buffer.len()).ok_or_else(|| io::Error::other("beyond the end"))?;
                buffer.copy_from_slice(bytes);
                Ok(())
            };
            Source { quant, rows, cols, read: Box::new(read) }
        };
        MATRICES.iter().zip(native).map(source).collect()
    }

    #[test]
    fn every_matrix_holds_its_own_rows() {
        let native = native();
        let mut told = Vec::new();
        let matrices = PackedMatrix::load_all(&sources(&native), &ThreadPool::new(3), &mut |done| told.push(done));
        for ((matrix, &(quant, rows, cols)), bytes) in matrices.unwrap().iter().zip(&MATRICES).zip(&native) {
            assert_eq!((matrix.rows, matrix.cols), (rows, cols));
            let (mut expected, mut found) = (vec![0.0; rows * cols], vec![0.0; rows * cols]);
            dequantize(quant, bytes, &mut expected);
            found.chunks_exact_mut(cols).enumerate().for_each(|(row, out)| matrix.dequantize_row(row, out));
            assert!(found == expected, "{quant:?}");
        }
        assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
        assert_eq!(told.last(), Some(&native.iter().map(Vec::len).sum()));
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let mut native = native();
        native[3].pop();
        let error = PackedMatrix::load_all(&sources(&native), &ThreadPool::new(2), &mut |_| {}).err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("beyond the end"));
    }
}
