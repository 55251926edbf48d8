//! The keys and values of one sequence: pages that sequences share, that grow as needed and can be truncated; or
//! tensors on a device, which share their memory in the same way. The pages of all sequences of a model come from its
//! [`KvStore`].

use std::sync::Arc;

use candle_core::Tensor;

use super::RopeFactors;
use crate::kernels::attention::{KvShape, PAGE_LEN};
use crate::kernels::page_pool::{Page, PagePool};

/// What all sequences of one model share: the shape of their keys and values, and the memory these are in.
#[derive(Clone)]
pub struct KvStore {
    shape: KvShape,
    num_layers: usize,
    pool: PagePool,
}

impl KvStore {
    /// A store that holds no memory yet.
    pub fn new(shape: KvShape, num_layers: usize) -> Self {
        Self { shape, num_layers, pool: PagePool::new(num_layers * shape.page_layer_bytes()) }
    }

    /// The cache of a new sequence.
    pub fn new_cache(&self, factors: RopeFactors) -> KvCache {
        KvCache { store: self.clone(), factors, tokens: Vec::new(), kind: Kind::Pages(Vec::new()) }
    }

    /// The cache of a new sequence whose keys and values are tensors of a device.
    pub(super) fn new_device_cache(&self, factors: RopeFactors) -> KvCache {
        KvCache { kind: Kind::Device(DeviceKv::default()), ..self.new_cache(factors) }
    }
}

/// The cache of one sequence. It knows which tokens it holds, so a prefix can be compared.
#[derive(Clone)]
pub struct KvCache {
    store: KvStore,
    factors: RopeFactors,
    tokens: Vec<u32>,
    kind: Kind,
}

/// Where the keys and values are.
#[derive(Clone)]
enum Kind {
    /// Those of `PAGE_LEN` positions each: layer after layer, each `KvShape::page_layer_bytes` long.
    Pages(Vec<Arc<Page>>),
    /// With a model on a device.
    Device(DeviceKv),
}

/// Keys and values on a device. Appending makes new tensors, so that a sequence's fork keeps the ones it has.
#[derive(Clone, Default)]
pub(super) struct DeviceKv {
    /// Positions that count; the tensors may hold more.
    len: usize,
    /// Keys and values `(num_kv_heads, positions, head_dim)` of each layer.
    layers: Vec<(Tensor, Tensor)>,
}

impl DeviceKv {
    /// Adds those of new positions, `(num_kv_heads, rows, head_dim)` each; returns all of the layer.
    pub(super) fn append(
        &mut self,
        layer_idx: usize,
        key: &Tensor,
        value: &Tensor,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let all = match self.layers.get(layer_idx) {
            Some((keys, values)) if self.len > 0 => (
                Tensor::cat(&[&keys.narrow(1, 0, self.len)?, key], 1)?,
                Tensor::cat(&[&values.narrow(1, 0, self.len)?, value], 1)?,
            ),
            _ => (key.contiguous()?, value.contiguous()?),
        };
        match self.layers.get_mut(layer_idx) {
            Some(layer) => *layer = all.clone(),
            None => self.layers.push(all.clone()),
        }
        Ok(all)
    }
}

impl KvCache {
    /// Keys and values on the device. The model that uses this has made the cache.
    pub(super) fn device_kv(&self) -> &DeviceKv {
        match &self.kind {
            Kind::Device(kv) => kv,
            Kind::Pages(_) => unreachable!("`check_sequence` refuses caches of another kind"),
        }
    }

    pub(super) fn set_device_kv(&mut self, kv: DeviceKv) {
        self.kind = Kind::Device(kv);
    }

