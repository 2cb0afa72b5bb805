use lab_report::{
    evidence::Timeline,
    render::{html, timeline},
};

use crate::sample;

#[test]
fn every_verdict_is_there_as_word_and_as_shape() {
    let page = html::render(&sample::report());
    for verdict in ["pass", "fail", "unknown", "skipped"] {
        assert!(page.contains(&format!(r#"<symbol id="v-{verdict}""#)), "no shape for {verdict}");
        assert!(
            page.contains(&format!(r##"<use href="#v-{verdict}"></use></svg>{verdict}</span>"##)),
            "{verdict}"
        );
    }
}

#[test]
fn text_stays_text() {
    let mut report = sample::report();
    report.run.rerun = "<script>1</script>".into();
    let failover = &mut report.steps[1];
    failover.timeline.events[3].text = "<script>2</script>\" onload=\"x".into();
    failover.timeline.nodes[0] = "</text><script>3</script>".into();
    failover.timeline.faults[0].kind = "<b>\"".into();
    let page = html::render(&report);
    assert!(page.contains("&lt;script&gt;alert('held')&lt;/script&gt; &amp; waited"));
    assert!(!page.contains("<script") && !page.contains("<b>\"") && !page.contains("\" onload"));
}

#[test]
fn every_link_leads_somewhere_on_the_page() {
    let page = html::render(&sample::report());
    let links: Vec<_> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 20);
    for link in links {
        assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "#{link}");
    }
    assert!(!page.contains("href=\"http"), "the page needs nothing but itself");
}

#[test]
fn the_picture_shows_who_was_what_and_when() {
    let svg = timeline::svg(&sample::failover()).expect("a failover is worth drawing");
    for text in [
        "lab-001",
        "unreachable",
        "primary endpoint",
        "crash lab-001",
        "1.32 s",
        "redundancy restored",
        "+1.09 s",
    ] {
        assert!(svg.contains(text), "no `{text}`");
    }
    assert!(!svg.contains("the writer starts"), "only faults and the manager are numbered");
}

#[test]
fn a_step_without_anything_to_see_has_no_picture() {
    let mut step = sample::failover();
    let roles = step.timeline.roles[..3].to_vec();
    step.timeline = Timeline { nodes: step.timeline.nodes, roles, ..Timeline::default() };
    assert_eq!(timeline::svg(&step), None);
}

#[test]
fn a_fault_that_never_healed_is_shaded_to_the_end() {
    let mut step = sample::failover();
    let healed = timeline::svg(&step).expect("a failover is worth drawing");
    step.timeline.faults[0].until = None;
    let open = timeline::svg(&step).expect("a failover is worth drawing");
    assert_eq!(healed.matches(r#"class="shade-edge""#).count(), 2);
    assert_eq!(open.matches(r#"class="shade-edge""#).count(), 1);
}
