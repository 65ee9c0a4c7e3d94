//! What all pages share: one self-contained HTML file without scripts, its style, and tables.

use maud::{Markup, PreEscaped, html};

use super::plot::{Marker, colour, marker};

/// Style of every page.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:1152px;margin:24px auto;\
padding:0 16px}h1{font-size:28px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px}p{margin:6px 0}.facts,.note{color:#555}\
.note{font-size:14px}.headline{font-size:19px;border-left:5px solid #0072b2;padding:6px 14px;margin:16px 0;background:#f3f7fa}\
.partial{border-left:5px solid #d55e00;padding:4px 14px;background:#fdf3ec}.panels{display:flex;flex-wrap:wrap;gap:12px 16px}\
.wide{overflow-x:auto}svg{max-width:100%;height:auto;display:block}table{border-collapse:collapse;font-size:14px;\
font-variant-numeric:tabular-nums;margin:8px 0}th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid #ddd;\
vertical-align:top}th{font-weight:600}th:first-child,td:first-child,.text{text-align:left}.swatch{display:inline-block;\
width:11px;height:11px;margin-right:7px}.best{font-weight:700;background:#eaf3f9}summary{cursor:pointer;font-weight:600;\
margin:10px 0}pre{background:#f6f6f6;padding:12px;overflow-x:auto;font-size:13px}";

/// Style of matrices side by side, for the pages that have some.
pub(crate) const MATRICES: &str = ".maps{display:flex;flex-wrap:wrap;gap:16px 28px}.maps figure{margin:0}\
.maps img{image-rendering:pixelated;border:1px solid #ddd;margin-right:6px}figcaption{font-size:14px;color:#555}";

/// A page: its title, then blocks. `style` is added to the style that all pages have.
pub(crate) fn page(title: &str, style: &str, blocks: impl IntoIterator<Item = Markup>) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { "\n" h1 { (title) } "\n" (lines(blocks)) }
        }
        "\n"
    };
    page.into_string()
}

/// Joins markup, each part on a line of its own, so that a diff of stored pages can be read.
pub(crate) fn lines(parts: impl IntoIterator<Item = Markup>) -> Markup {
    PreEscaped(parts.into_iter().map(|part| part.0 + "\n").collect())
}

/// A table. `head` holds one row of headings or several.
pub(crate) fn table(head: Markup, rows: impl IntoIterator<Item = Markup>) -> Markup {
    html! { table { (lines(std::iter::once(head).chain(rows))) } }
}

/// A table that may be wider than the page.
pub(crate) fn wide_table(head: Markup, rows: impl IntoIterator<Item = Markup>) -> Markup {
    html! { div.wide { (table(head, rows)) } }
}

/// A figure, or a dash where there is none.
pub(crate) fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or("–".into(), text)
}

/// The name of an arm behind its colour and the shape of its points.
pub(crate) fn swatch(arm: usize, name: &str) -> Markup {
    let colour = colour(arm);
    let shape = match marker(arm) {
        Marker::Circle => "",
        Marker::Triangle => ";clip-path:polygon(50% 0,100% 100%,0 100%)",
        Marker::Square => ";transform:rotate(45deg) scale(.8)",
    };
    let style = format!("background:#{:02x}{:02x}{:02x}{shape}", colour.0, colour.1, colour.2);
    html! { span.swatch style=(style) {} (name) }
}
