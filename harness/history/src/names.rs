//! Names, interned: an operation refers to its object, its node and its client by number.

use std::fmt;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Something that operations act on: a register, a set, a counter, a channel, a stream.
///
/// Its number is its place in the order in which the objects of a history were first named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(pub(crate) u32);

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) u16);

/// An instance of a client library with its settings: what has a downtime. It may have many workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub(crate) u8);

impl Object {
    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl Client {
    /// One of its workers; none beyond [`Process::WORKERS`].
    pub fn worker(self, worker: u32) -> Option<Process> {
        (worker < Process::WORKERS).then_some(Process(u32::from(self.0) << 24 | worker))
    }
}

/// A worker of a client: what does one thing at a time, and the next only when that one is over.
///
/// Jepsen's processes. What is done at the same time is done by several of them, so a client that has a
/// thousand requests under way is a thousand processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(pub(crate) u32);

impl Process {
    /// As many workers a client can have.
    pub const WORKERS: u32 = 1 << 24;

    /// Whose worker it is.
    pub fn client(self) -> Client {
        Client((self.0 >> 24) as u8)
    }

    /// Which of the client's workers.
    pub fn worker(self) -> u32 {
        self.0 & (Self::WORKERS - 1)
    }
}

/// All names of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    objects: Table,
    nodes: Table,
    clients: Table,
}

impl Names {
    /// The most nodes that a history can name.
    pub const NODES: usize = u16::MAX as usize;
    /// The most clients that a history can name.
    pub const CLIENTS: usize = 1 << 8;

    /// The object of this name, now named if it was not.
    pub fn object(&mut self, name: &str) -> Object {
        let number = self.objects.intern(name);
        Object(u32::try_from(number).expect("memory ends before the numbers do"))
    }

    /// The node of this name, now named if it was not; none beyond [`Names::NODES`].
    pub fn node(&mut self, name: &str) -> Option<Node> {
        self.nodes.within(Self::NODES, name).map(|number| Node(number as u16))
    }

    /// The client of this name, now named if it was not; none beyond [`Names::CLIENTS`].
    pub fn client(&mut self, name: &str) -> Option<Client> {
        self.clients.within(Self::CLIENTS, name).map(|number| Client(number as u8))
    }

    /// What an object is called.
    pub fn of_object(&self, object: Object) -> &str {
        self.objects.name(object.0 as usize)
    }

    /// What a node is called.
    pub fn of_node(&self, node: Node) -> &str {
        self.nodes.name(usize::from(node.0))
    }

    /// What a client is called.
    pub fn of_client(&self, client: Client) -> &str {
        self.clients.name(usize::from(client.0))
    }

    /// How many objects, nodes and clients are named.
    pub(crate) fn counts(&self) -> Counts {
        let Self { objects, nodes, clients } = self;
        Counts { objects: objects.names.len(), nodes: nodes.names.len(), clients: clients.names.len() }
    }

    /// Those that were named after the first `before`.
    pub(crate) fn since(&self, before: Counts) -> Named {
        Named {
            objects: self.objects.names[before.objects..].to_vec(),
            nodes: self.nodes.names[before.nodes..].to_vec(),
            clients: self.clients.names[before.clients..].to_vec(),
        }
    }

    /// Adds what another table has more; a name that is there already, or too many of them, is an error.
    pub(crate) fn extend(&mut self, named: Named) -> Result<(), Misnamed> {
        self.objects.extend(named.objects, u32::MAX as usize)?;
        self.nodes.extend(named.nodes, Self::NODES)?;
        self.clients.extend(named.clients, Self::CLIENTS)
    }
}

/// How many names there are of each sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) objects: usize,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
}

/// Names in the order of their numbers, as they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Named {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clients: Vec<String>,
}

/// A table of names that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misnamed {
    /// One name, two numbers.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// More than a record can tell apart.
    #[error("`{0}` is one name too many")]
    TooMany(String),
}

#[derive(Clone, Default)]
struct Table {
    names: Vec<String>,
    numbers: FxHashMap<String, usize>,
}

impl Table {
    fn intern(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.numbers.insert(name.to_owned(), self.names.len());
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    fn within(&mut self, most: usize, name: &str) -> Option<usize> {
        let known = self.numbers.contains_key(name);
        (known || self.names.len() < most).then(|| self.intern(name))
    }

    fn extend(&mut self, names: Vec<String>, most: usize) -> Result<(), Misnamed> {
        for name in names {
            match self.numbers.contains_key(&name) {
                true => return Err(Misnamed::Twice(name)),
                false if self.names.len() >= most => return Err(Misnamed::TooMany(name)),
                false => self.intern(&name),
            };
        }
        Ok(())
    }

    fn name(&self, number: usize) -> &str {
        self.names.get(number).map_or("?", String::as_str)
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}
