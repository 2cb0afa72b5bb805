//! A table of figures: of each how many there are, their median, and the least and the most of them.

use std::fmt;

/// Figures of several rounds, a row for each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    heading: String,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    what: String,
    figures: Vec<f64>,
    goal: &'static str,
}

impl Table {
    /// One without rows.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), rows: Vec::new() }
    }

    /// One more row; none for no figures.
    pub fn row(&mut self, what: impl Into<String>, figures: impl IntoIterator<Item = f64>) {
        self.row_with_goal(what, figures, "");
    }

    /// One more row, with what its median should be: `≥ 0.8`.
    pub fn row_with_goal(
        &mut self,
        what: impl Into<String>,
        figures: impl IntoIterator<Item = f64>,
        goal: &'static str,
    ) {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        if !figures.is_empty() {
            figures.sort_by(f64::total_cmp);
            self.rows.push(Row { what: what.into(), figures, goal });
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &String| text.chars().count();
        let width =
            self.rows.iter().map(|row| &row.what).chain([&self.heading]).map(length).max().unwrap_or(0);
        writeln!(f, "{:<width$} {:>3} {:>9} {:>9} {:>9}", self.heading, "n", "median", "min", "max")?;
        for Row { what, figures, goal } in &self.rows {
            let [middle, least, most] =
                [figures.len() / 2, 0, figures.len() - 1].map(|place| shown(figures[place]));
            let line =
                format!("{what:<width$} {:>3} {middle:>9} {least:>9} {most:>9}  {goal}", figures.len());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// As many digits as such a figure can carry.
fn shown(figure: f64) -> String {
    match figure.abs() {
        1000.0.. => format!("{figure:.0}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_each_other_and_what_was_not_measured_is_left_out() {
        let mut table = Table::new("1000 a second");
        table.row("a single server, 16 deep", [3.0, 1.0, 2.0]);
        table.row("redis-benchmark", []);
        table.row_with_goal("ratio", [0.9], "≥ 0.8");
        let expected = "\
1000 a second              n    median       min       max
a single server, 16 deep   3      2.00      1.00      3.00
ratio                      1      0.90      0.90      0.90  ≥ 0.8
";
        assert_eq!(table.to_string(), expected);
    }
}
