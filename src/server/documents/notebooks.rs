//! Notebooks: which documents are the cells of one, and in which order. The cells' texts are documents like any other.

use std::collections::HashMap;

use tower_lsp_server::gen_lsp_types as lsp;

use crate::server::event::NotebookEvent;

/// The cells of each open notebook, in order.
#[derive(Debug, Default)]
pub(super) struct Notebooks {
    cells: HashMap<lsp::Uri, Vec<lsp::Uri>>,
}

impl Notebooks {
    pub(super) fn apply(&mut self, event: NotebookEvent) {
        match event {
            NotebookEvent::Open(notebook) => {
                let cells = notebook.cells.into_iter().map(|cell| cell.document).collect();
                self.cells.insert(notebook.uri, cells);
            }
            NotebookEvent::Rearrange { notebook, change } => {
                let Some(cells) = self.cells.get_mut(&notebook) else {
                    return tracing::debug!(uri = notebook.0, "change of a notebook that is not open");
                };
                // A client with wrong numbers must not end the session.
                let start = (change.start as usize).min(cells.len());
                let end = start.saturating_add(change.delete_count as usize).min(cells.len());
                cells.splice(start..end, change.cells.into_iter().flatten().map(|cell| cell.document));
            }
            NotebookEvent::Close(notebook) => drop(self.cells.remove(&notebook)),
        }
    }

    /// The other cells of the notebook that `cell` is in: those before it and those after it.
    pub(super) fn around(&self, cell: &lsp::Uri) -> Option<(&[lsp::Uri], &[lsp::Uri])> {
        self.cells.values().find_map(|cells| {
            let index = cells.iter().position(|uri| uri == cell)?;
            Some((&cells[..index], &cells[index + 1..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(name: &str) -> lsp::NotebookCell {
        lsp::NotebookCell::new(lsp::NotebookCellKind::Code, name.into(), None, None)
    }

    fn notebooks(cells: &str) -> Notebooks {
        let cells = cells.split(' ').map(cell).collect();
        let mut notebooks = Notebooks::default();
        notebooks.apply(NotebookEvent::Open(lsp::NotebookDocument::new(
            "n".into(),
            "jupyter".to_owned(),
            1,
            None,
            cells,
        )));
        notebooks
    }

    /// Checks the cells `a b c` after `added` replaced `delete_count` of them at `start`.
    fn check(start: u32, delete_count: u32, added: &[&str], expected: &str) {
        let mut notebooks = notebooks("a b c");
        let cells = (!added.is_empty()).then(|| added.iter().map(|name| cell(name)).collect());
        let change = lsp::NotebookCellArrayChange { start, delete_count, cells };
        notebooks.apply(NotebookEvent::Rearrange { notebook: "n".into(), change });
        let names: Vec<_> = notebooks.cells[&"n".into()].iter().map(|uri| uri.0.as_str()).collect();
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn cells_come_go_and_change_places() {
        check(1, 0, &["d", "e"], "a d e b c");
        check(0, 1, &[], "b c");
        check(0, 3, &["c", "a", "b"], "c a b");
        check(3, 0, &["d"], "a b c d");
        check(9, 9, &["d"], "a b c d");
    }

    #[test]
    fn a_cell_has_its_place_among_the_others() {
        let notebooks = notebooks("a b c");
        let around = |name: &str| notebooks.around(&name.into()).map(|(before, after)| (before.len(), after.len()));
        assert_eq!(["a", "b", "c", "d"].map(around), [Some((0, 2)), Some((1, 1)), Some((2, 0)), None]);
    }
}
