//! A request of the Query protocol: a form, whose lists are numbered fields.

use std::{collections::BTreeMap, str::FromStr};

use crate::fault::Fault;

/// The only version of the API.
const VERSION: &str = "2015-02-02";
/// As AWS writes it.
const NO_VERSION: &str = "NO_VERSION_SPECIFIED";

/// The fields of a request. Each is taken out by whoever serves it, so that what is left is what nobody serves.
#[derive(Debug)]
pub(crate) struct Form {
    action: String,
    fields: BTreeMap<String, String>,
}

impl Form {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Fault> {
        let mut fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        if let Some((name, _)) = fields.iter().find(|(name, value)| !fits_xml(name) || !fits_xml(value)) {
            let text = format!("{} has a character that XML does not know", name.escape_default());
            return Err(Fault::InvalidParameterValue(text));
        }
        let action = fields.remove("Action").ok_or(Fault::MissingAction)?;
        let version = fields.remove("Version").unwrap_or_else(|| NO_VERSION.to_owned());
        if version != VERSION {
            return Err(Fault::OtherVersion { action, version });
        }
        Ok(Self { action, fields })
    }

    /// What is asked for.
    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// A text; none where it was not sent.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.fields.remove(name)
    }

    /// A text without which there is nothing to do.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, Fault> {
        self.text(name).ok_or(Fault::MissingParameter(name))
    }

    /// A number, a truth value, an instant.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let refused = || Fault::InvalidParameterValue(format!("Invalid value `{text}` for {name}"));
        text.parse().map(Some).map_err(|_| refused())
    }

    /// A list of texts: `SubnetIds.SubnetIdentifier.1`, whatever its members are called.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        self.take_empty(name);
        let number = |field: &str| {
            let member = field.strip_prefix(name)?.strip_prefix('.')?;
            member.rsplit('.').next()?.parse::<usize>().ok()
        };
        let mine = self.fields.extract_if(.., |field, _| number(field).is_some());
        let numbered: BTreeMap<usize, String> =
            mine.filter_map(|(field, value)| Some((number(&field)?, value))).collect();
        numbered.into_values().collect()
    }

    /// A list of keys and values, which may be empty: `Tags.Tag.1.Key`, `Tags.Tag.1.Value`, whatever its members are
    /// called.
    pub(crate) fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        self.take_empty(name);
        let numbered = |field: &str| {
            let (member, part) = field.strip_prefix(name)?.strip_prefix('.')?.rsplit_once('.')?;
            let number = member.rsplit('.').next()?.parse::<usize>().ok()?;
            matches!(part, "Key" | "Value").then(|| (number, part == "Key"))
        };
        let mine = self.fields.extract_if(.., |field, _| numbered(field).is_some());
        let mut pairs: BTreeMap<usize, (String, String)> = BTreeMap::new();
        for ((number, is_key), value) in mine.filter_map(|(field, value)| Some((numbered(&field)?, value))) {
            let pair = pairs.entry(number).or_default();
            *(if is_key { &mut pair.0 } else { &mut pair.1 }) = value;
        }
        pairs.into_values().collect()
    }

    /// The Query protocol sends an empty list as its bare name: `Tags=`.
    fn take_empty(&mut self, name: &str) {
        if self.fields.get(name).is_some_and(String::is_empty) {
            self.fields.remove(name);
        }
    }

    /// Nothing is left to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Everything has been taken: a parameter that this control plane does not serve is refused, not overlooked.
    pub(crate) fn end(self) -> Result<(), Fault> {
        match self.fields.into_keys().next() {
            None => Ok(()),
            Some(field) => {
                let text = format!("{} is served here without {field}: leave it away", self.action);
                Err(Fault::InvalidParameterValue(text))
            }
        }
    }
}

/// XML 1.0, production `Char`: other characters cannot be told to anybody, not even as references.
fn fits_xml(text: &str) -> bool {
    let fits = |letter| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().all(fits)
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;

    /// A form of the right version.
    pub(crate) fn form(body: &str) -> Form {
        Form::parse(format!("Version={VERSION}&{body}").as_bytes()).unwrap()
    }

    #[test]
    fn lists_come_in_the_order_of_their_numbers() {
        let body: String =
            (1..=11).rev().map(|number| format!("&SubnetIds.Id.{number}=s-{number}")).collect();
        let mut form = form(&format!("Action=A{body}"));
        let expected: Vec<String> = (1..=11).map(|number| format!("s-{number}")).collect();
        assert_eq!(form.list("SubnetIds"), expected);
        assert_eq!(form.end(), Ok(()));
    }

    #[test]
    fn an_empty_list_is_a_bare_name() {
        let mut form = form("Action=A&Tags=&SecurityGroupIds=");
        assert!(!form.is_empty());
        assert_eq!((form.pairs("Tags"), form.list("SecurityGroupIds")), (Vec::new(), Vec::new()));
        assert!(form.is_empty());
        assert_eq!(form.end(), Ok(()));
    }

    #[test]
    fn keys_and_values_find_each_other() {
        let tags = "Tags.Tag.2.Key=team&Tags.Tag.1.Value=lab&Tags.Tag.1.Key=run&Tags.Tag.10.Key=b&Tags.Tag.10.Value=c";
        let mut form = form(&format!("Action=A&{tags}"));
        let expected = [("run", "lab"), ("team", ""), ("b", "c")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(form.pairs("Tags"), expected);
        assert_eq!(form.end(), Ok(()));
    }

    #[test]
    fn what_means_nothing_is_named() {
        let number = form("Action=A&NumCacheClusters=three").value::<u8>("NumCacheClusters").unwrap_err();
        assert_eq!(number.to_string(), "Invalid value `three` for NumCacheClusters");
        assert_eq!(
            form("Action=A").required("NodeGroupId").unwrap_err(),
            Fault::MissingParameter("NodeGroupId")
        );
        assert_eq!(Form::parse(b"Version=2015-02-02").unwrap_err(), Fault::MissingAction);
    }

    #[rstest]
    #[case::control_character("ReplicationGroupDescription=%01", true)]
    #[case::nought("Tags.Tag.1.Value=a%00b", true)]
    #[case::in_a_name("%02=a", true)]
    #[case::no_character("Description=%EF%BF%BE", true)]
    #[case::line("Description=a%0Ab%09c", false)]
    #[case::other_letters("Description=%C3%A4%F0%9F%8D%8E", false)]
    fn what_xml_cannot_say_is_refused(#[case] field: &str, #[case] refused: bool) {
        let parsed = Form::parse(format!("Action=A&Version={VERSION}&{field}").as_bytes());
        match parsed {
            Ok(_) => assert!(!refused),
            Err(fault) => {
                assert!(refused && matches!(fault, Fault::InvalidParameterValue(_)), "{fault}");
                assert!(fits_xml(&fault.to_string()));
            }
        }
    }

    #[test]
    fn there_is_one_version() {
        for version in ["&Version=2014-09-30", ""] {
            let refused = Form::parse(format!("Action=A{version}").as_bytes()).unwrap_err();
            assert!(matches!(refused, Fault::OtherVersion { .. }), "{refused}");
        }
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let refused = form("Action=CreateReplicationGroup&KmsKeyId=k").end().unwrap_err();
        assert!(refused.to_string().contains("KmsKeyId"), "{refused}");
    }
}
