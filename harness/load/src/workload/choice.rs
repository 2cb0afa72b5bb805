//! Which key an operation is about.

use std::{fmt, str::FromStr};

use rand::{Rng, distr::Distribution as _};
use rand_distr::Zipf;

/// How operations are spread over the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// Each key as often as any other.
    #[default]
    Uniform,
    /// The n-th key with a probability that is proportional to 1/n.
    Zipf,
}

/// There is no such distribution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no distribution `{0}`; known are uniform, zipf")]
pub struct UnknownDistribution(String);

impl FromStr for Distribution {
    type Err = UnknownDistribution;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "zipf" => Ok(Self::Zipf),
            _ => Err(UnknownDistribution(text.to_owned())),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        })
    }
}

impl Distribution {
    /// One of `keys` keys, from 0.
    pub(crate) fn choose(self, keys: u32, rng: &mut impl Rng) -> u32 {
        let keys = keys.max(1);
        match self {
            Self::Uniform => rng.random_range(0..keys),
            Self::Zipf => {
                let zipf =
                    Zipf::new(f64::from(keys), 1.0).expect("there is a key, and the exponent is sound");
                (zipf.sample(rng) as u32).clamp(1, keys) - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    /// Of 100 keys the first has 1/H(100) = 19.3 % of a Zipf distribution, and 1 % of a uniform one.
    #[test]
    fn the_first_key_has_its_share() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut share = |distribution: Distribution| {
            (0..100_000).filter(|_| distribution.choose(100, &mut rng) == 0).count() as f64 / 100_000.0
        };
        let (uniform, zipf) = (share(Distribution::Uniform), share(Distribution::Zipf));
        assert!((0.008..0.012).contains(&uniform) && (0.183..0.203).contains(&zipf), "{uniform} {zipf}");
    }
}
