//! An insurer's customers, their policies and their claims: data of which some belongs together.

use std::ops::{Add, RangeInclusive};

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
        Self(self.0 + other.0)
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

/// What an insurer knows by heart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All policies.
    pub policies: u64,
    /// All premiums, a year.
    pub premiums: Cents,
    /// All claims.
    pub claimed: Cents,
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            policies: self.policies + other.policies,
            premiums: self.premiums + other.premiums,
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
        let Self { policies, premiums, claimed } = self;
        write!(f, "{policies} policies, {} cents of premiums, {} cents of claims", premiums.0, claimed.0)
    }
}

impl Customer {
    /// What all of the customer's policies come to.
    pub fn totals(&self) -> Totals {
        Totals {
            policies: self.policies.len() as u64,
            premiums: self.policies.iter().map(|policy| policy.premium).sum(),
            claimed: self.policies.iter().flat_map(|policy| &policy.claims).copied().sum(),
        }
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
}
