//! A server's configuration file: directives, each with its line.

use std::fmt;

/// A configuration file. A directive may stand there several times, as `save` or `user` does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conf(Vec<(String, String)>);

impl Conf {
    /// Reads a file; comments and blank lines are left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(split).collect())
    }

    /// Puts `value` in the place of `${name}`.
    pub fn fill(mut self, name: &str, value: &str) -> Self {
        let place = format!("${{{name}}}");
        for (_, line) in &mut self.0 {
            *line = line.replace(&place, value);
        }
        self
    }

    /// The same with one directive changed, wherever and however often it stood.
    ///
    /// A sentinel's directive is named with the primary that it is about: `sentinel quorum lab`.
    pub fn set(mut self, directive: &str, value: &str) -> Self {
        self.0.retain(|(name, _)| name != directive);
        self.0.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// The same with one more line of a directive that may stand there several times.
    pub fn and(mut self, directive: &str, value: &str) -> Self {
        self.0.push((directive.to_owned(), value.to_owned()));
        self
    }

    /// The same with some directives changed, those of another file perhaps.
    pub fn overlaid<T: AsRef<str>>(self, with: impl IntoIterator<Item = (T, T)>) -> Self {
        with.into_iter().fold(self, |conf, (directive, value)| conf.set(directive.as_ref(), value.as_ref()))
    }

    /// The same without a directive.
    pub fn without(mut self, directive: &str) -> Self {
        self.0.retain(|(name, _)| name != directive);
        self
    }

    /// What a directive is set to, where it stands last.
    pub fn get(&self, directive: &str) -> Option<&str> {
        self.0.iter().rfind(|(name, _)| name == directive).map(|(_, value)| value.as_str())
    }
}

impl IntoIterator for Conf {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (directive, value) in &self.0 {
            match value.is_empty() {
                true => writeln!(f, "{directive} \"\"")?,
                false => writeln!(f, "{directive} {value}")?,
            }
        }
        Ok(())
    }
}

/// The directive and its value. `sentinel <option> <primary> <value>` is about one primary.
fn split(line: &str) -> (String, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = match words.as_slice() {
        ["sentinel", _, _, ..] if words.len() > 3 => 3,
        ["sentinel", _, ..] => 2,
        _ => 1,
    };
    let (name, value) = words.split_at(name.min(words.len()));
    (name.join(" "), value.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\nmaxmemory 512mb\n\nsentinel monitor lab ${PRIMARY} 6379 2\n\
        sentinel sentinel-pass ${WORD}\nsave 900 1 300 10\n";

    #[test]
    fn a_directive_of_a_sentinel_is_named_with_its_primary() {
        let conf = Conf::parse(TEXT).fill("PRIMARY", "10.0.0.2").fill("WORD", "x");
        assert_eq!(conf.get("sentinel monitor lab"), Some("10.0.0.2 6379 2"));
        assert_eq!(conf.get("sentinel sentinel-pass"), Some("x"));
    }

    #[test]
    fn what_is_set_replaces_what_was_there() {
        let conf = Conf::parse(TEXT).set("save", "").without("maxmemory");
        assert_eq!(conf.get("maxmemory"), None);
        assert!(conf.to_string().contains("save \"\"\n"), "{conf}");
        assert!(!conf.to_string().contains("900"), "{conf}");
    }

    #[test]
    fn what_is_laid_over_a_file_goes_before_it() {
        let conf = Conf::parse(TEXT).overlaid(Conf::parse("maxmemory 1mb\nport 0\n"));
        assert_eq!(conf.get("maxmemory"), Some("1mb"));
        assert_eq!(conf.get("port"), Some("0"));
        assert_eq!(conf.get("save"), Some("900 1 300 10"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "([a-z-]{1,8} [a-z0-9]{1,5}\n){0,8}") {
            let conf = Conf::parse(&text);
            proptest::prop_assert_eq!(&Conf::parse(&conf.to_string()), &conf);
        }
    }
}
