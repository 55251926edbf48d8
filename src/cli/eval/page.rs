//! A report as one HTML page: the figures, then every hole with the removed code and what was shown.

use super::compare::Difference;
use super::outcome::Outcome;
use super::summary::Summary;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #8884}\
td:first-child,th:first-child{text-align:left}pre{background:#8881;padding:.6rem;overflow-x:auto;margin:.3rem 0}\
article{margin:1.2rem 0}.exact{border-left:4px solid #2a2}.name{border-left:4px solid #c90}.wrong{border-left:4px solid #c33}\
.none{border-left:4px solid #888}article{padding-left:.8rem}b.expected{color:#2a2}b.written{color:#c33}small{opacity:.7}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}";

/// The page. `differences` are those to another run, if there is one.
pub(super) fn page(title: &str, summaries: &[Summary], differences: &[Difference], outcomes: &[Outcome]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head>\n\
         <body><h1>{0}</h1>\n",
        escaped(title)
    );
    html.push_str(&summary_table(summaries));
    if !differences.is_empty() {
        html.push_str(&difference_table(differences));
    }
    html.push_str(
        "<h2>Holes</h2>\n<p>Green: as it was. Yellow: the first name is right. Red: wrong. Grey: nothing shown.</p>\n",
    );
    outcomes.iter().for_each(|outcome| html.push_str(&article(outcome)));
    html + "</body></html>\n"
}

fn summary_table(summaries: &[Summary]) -> String {
    let head = ["", "holes", "exact", "first name", "similarity", "shown", "precision", "parses", "prompt tokens"];
    let rows = summaries.iter().map(|row| {
        let shares = [row.exact, row.first_name, row.similarity, row.shown, row.precision, row.parses];
        let mut cells = vec![escaped(&row.group), row.holes.to_string()];
        cells.extend(shares.map(|share| format!("{share:.3}")));
        cells.push(format!("{:.0}", row.prompt_tokens));
        cells.push(format!("{:.0}", row.latency_ms_p50));
        cells.push(format!("{:.0}", row.latency_ms_p95));
        cells
    });
    table(head.into_iter().chain(["latency p50, ms", "p95, ms"]), rows)
}

fn difference_table(differences: &[Difference]) -> String {
    let rows = differences.iter().map(|row| {
        let places = if row.before.abs().max(row.after.abs()) >= 10.0 { 0 } else { 3 };
        let number = |value: f64| format!("{value:.places$}");
        vec![
            escaped(&format!("{}: {}", row.group, row.figure)),
            row.holes.to_string(),
            number(row.before),
            number(row.after),
            format!("{:+.places$}", row.after - row.before),
            format!("{:+.places$} to {:+.places$}", row.low, row.high),
            if row.may_be_noise() { "may be noise" } else { "" }.to_owned(),
        ]
    });
    let head = ["", "holes", "before", "after", "difference", "95 of 100 draws", ""];
    format!("<h2>Compared</h2>\n{}", table(head.into_iter(), rows))
}

fn table<'a>(head: impl Iterator<Item = &'a str>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = head.map(|cell| format!("<th>{cell}</th>")).collect();
    let row = |cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    format!("<table><tr>{head}</tr>\n{}</table>\n", rows.map(row).collect::<String>())
}

/// One hole: its place, the code before it, the removed code and what was shown.
fn article(outcome: &Outcome) -> String {
    let class = match outcome {
        Outcome { shown: false, .. } => "none",
        Outcome { exact: true, .. } => "exact",
        Outcome { first_name: true, .. } => "name",
        _ => "wrong",
    };
    let place = format!("{}: {}:{}:{}", outcome.project, outcome.file, outcome.line, outcome.column);
    let written = match class {
        "exact" | "none" => String::new(),
        _ => format!("<pre>{}<b class=\"written\">{}</b></pre>\n", last_line(outcome), escaped(&outcome.written)),
    };
    format!(
        "<article class=\"{class}\"><small>{}, {}, {:.0} ms</small>\n<pre>{}<b class=\"expected\">{}</b></pre>\n{written}\
         </article>\n",
        escaped(&place),
        outcome.kind,
        outcome.latency_ms,
        escaped(&outcome.before),
        escaped(&outcome.expected),
    )
}

/// The text before the hole on its line.
fn last_line(outcome: &Outcome) -> String {
    escaped(outcome.before.rsplit('\n').next().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::hole::Kind;
    use super::super::summary::summaries;
    use super::super::summary::tests::outcome;
    use super::*;

    #[test]
    fn code_is_text_on_the_page() {
        let mut wrong = outcome(1, Kind::Rest, true, false);
        (wrong.expected, wrong.written) = ("<script>".to_owned(), "a && b".to_owned());
        let outcomes = [wrong, outcome(2, Kind::Rest, true, true)];
        let html = page("a < b", &summaries(&outcomes), &compare(&outcomes, &outcomes), &outcomes);
        assert!(html.contains("<h1>a &lt; b</h1>") && html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("a &amp;&amp; b") && !html.contains("<script>"), "{html}");
        assert_eq!(html.matches("<article class=\"exact\">").count(), 1);
        assert_eq!(html.matches("<article class=\"wrong\">").count(), 1);
    }
}
