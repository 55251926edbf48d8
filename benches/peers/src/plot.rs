//! The plot of the tables: how many times as good as llama.cpp phi-ls is in each row, with one panel per model. A mark
//! shows ik_llama.cpp.

use std::fmt::Write as _;

use crate::table::{ModelTable, Row, Unit};

const WIDTH: f64 = 900.0;
const ROW_HEIGHT: f64 = 22.0;
/// The x coordinate at which bars begin, and the length of a bar of ratio 1.
const BARS_AT: f64 = 210.0;
const ONE: f64 = 110.0;
/// Bars of a larger ratio are cut off, and show the ratio.
const MAX_RATIO: f64 = 3.4;

pub fn svg(tables: &[ModelTable]) -> String {
    let panels: Vec<Vec<Row>> =
        tables.iter().map(|table| table.rows().filter(|row| row.unit != Unit::Mib).collect()).collect();
    let height: f64 = panels.iter().map(|rows| 58.0 + rows.len() as f64 * ROW_HEIGHT).sum::<f64>() + 10.0;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' font-family='sans-serif' \
         font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n"
    );
    let mut top = 0.0;
    for (table, rows) in tables.iter().zip(&panels) {
        top += 24.0;
        let _ = writeln!(svg, "<text x='10' y='{top}' font-size='14' font-weight='bold'>{}</text>", table.model);
        let line = BARS_AT + ONE;
        let bottom = top + 22.0 + rows.len() as f64 * ROW_HEIGHT;
        let _ = writeln!(svg, "<text x='{line}' y='{}' text-anchor='middle' fill='#666'>llama.cpp</text>", top + 16.0);
        if table.ik_loads() {
            let _ = writeln!(svg, "{}", mark(line + 60.0, top + 4.0));
            let _ = writeln!(svg, "<text x='{}' y='{}' fill='#666'>ik_llama.cpp</text>", line + 70.0, top + 16.0);
        }
        top += 22.0;
        for row in rows {
            bar(&mut svg, row, top);
            top += ROW_HEIGHT;
        }
        let _ = writeln!(
            svg,
            "<line x1='{line}' x2='{line}' y1='{}' y2='{bottom}' stroke='#666' stroke-dasharray='3 3'/>",
            bottom - rows.len() as f64 * ROW_HEIGHT
        );
        top += 12.0;
    }
    svg.push_str("</svg>\n");
    svg
}

/// A bar, which has another colour if a peer is ahead.
fn bar(svg: &mut String, row: &Row, top: f64) {
    let ratio = row.unit.times_as_good(row.phi_ls, row.llama);
    let ik_ratio = row.ik.map(|ik| row.unit.times_as_good(ik, row.llama));
    let length = ratio.min(MAX_RATIO) * ONE;
    let color = if ratio >= ik_ratio.unwrap_or(1.0).max(1.0) { "#2f7ed8" } else { "#c96a3d" };
    let (text_y, llama, phi_ls) = (top + 15.0, row.unit.show(row.llama), row.unit.show(row.phi_ls));
    let ik = row.ik.map_or_else(String::new, |ik| format!(" and {}", row.unit.show(ik)));
    let ik_at = ik_ratio.map(|ratio| ratio.min(MAX_RATIO) * ONE);
    let _ = writeln!(svg, "<text x='{}' y='{text_y}' text-anchor='end'>{}</text>", BARS_AT - 8.0, row.name);
    let _ = writeln!(
        svg,
        "<rect x='{BARS_AT}' y='{}' width='{length:.1}' height='{}' fill='{color}'/>",
        top + 3.0,
        ROW_HEIGHT - 6.0
    );
    if let Some(at) = ik_at {
        let _ = writeln!(svg, "{}", mark(BARS_AT + at, top + 3.0));
    }
    let _ = writeln!(
        svg,
        "<text x='{:.1}' y='{text_y}'>{ratio:.2}x <tspan fill='#666'>({phi_ls} to {llama}{ik})</tspan></text>",
        BARS_AT + length.max(ik_at.unwrap_or(0.0)) + 8.0,
    );
}

/// The mark of ik_llama.cpp, as high as a bar.
fn mark(x: f64, y: f64) -> String {
    format!("<rect x='{:.1}' y='{y}' width='4' height='{}' fill='#333'/>", x - 2.0, ROW_HEIGHT - 6.0)
}
