//! Verdicts as shape, colour and word. Passing is quiet; failing is not.

use maud::{Markup, PreEscaped, html};

use crate::verdict::Verdict;

/// The four shapes, defined once: a tick, a filled square with a cross, a diamond asking, a dash.
pub(super) fn shapes() -> Markup {
    PreEscaped(
        r#"<svg width="0" height="0" class="shapes" aria-hidden="true"><defs>
<symbol id="v-pass" viewBox="0 0 16 16"><path d="M3 8.5l3.5 3.5L13 4.5" fill="none" stroke="currentColor" stroke-width="2.2"/></symbol>
<symbol id="v-fail" viewBox="0 0 16 16"><rect x="1" y="1" width="14" height="14" rx="2" fill="currentColor"/><path d="M5 5l6 6M11 5l-6 6" fill="none" stroke="var(--paper)" stroke-width="2.2"/></symbol>
<symbol id="v-unknown" viewBox="0 0 16 16"><path d="M8 .8L15.2 8 8 15.2.8 8z" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M6 6.6a2 2 0 1 1 2.9 1.8c-.6.3-.9.6-.9 1.2M8 11v1.3" fill="none" stroke="currentColor" stroke-width="1.5"/></symbol>
<symbol id="v-skipped" viewBox="0 0 16 16"><path d="M3 8h10" fill="none" stroke="currentColor" stroke-width="2.2"/></symbol>
</defs></svg>"#
            .to_owned(),
    )
}

/// The shape alone; the word has to be near.
pub(super) fn shape(verdict: Verdict) -> Markup {
    html! {
        svg.shape.(verdict.to_string()) role="img" aria-label=(verdict) { use href=(format!("#v-{verdict}")) {} }
    }
}

/// Shape and word.
pub(super) fn verdict(verdict: Verdict) -> Markup {
    html! {
        span.verdict.(verdict.to_string()) {
            svg.shape aria-hidden="true" { use href=(format!("#v-{verdict}")) {} }
            (verdict)
        }
    }
}
