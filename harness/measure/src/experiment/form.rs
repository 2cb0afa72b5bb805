//! An experiment as it is written down, and every cell that it names.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, time::Duration};

use humantime_serde::re::humantime::parse_duration;
use lab_load::{
    client::Library,
    profile::Profile,
    workload::{Consuming, Durability},
};
use serde::Deserialize;
use toml::Spanned;

use super::{Compares, Planned, Wrong, shape::shape};
use crate::{
    cell::{Cell, FaultName, Load, TopologyName},
    profiles,
};

type Word = Spanned<String>;

/// No time is shorter than this.
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Form {
    pub(super) title: String,
    pub(super) question: String,
    compares: Word,
    runs: Option<Spanned<u32>>,
    identical: Option<Word>,
    #[serde(default)]
    load: LoadForm,
    #[serde(default, rename = "block")]
    blocks: Vec<Block>,
}

/// What every client asks for; what is not said is as [`Load`] has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct LoadForm {
    workload: Option<Word>,
    part: Option<Word>,
    durability: Option<Word>,
    rate: Option<Spanned<u32>>,
    duration: Option<Word>,
    deadline: Option<Word>,
    keys: Option<Spanned<u32>>,
    distribution: Option<Word>,
    reads: Option<Spanned<f64>>,
    value_size: Option<Spanned<u32>>,
    channels: Option<Spanned<u32>>,
    consumers: Option<Spanned<u32>>,
    block: Option<Word>,
    claim_every: Option<Word>,
    look_every: Option<Word>,
}

/// Every combination of what the lists name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Block {
    topologies: Spanned<Vec<Word>>,
    faults: Spanned<Vec<Word>>,
    clients: Spanned<Vec<Word>>,
    profiles: Spanned<Vec<Word>>,
    durabilities: Option<Spanned<Vec<Word>>>,
    #[serde(default)]
    variants: Vec<Variant>,
}

/// A named change to the topology.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: Word,
    changes: toml::Table,
}

impl Form {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().replace('\n', "; ");
            // A field that is unknown or missing is named by the message itself.
            let what = match key(text, at).filter(|key| !what.contains(&format!("`{key}`"))) {
                Some(key) => format!("`{key}`: {what}"),
                None => what,
            };
            Wrong { line: line(text, at), what }
        })
    }

    pub(super) fn compares(&self, text: &str) -> Result<Compares, Wrong> {
        named(text, "compares", &self.compares)
    }

    pub(super) fn runs(&self, text: &str) -> Result<u32, Wrong> {
        let Some(runs) = &self.runs else { return Ok(10) };
        within(text, "runs", runs, 1, 1000)
    }

    pub(super) fn leaves_out_what_is_identical(&self, text: &str) -> Result<bool, Wrong> {
        let Some(word) = &self.identical else { return Ok(false) };
        match word.get_ref().as_str() {
            "leave-out" => Ok(true),
            "measure" => Ok(false),
            other => {
                Err(wrong(text, "identical", word, format!("known are leave-out, measure, not `{other}`")))
            }
        }
    }

    pub(super) fn load(&self, text: &str) -> Result<Load, Wrong> {
        let (form, usual) = (&self.load, Load::default());
        let most = 1_000_000;
        Ok(Load {
            sort: or(&form.workload, usual.sort, |word| named(text, "workload", word))?,
            part: or(&form.part, usual.part, |word| named(text, "part", word))?,
            durability: or(&form.durability, usual.durability, |word| named(text, "durability", word))?,
            rate: or(&form.rate, usual.rate, |rate| within(text, "rate", rate, 1, most))?,
            duration: or(&form.duration, usual.duration, |word| {
                time(text, "duration", word, Load::SHORTEST)
            })?,
            deadline: or(&form.deadline, usual.deadline, |word| time(text, "deadline", word, TICK))?,
            keys: or(&form.keys, usual.keys, |keys| within(text, "keys", keys, 1, most))?,
            distribution: or(&form.distribution, usual.distribution, |word| {
                named(text, "distribution", word)
            })?,
            reads: or(&form.reads, usual.reads, |share| within(text, "reads", share, 0.0, 1.0))?,
            value_size: or(&form.value_size, usual.value_size, |size| {
                Ok(within(text, "value-size", size, 1, 1 << 20)? as usize)
            })?,
            consuming: form.consuming(text)?,
        })
    }

    /// Every cell that the blocks name, whether it makes sense or not.
    pub(super) fn cells(&self, text: &str, load: &Load) -> Result<Vec<Planned>, Wrong> {
        let mut cells: Vec<Planned> = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        let mut profiles = Profiles::default();
        for block in &self.blocks {
            for planned in block.cells(text, load, &mut profiles)? {
                if !keys.insert(planned.key.clone()) {
                    let what = format!("`block`: `{}` is there already", planned.key);
                    return Err(Wrong { line: line(text, block.topologies.span().start), what });
                }
                cells.push(planned);
            }
        }
        Ok(cells)
    }
}

impl LoadForm {
    fn consuming(&self, text: &str) -> Result<Consuming, Wrong> {
        let usual = Consuming::default();
        let every = |name, word: &Option<Word>, usual| or(word, usual, |word| time(text, name, word, TICK));
        let count = |name, number: &Option<Spanned<u32>>, usual| {
            or(number, usual, |number| within(text, name, number, 1, 1000))
        };
        Ok(Consuming {
            channels: count("channels", &self.channels, usual.channels)?,
            consumers: count("consumers", &self.consumers, usual.consumers)?,
            block: every("block", &self.block, usual.block)?,
            claim_every: every("claim-every", &self.claim_every, usual.claim_every)?,
            look_every: every("look-every", &self.look_every, usual.look_every)?,
        })
    }
}

