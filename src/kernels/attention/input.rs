//! What attention is asked for.

/// One sequence's rows for `attend`.
pub struct AttentionInput<'a> {
    /// One layer's page bytes, in order; they hold `past_len + rows` positions.
    pub pages: &'a [&'a [u8]],
    /// Positions before the first row.
    pub past_len: usize,
    /// Rows of queries this sequence has; row `r` sees positions `0..=past_len + r`.
    pub rows: usize,
}
