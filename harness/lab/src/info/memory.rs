//! `MEMORY DOCTOR`, parsed.

use std::fmt;

use super::Info;

/// More than any server's program and libraries take, however little data it holds: 9 MB of redis 7.0's 12 MB were
/// those. That is close to the 10 MiB from which the doctor complains of whatever is no data.
const PROGRAM: i64 = 32 << 20;

/// What a server thinks of its own memory (`getMemoryDoctorReport` in object.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryReport {
    /// It holds less than 5 MiB, and judges nothing.
    TooSmall,
    /// It finds nothing.
    Sound,
    /// It complains of these, by their headings.
    Issues(Vec<String>),
}

impl MemoryReport {
    /// Reads the answer. One in words that nobody knows is a complaint.
    pub fn parse(text: &str) -> Self {
        // ` * Peak memory: In the past this instance used more than 150% the memory …`
        let issue = |line: &str| Some(line.trim_start().strip_prefix("* ")?.split_once(':')?.0.to_owned());
        let issues: Vec<String> = text.lines().filter_map(issue).collect();
        match text {
            _ if !issues.is_empty() => Self::Issues(issues),
            text if text.contains("is empty or is using very little memory") => Self::TooSmall,
            text if text.contains("can't find any memory issue") => Self::Sound,
            text => Self::Issues(vec![text.trim().to_owned()]),
        }
    }

    /// The same without what is said of the process and not of its data, as far as its program explains that.
    pub fn beside_the_program(self, info: &Info) -> Self {
        let explained = |field| info.number::<i64>(field).is_some_and(|bytes| bytes < PROGRAM);
        let Self::Issues(mut issues) = self else { return self };
        issues.retain(|issue| match issue.as_str() {
            "High total RSS" => !explained("mem_fragmentation_bytes"),
            "High process RSS overhead" => !explained("rss_overhead_bytes"),
            _ => true,
        });
        if issues.is_empty() { Self::Sound } else { Self::Issues(issues) }
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => f.write_str("too little is held for the doctor to judge: less than 5 MiB"),
            Self::Sound => f.write_str("nothing to complain of"),
            Self::Issues(issues) => f.write_str(&issues.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be \
        used in these conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam \
        and I will be back to our programming as soon as I finished rebooting.\n";
    const WELL: &str = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs \
        on this base.\n";
    /// Of valkey; redis puts its own name there. Shortened, but for the headings.
    const ILL: &str = "Sam, I detected a few issues in this Valkey instance memory implants:\n\n \
        * Peak memory: In the past this instance used more than 150% the memory that is currently using. The \
        allocator is normally not able to release memory after a peak.\n\n \
        * High total RSS: This instance has a memory fragmentation and RSS overhead greater than 1.4 (this means \
        that the Resident Set Size of the Valkey process is much larger). Note: The currently used allocator is \
        \"jemalloc-5.3.0\".\n\n \
        * High process RSS overhead: This instance has non-allocator RSS memory overhead is greater than 1.1.\n\n\
        I'm here to keep you safe, Sam. I want to help you.\n";

    fn issues(headings: &[&str]) -> MemoryReport {
        MemoryReport::Issues(headings.iter().map(|heading| (*heading).to_owned()).collect())
    }

    #[test]
    fn the_three_answers_are_told_apart() {
        assert_eq!(MemoryReport::parse(SMALL), MemoryReport::TooSmall);
        assert_eq!(MemoryReport::parse(WELL), MemoryReport::Sound);
        let all = ["Peak memory", "High total RSS", "High process RSS overhead"];
        assert_eq!(MemoryReport::parse(ILL), issues(&all));
        assert_eq!(MemoryReport::parse(ILL).to_string(), all.join(", "));
        assert_eq!(MemoryReport::parse("Sam?\n"), issues(&["Sam?"]));
    }

    #[test]
    fn a_program_is_not_held_against_its_data() {
        let small = Info::parse("mem_fragmentation_bytes:12582912\r\nrss_overhead_bytes:10682368\r\n");
        let report = MemoryReport::parse(ILL);
        assert_eq!(report.clone().beside_the_program(&small), issues(&["Peak memory"]));
        let swollen = Info::parse("mem_fragmentation_bytes:41943040\r\nrss_overhead_bytes:10682368\r\n");
        assert_eq!(report.clone().beside_the_program(&swollen), issues(&["Peak memory", "High total RSS"]));
        assert_eq!(report.clone().beside_the_program(&Info::default()), report);
        let alone = issues(&["High total RSS"]);
        assert_eq!(alone.beside_the_program(&small), MemoryReport::Sound);
        assert_eq!(MemoryReport::TooSmall.beside_the_program(&small), MemoryReport::TooSmall);
    }
}
