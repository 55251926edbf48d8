//! The keys and values of one sequence: pages shared between sequences, grown as used, cut back at will.

use std::sync::Arc;

use super::RopeFactors;
use crate::kernels::attention::{KvShape, PAGE_LEN};

/// Keys and values of `PAGE_LEN` positions of every layer.
#[derive(Clone)]
pub struct KvPage {
    /// Layer after layer, each `KvShape::page_layer_bytes` long.
    pub bytes: Vec<u8>,
}

/// The cache of one sequence. It knows which tokens it holds, so a prefix can be compared.
#[derive(Clone)]
pub struct KvCache {
    shape: KvShape,
    num_layers: usize,
    factors: RopeFactors,
    tokens: Vec<u32>,
    pages: Vec<Arc<KvPage>>,
}

impl KvCache {
    pub fn new(shape: KvShape, num_layers: usize, factors: RopeFactors) -> Self {
        Self { shape, num_layers, factors, tokens: Vec::new(), pages: Vec::new() }
    }

    pub fn shape(&self) -> &KvShape {
        &self.shape
    }

    pub fn num_layers(&self) -> usize {
        self.num_layers
    }

    pub fn factors(&self) -> RopeFactors {
        self.factors
    }

    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn pages(&self) -> &[Arc<KvPage>] {
        &self.pages
    }

    /// Drops every position from `len` on; whole pages are given back.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.pages.truncate(self.tokens.len().div_ceil(PAGE_LEN));
    }

    /// A second sequence that starts as this one; pages are shared until one of the two writes to them.
    pub fn fork(&self) -> Self {
        self.clone()
    }

    /// How many leading tokens this cache and `tokens` have in common.
    pub fn common_prefix_len(&self, tokens: &[u32]) -> usize {
        self.tokens.iter().zip(tokens).take_while(|(cached, wanted)| cached == wanted).count()
    }
}
