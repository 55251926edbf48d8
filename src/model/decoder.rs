//! The decoder: embedding, layers of attention and gated MLP, final norm, output projection.
