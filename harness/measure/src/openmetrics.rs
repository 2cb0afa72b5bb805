//! The source lab's metrics as OpenMetrics text.

use crate::{Cell, Measured, figures::SOURCE_LAB};

/// The metrics of some runs of a cell: one sample for each run.
pub fn text(cell: &Cell, runs: &[Measured]) -> String {
    let mut text = String::new();
    for (name, help) in SOURCE_LAB {
        let name_here = name.replace('.', "_");
        let samples: Vec<String> = (runs.iter().enumerate())
            .filter_map(|(run, measured)| {
                let value = measured.figures.get(name)?;
                Some(format!("{name_here}{{{},run=\"{}\"}} {value}\n", labels(cell), run + 1))
            })
            .collect();
        if !samples.is_empty() {
            text.push_str(&format!(
                "# TYPE {name_here} gauge\n# HELP {name_here} {help}\n{}",
                samples.concat()
            ));
        }
    }
    text.push_str("# EOF\n");
    text
}

fn labels(cell: &Cell) -> String {
    let labels = [
        ("topology", cell.topology.to_string()),
        ("fault", cell.fault.to_string()),
        ("client", cell.library.to_string()),
        ("profile", cell.profile.name.clone()),
        ("durability", cell.load.durability.to_string()),
    ];
    labels.map(|(label, value)| format!("{label}=\"{value}\"")).join(",")
}
