//! Answers in pages: `MaxRecords` and `Marker`.
//!
//! A marker names the last thing of its page, and not how many there were: what is made or deleted between two pages
//! makes nobody miss anything else.

use crate::{fault::Fault, request::Form};

/// The API reference's range of MaxRecords, and what it is where it is not sent.
const FEWEST: usize = 20;
const MOST: usize = 100;

/// Which part of a list is wanted.
pub(super) struct Page {
    /// Of the page before.
    pub(super) marker: Option<String>,
    length: usize,
}

impl Page {
    pub(super) fn take(form: &mut Form) -> Result<Self, Fault> {
        let length = form.value("MaxRecords")?.unwrap_or(MOST);
        if !(FEWEST..=MOST).contains(&length) {
            let text = format!("MaxRecords is {length}; it is from {FEWEST} to {MOST}");
            return Err(Fault::InvalidParameterValue(text));
        }
        // Some clients send the empty marker of a last page back.
        let marker = form.text("Marker").filter(|marker| !marker.is_empty());
        Ok(Self { marker, length })
    }

    /// That part of `all`, which is in the order of its ids, and the marker of the next one if there is more.
    pub(super) fn of<T>(&self, mut all: Vec<T>, id: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        if let Some(last) = &self.marker {
            all.retain(|one| id(one) > *last);
        }
        self.first_of(all, id)
    }

    /// The beginning of `left`, which is what there is after the marker, and the marker of the next page.
    pub(super) fn first_of<T>(
        &self,
        mut left: Vec<T>,
        marker: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let more = left.len() > self.length;
        left.truncate(self.length);
        let next = left.last().filter(|_| more).map(marker);
        (left, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::form;

    fn page(body: &str) -> Result<Page, Fault> {
        Page::take(&mut form(&format!("Action=A{body}")))
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let mut all: Vec<String> = (10..55).map(|number| format!("shop-{number}")).collect();
        let (mut seen, mut marker) = (Vec::new(), Some(String::new()));
        while let Some(last) = marker {
            let page = page(&format!("&MaxRecords=20&Marker={last}")).unwrap();
            let (some, next) = page.of(all.clone(), String::clone);
            // One that was seen goes, and one comes that would have been seen: neither moves the others.
            all.retain(|id| id != "shop-10");
            all.insert(0, "shop-00".to_owned());
            seen.extend(some);
            marker = next;
        }
        let expected: Vec<String> = (10..55).map(|number| format!("shop-{number}")).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn lengths_outside_the_range_are_refused() {
        for length in [0, 19, 101] {
            let refused = page(&format!("&MaxRecords={length}")).err();
            assert!(matches!(refused, Some(Fault::InvalidParameterValue(_))), "{length}");
        }
    }
}
