//! Inline completions: where they are offered, what is shown, and when.

mod cold_places;
mod growth;
mod inline_completion;
mod places;
mod popup;
mod shaping;
mod unasked;
