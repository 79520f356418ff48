//! What came of a run, as text.

/// One meeting as it went.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whether it went as it had to.
    pub holds: bool,
    /// The two, in words.
    pub who: [String; 2],
    /// The path that theory allows.
    pub expected: &'static str,
    /// The path that there was in the end.
    pub path: String,
    /// Milliseconds until the first bytes were there.
    pub usable: u64,
    /// Milliseconds until a direct connection stood.
    pub direct: Option<u64>,
    /// Milliseconds until all was there.
    pub arrived: u64,
}

/// All rows, in columns.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "    {:<18} {:<18} {:<8} {:<8} {:>9} {:>9} {:>9}\n",
        "who has it", "who gets it", "expected", "path", "usable", "direct", "all there"
    );
    for Row { holds, who: [one, other], expected, path, usable, direct, arrived } in rows {
        let mark = if *holds { '✓' } else { '✗' };
        let direct = direct.map_or_else(|| "–".to_owned(), |time| format!("{time} ms"));
        text += &format!(
            "  {mark} {one:<18} {other:<18} {expected:<8} {path:<8} {:>9} {direct:>9} {:>9}\n",
            format!("{usable} ms"),
            format!("{arrived} ms")
        );
    }
    text
}

/// The value below which this share (in percent) of all lie, by the nearest rank; 0 for none.
pub fn percentile(values: &[u64], percent: usize) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=21).rev().collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 95), percentile(&values, 100)), (11, 20, 21));
        assert_eq!((percentile(&[], 95), percentile(&[7], 95)), (0, 7));
    }

    #[test]
    fn a_table_has_a_line_for_each_meeting() {
        let row = Row {
            holds: true,
            who: ["left".into(), "right".into()],
            expected: "direct",
            path: "direct".into(),
            usable: 5,
            direct: None,
            arrived: 9,
        };
        let text = table(&[row.clone(), row]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("5 ms") && text.contains('–'));
    }
}