impl Block {
    fn cells(&self, text: &str, load: &Load, known: &mut Profiles) -> Result<Vec<Planned>, Wrong> {
        let topologies: Vec<TopologyName> = all(text, "topologies", &self.topologies)?;
        let faults: Vec<FaultName> = all(text, "faults", &self.faults)?;
        let clients: Vec<Library> = all(text, "clients", &self.clients)?;
        let durabilities: Vec<Durability> = match &self.durabilities {
            Some(words) => all(text, "durabilities", words)?,
            None => vec![load.durability],
        };
        let profiles = known.all(text, &self.profiles)?;
        let mut cells = Vec::new();
        for topology in topologies {
            let variants = self.variants(text, topology)?;
            for fault in &faults {
                for library in &clients {
                    for profile in &profiles {
                        for durability in &durabilities {
                            let load = Load { durability: *durability, ..load.clone() };
                            let cell = |changes| Cell {
                                topology,
                                changes,
                                fault: *fault,
                                library: *library,
                                profile: profile.clone(),
                                load: load.clone(),
                            };
                            let of_each = variants.iter().cloned();
                            cells.extend(of_each.map(|(name, changes)| Planned::new(cell(changes), name)));
                        }
                    }
                }
            }
        }
        Ok(cells)
    }

    /// The changes to a topology, each with its name; one that changes nothing where there are none.
    fn variants(
        &self,
        text: &str,
        topology: TopologyName,
    ) -> Result<Vec<(Option<String>, toml::Table)>, Wrong> {
        if self.variants.is_empty() {
            return Ok(vec![(None, toml::Table::new())]);
        }
        let one = |Variant { name, changes }: &Variant| {
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            if name.get_ref().is_empty() || !name.get_ref().chars().all(is_plain) {
                let what = "a name is lower-case letters, digits, `-` and `.`";
                return Err(wrong(text, "variants", name, what));
            }
            shape(topology, changes).map_err(|error| {
                let what = format!(
                    "`{}` on {topology}: {}",
                    name.get_ref(),
                    error.to_string().trim().replace('\n', " ")
                );
                wrong(text, "variants", name, what)
            })?;
            Ok((Some(name.get_ref().clone()), changes.clone()))
        };
        self.variants.iter().map(one).collect()
    }
}

/// Profiles that have been read.
#[derive(Default)]
struct Profiles(BTreeMap<String, Profile>);

impl Profiles {
    fn all(&mut self, text: &str, words: &Spanned<Vec<Word>>) -> Result<Vec<Profile>, Wrong> {
        some(text, "profiles", words)?;
        let mut profiles = Vec::new();
        for word in words.get_ref() {
            let name = word.get_ref();
            if !self.0.contains_key(name) {
                let read = profiles::profile(name).map_err(|error| wrong(text, "profiles", word, error))?;
                self.0.insert(name.clone(), read);
            }
            profiles.push(self.0[name].clone());
        }
        Ok(profiles)
    }
}

/// What is said, or else what is usual.
fn or<S, T>(said: &Option<S>, usual: T, meaning: impl Fn(&S) -> Result<T, Wrong>) -> Result<T, Wrong> {
    said.as_ref().map_or(Ok(usual), meaning)
}

fn wrong<T>(text: &str, setting: &str, at: &Spanned<T>, why: impl Display) -> Wrong {
    Wrong { line: line(text, at.span().start), what: format!("`{setting}`: {why}") }
}

fn named<T: FromStr<Err: Display>>(text: &str, setting: &str, word: &Word) -> Result<T, Wrong> {
    word.get_ref().parse().map_err(|error| wrong(text, setting, word, error))
}

fn all<T: FromStr<Err: Display>>(
    text: &str,
    setting: &str,
    words: &Spanned<Vec<Word>>,
) -> Result<Vec<T>, Wrong> {
    some(text, setting, words)?;
    words.get_ref().iter().map(|word| named(text, setting, word)).collect()
}

fn some<T>(text: &str, setting: &str, words: &Spanned<Vec<T>>) -> Result<(), Wrong> {
    match words.get_ref().is_empty() {
        true => Err(wrong(text, setting, words, "it names nothing")),
        false => Ok(()),
    }
}

fn within<T: PartialOrd + Copy + Display>(
    text: &str,
    setting: &str,
    number: &Spanned<T>,
    least: T,
    most: T,
) -> Result<T, Wrong> {
    match *number.get_ref() {
        value if value >= least && value <= most => Ok(value),
        value => Err(wrong(text, setting, number, format!("{value} is not within {least} and {most}"))),
    }
}

fn time(text: &str, setting: &str, word: &Word, least: Duration) -> Result<Duration, Wrong> {
    let length = parse_duration(word.get_ref()).map_err(|error| wrong(text, setting, word, error))?;
    match length >= least {
        true => Ok(length),
        false => Err(wrong(text, setting, word, format!("{length:?} is shorter than {least:?}"))),
    }
}

/// The number of the line that holds the byte at `at`, from 1.
fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// The setting whose line holds the byte at `at`.
fn key(text: &str, at: usize) -> Option<&str> {
    let (name, _) = text.lines().nth(line(text, at) - 1)?.split_once('=')?;
    Some(name.trim()).filter(|name| !name.is_empty())
}
