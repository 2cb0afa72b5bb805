//! An insurer's customers, their policies and their claims: data of which some belongs together.

use std::{
    collections::BTreeMap,
    ops::{Add, RangeInclusive},
};

use serde::Deserialize;

/// `fixtures/insurance/book.toml`.
const BOOK: &str = include_str!("../../../fixtures/insurance/book.toml");

/// What customers are drawn from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    customers: u32,
    policies: u32,
    claims: u32,
    given_names: Vec<String>,
    family_names: Vec<String>,
    product: Vec<Product>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    premium: [u64; 2],
    claim: [u64; 2],
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cents(pub u64);

impl Add for Cents {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // What was read may be anything.
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// Somebody with policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// From 1, without gaps.
    pub number: u32,
    /// Given and family name.
    pub name: String,
    /// One or more.
    pub policies: Vec<Policy>,
}

/// What a customer pays for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `motor`.
    pub product: String,
    /// A year.
    pub premium: Cents,
    /// What the customer has asked for so far.
    pub claims: Vec<Cents>,
}

/// What is stored of a customer, or was read: the text of each record by its key.
pub type Records = BTreeMap<String, String>;

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The customer: a name.
    Profile,
    /// A policy: `motor 24000`, a product and its premium.
    Policy,
    /// A claim: an amount.
    Claim,
}

impl Kind {
    /// What the record with this key is of, where the customer's keys begin with `tag`; none if it is none of a
    /// customer's.
    pub fn of(tag: &str, key: &str) -> Option<Self> {
        match key.strip_prefix(tag)?.split(':').nth(1)? {
            "profile" => Some(Self::Profile),
            "policy" => Some(Self::Policy),
            "claim" => Some(Self::Claim),
            _ => None,
        }
    }
}

/// What an insurer knows by heart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All customers.
    pub customers: u64,
    /// All policies.
    pub policies: u64,
    /// Their premiums, a year.
    pub premiums: Cents,
    /// All claims.
    pub claims: u64,
    /// What they come to.
    pub claimed: Cents,
}

impl Totals {
    /// What records come to, as they were read: one whose amount is no number is worth nothing.
    pub fn of(tag: &str, records: &Records) -> Self {
        let amount =
            |text: &str| Cents(text.rsplit(' ').next().and_then(|cents| cents.parse().ok()).unwrap_or(0));
        let one = |(key, text): (&String, &String)| match Kind::of(tag, key) {
            Some(Kind::Profile) => Self { customers: 1, ..Self::default() },
            Some(Kind::Policy) => Self { policies: 1, premiums: amount(text), ..Self::default() },
            Some(Kind::Claim) => Self { claims: 1, claimed: amount(text), ..Self::default() },
            None => Self::default(),
        };
        records.iter().map(one).sum()
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            customers: self.customers + other.customers,
            policies: self.policies + other.policies,
            premiums: self.premiums + other.premiums,
            claims: self.claims + other.claims,
            claimed: self.claimed + other.claimed,
        }
    }
}

impl std::iter::Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        totals.fold(Self::default(), Add::add)
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { customers, policies, premiums: Cents(premiums), claims, claimed: Cents(claimed) } = self;
        write!(
            f,
            "{customers} customers, {policies} policies for {premiums} cents, {claims} claims of {claimed} cents"
        )
    }
}

impl Customer {
    /// What all of the customer's policies come to.
    pub fn totals(&self) -> Totals {
        let claims = self.policies.iter().flat_map(|policy| &policy.claims).copied();
        Totals {
            customers: 1,
            policies: self.policies.len() as u64,
            premiums: self.policies.iter().map(|policy| policy.premium).sum(),
            claims: claims.clone().count() as u64,
            claimed: claims.sum(),
        }
    }

    /// What is stored of the customer, under keys that begin with `tag`: a profile, each policy, and each claim.
    pub fn records(&self, tag: &str) -> Records {
        let mut records = Records::from([(format!("{tag}:profile"), self.name.clone())]);
        for (number, Policy { product, premium, claims }) in self.policies.iter().enumerate() {
            records.insert(format!("{tag}:policy:{number}"), format!("{product} {}", premium.0));
            for (claim, Cents(amount)) in claims.iter().enumerate() {
                records.insert(format!("{tag}:claim:{number}:{claim}"), amount.to_string());
            }
        }
        records
    }
}

impl Book {
    /// The lab's own.
    pub fn of_the_lab() -> Self {
        toml::from_str(BOOK).expect("a test reads it")
    }

    /// The customers that `rng` draws; the same ones for the same seed.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Vec<Customer> {
        (1..=self.customers).map(|number| self.customer(number, rng)).collect()
    }

    fn customer(&self, number: u32, rng: &mut fastrand::Rng) -> Customer {
        let names =
            [&self.given_names, &self.family_names].map(|names| names[rng.usize(..names.len())].clone());
        let policies = (0..rng.u32(1..=self.policies)).map(|_| self.policy(rng)).collect();
        Customer { number, name: names.join(" "), policies }
    }

    fn policy(&self, rng: &mut fastrand::Rng) -> Policy {
        let product = &self.product[rng.usize(..self.product.len())];
        let claims = (0..rng.u32(..=self.claims)).map(|_| Cents(rng.u64(range(product.claim)))).collect();
        Policy { product: product.name.clone(), premium: Cents(rng.u64(range(product.premium))), claims }
    }
}

fn range([least, most]: [u64; 2]) -> RangeInclusive<u64> {
    least..=most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_book() {
        let draw = |seed| Book::of_the_lab().draw(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn everybody_has_a_policy_and_the_totals_are_theirs() {
        let customers = Book::of_the_lab().draw(&mut fastrand::Rng::with_seed(1));
        assert!(customers.iter().all(|customer| !customer.policies.is_empty()));
        let totals: Totals = customers.iter().map(Customer::totals).sum();
        let policies = customers.iter().flat_map(|customer| &customer.policies);
        assert_eq!(totals.policies, policies.clone().count() as u64);
        assert_eq!(totals.premiums.0, policies.map(|policy| policy.premium.0).sum::<u64>());
    }

    #[test]
    fn records_come_to_what_their_customer_does() {
        for customer in Book::of_the_lab().draw(&mut fastrand::Rng::with_seed(1)) {
            let tag = format!("{{customer:{}}}", customer.number);
            let mut records = customer.records(&tag);
            assert_eq!(Totals::of(&tag, &records), customer.totals());
            records.remove(&format!("{tag}:policy:0"));
            assert_eq!(Totals::of(&tag, &records).policies, customer.totals().policies - 1);
        }
    }

    #[test]
    fn what_was_read_may_be_anything() {
        let records = |key: &str, text: &str| Records::from([(key.to_owned(), text.to_owned())]);
        assert_eq!(Totals::of("{a}", &records("{b}:policy:0", "motor 1")), Totals::default());
        assert_eq!(Totals::of("{a}", &records("{a}:claims", "1")), Totals::default());
        let claim = Totals { claims: 1, ..Totals::default() };
        assert_eq!(Totals::of("{a}", &records("{a}:claim:0:0", "a lot")), claim);
        let most = Totals::of("{a}", &records("{a}:claim:0:0", &u64::MAX.to_string()));
        assert_eq!((most + most).claimed, Cents(u64::MAX));
    }
}
