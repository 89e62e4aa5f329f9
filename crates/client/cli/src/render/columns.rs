//! Tables of aligned columns, and lists of names and values.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

use super::amounts::counted;
use super::text::{Tone, clean_line, shorten};
use crate::Style;

/// Between two columns.
const GAP: usize = 2;
/// The widest cell; longer ones are cut.
const MAX_CELL: usize = 60;

/// Rows under headings. Cells are cleaned and cut; a table without rows says so instead.
pub(crate) struct Columns<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Columns<N> {
    pub(crate) const fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(|cell| shorten(cell, MAX_CELL)));
    }

    /// Writes the table, or `nothing` when it has no rows.
    pub(crate) fn write(&self, out: &mut dyn Write, style: Style, nothing: &str) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{nothing}");
        }
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.chain([self.headings[column].width()]).max().unwrap_or(0)
        });
        writeln!(out, "{}", style.paint(Tone::Faint, &line(self.headings, &widths)))?;
        for row in &self.rows {
            writeln!(out, "{}", line(std::array::from_fn(|column| row[column].as_str()), &widths))?;
        }
        Ok(())
    }
}

/// Names and values, one pair a line. What is empty is left out.
#[derive(Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    pub(crate) fn add(&mut self, name: &'static str, value: &str) {
        let value = clean_line(value);
        if !value.trim().is_empty() {
            self.0.push((name, value.trim().to_owned()));
        }
    }

    pub(crate) fn write(&self, out: &mut dyn Write, style: Style) -> io::Result<()> {
        let width = self.0.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        for (name, value) in &self.0 {
            writeln!(out, "{}  {value}", style.paint(Tone::Faint, &format!("{name:width$}")))?;
        }
        Ok(())
    }
}

/// Says what a page leaves out, if anything.
pub(super) fn page(
    shown: usize,
    noun: &str,
    first: i32,
    total: i32,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = i64::try_from(shown).unwrap_or(i64::MAX);
    let after = (i64::from(total) - i64::from(first) - shown).max(0);
    if first == 0 && after == 0 {
        return Ok(());
    }
    let text = format!("{} shown, {first} before, {after} after", counted(shown, noun));
    writeln!(out, "\n{}", style.paint(Tone::Faint, &text))
}

fn line<const N: usize>(cells: [&str; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.into_iter().zip(widths) {
        line.push_str(cell);
        let padding = width.saturating_sub(cell.width()) + GAP;
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Columns::new(["NAME", "ROWS", "NOTE"]);
        table.row(["日本", "5", ""]);
        table.row(["a\u{1b}b", "1,000", "last\nline"]);
        let mut out = Vec::new();
        table.write(&mut out, Style::Plain, "nothing").unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn an_empty_table_says_so() {
        let mut out = Vec::new();
        Columns::new(["NAME"]).write(&mut out, Style::Plain, "no agents").unwrap();
        assert_eq!(out, b"no agents\n");
    }
}