    /// Whether `other` is one a model could use in place of this.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.store.shape == other.store.shape
            && self.store.num_layers == other.store.num_layers
            && std::mem::discriminant(&self.kind) == std::mem::discriminant(&other.kind)
    }

    pub fn shape(&self) -> &KvShape {
        &self.store.shape
    }

    pub fn num_layers(&self) -> usize {
        self.store.num_layers
    }

    pub fn factors(&self) -> RopeFactors {
        self.factors
    }

    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Empty where the model is on a device.
    pub fn pages(&self) -> &[Arc<Page>] {
        match &self.kind {
            Kind::Pages(pages) => pages,
            Kind::Device(_) => &[],
        }
    }

    /// Where the pages of this and all other sequences of the model come from; `None` on a device.
    pub fn pool(&self) -> Option<&PagePool> {
        matches!(self.kind, Kind::Pages(_)).then_some(&self.store.pool)
    }

    /// Bytes of one page.
    pub fn page_bytes(&self) -> usize {
        self.store.num_layers * self.store.shape.page_layer_bytes()
    }

    /// Bytes of all positions in whole pages, those shared with other sequences included.
    pub fn bytes(&self) -> usize {
        self.tokens.len().div_ceil(PAGE_LEN).max(self.pages().len()) * self.page_bytes()
    }

    /// Drops every position from `len` on; whole pages are given back.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        match &mut self.kind {
            Kind::Pages(pages) => pages.truncate(self.tokens.len().div_ceil(PAGE_LEN)),
            Kind::Device(kv) => kv.len = self.tokens.len(),
        }
    }

    /// A second sequence that starts as this one; pages are shared until one of the two writes to them.
    pub fn fork(&self) -> Self {
        self.clone()
    }

    /// How many leading tokens this cache and `tokens` have in common.
    pub fn common_prefix_len(&self, tokens: &[u32]) -> usize {
        self.tokens.iter().zip(tokens).take_while(|(cached, wanted)| cached == wanted).count()
    }

    /// Makes room for `additional` positions: a last page that is shared is copied, missing ones are added. The
    /// positions count only once [`KvCache::commit`] names their tokens, so a pass that fails in between leaves the
    /// sequence as it was.
    pub fn reserve(&mut self, additional: usize) {
        let (len, pool) = (self.tokens.len(), &self.store.pool);
        let Kind::Pages(pages) = &mut self.kind else { return };
        pages.truncate(len.div_ceil(PAGE_LEN));
        if !len.is_multiple_of(PAGE_LEN)
            && additional > 0
            && let Some(last) = pages.last_mut()
        {
            Arc::make_mut(last);
        }
        pages.resize_with((len + additional).div_ceil(PAGE_LEN), || Arc::new(pool.page()));
    }

    /// Adds a page whose keys and values `fill` writes: those of `tokens`, which follow whole pages. Where it fails, the sequence is
    /// as it was; on a device nothing is added.
    pub fn append_page<E>(&mut self, tokens: &[u32], fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let full_pages = self.tokens.len() / PAGE_LEN;
        debug_assert!(
            self.tokens.len().is_multiple_of(PAGE_LEN) && tokens.len() <= PAGE_LEN,
            "a page follows whole ones"
        );
        let Kind::Pages(pages) = &mut self.kind else { return Ok(()) };
        let mut page = self.store.pool.page();
        fill(page.as_mut_slice())?;
        pages.truncate(full_pages);
        pages.push(Arc::new(page));
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// One layer's bytes of the pages from that of `position` on, to be written to.
    ///
    /// # Panics
    /// If one of them is not of those that [`KvCache::reserve`] made room in.
    pub fn layer_pages_mut(&mut self, layer_idx: usize, position: usize) -> impl Iterator<Item = &mut [u8]> {
        let layer = layer_range(&self.store.shape, layer_idx);
        let pages = match &mut self.kind {
            Kind::Pages(pages) => pages.as_mut_slice(),
            Kind::Device(_) => &mut [],
        };
        pages[position / PAGE_LEN..].iter_mut().map(move |page| {
            let page = Arc::get_mut(page).expect("a reserved page has one owner");
            &mut page.as_mut_slice()[layer.clone()]
        })
    }

    /// One layer's bytes of every page, in order.
    pub fn layer_pages(&self, layer_idx: usize) -> impl Iterator<Item = &[u8]> {
        let layer = layer_range(&self.store.shape, layer_idx);
        self.pages().iter().map(move |page| &page.as_slice()[layer.clone()])
    }

    /// Declares the positions written after a [`KvCache::reserve`] of as many to be those of `tokens`.
    pub fn commit(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        match &mut self.kind {
            Kind::Device(kv) => kv.len = self.tokens.len(),
            Kind::Pages(pages) => {
                let reserved = pages.len() * PAGE_LEN;
                debug_assert!(reserved >= self.tokens.len(), "more tokens than reserved positions");
            }
        }
    }
}

fn layer_range(shape: &KvShape, layer_idx: usize) -> std::ops::Range<usize> {
    let bytes = shape.page_layer_bytes();
    layer_idx * bytes..(layer_idx + 1) * bytes
}
