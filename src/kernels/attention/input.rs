//! The input of attention.

/// One sequence's rows for `attend`.
pub struct AttentionInput<'a> {
    /// One layer's page bytes, in order; they hold `past_len + rows` positions.
    pub pages: &'a [&'a [u8]],
    /// Positions before the first row.
    pub past_len: usize,
    /// Query rows of this sequence. Row `r` sees positions up to its own, `past_len + r`, and at most `window` of them.
    pub rows: usize,
    /// How many positions a row sees at most; `usize::MAX` if it sees all up to its own.
    pub window: usize,
}

impl AttentionInput<'_> {
    /// The positions that row `row` sees.
    pub(super) fn visible(&self, row: usize) -> std::ops::Range<usize> {
        let end = self.past_len + row + 1;
        end.saturating_sub(self.window)..end
    }
}
