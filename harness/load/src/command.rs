//! Commands, and the answers to them, in a form that every client library is given and gives.

/// Commands that belong together: about one key, sent one after the other on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What decides where they go.
    pub key: String,
    /// Each in its words.
    pub commands: Vec<Vec<String>>,
}

impl Request {
    /// One command.
    pub fn new(key: &str, words: &[&str]) -> Self {
        Self { key: key.to_owned(), commands: vec![owned(words)] }
    }

    /// And one more.
    pub fn then(mut self, words: &[&str]) -> Self {
        self.commands.push(owned(words));
        self
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a server answered, if it was no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// There is nothing.
    Nothing,
    /// A number.
    Number(i64),
    /// Some bytes; `OK`, too.
    Text(Vec<u8>),
    /// Several.
    List(Vec<Self>),
}

impl Reply {
    /// The text; none where it is something else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number, also where it is written as a text.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => self.text()?.parse().ok(),
        }
    }

    /// The parts; none of anything else.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(parts) => parts,
            _ => &[],
        }
    }
}

impl From<redis::Value> for Reply {
    fn from(value: redis::Value) -> Self {
        use redis::Value;
        match value {
            Value::Int(number) => Self::Number(number),
            Value::BulkString(bytes) => Self::Text(bytes),
            Value::SimpleString(text) => Self::Text(text.into_bytes()),
            Value::VerbatimString { text, .. } => Self::Text(text.into_bytes()),
            Value::Okay => Self::Text(b"OK".to_vec()),
            Value::Boolean(truth) => Self::Number(truth.into()),
            Value::Double(number) => Self::Text(number.to_string().into_bytes()),
            Value::Array(parts) | Value::Set(parts) => {
                Self::List(parts.into_iter().map(Self::from).collect())
            }
            Value::Map(pairs) => {
                Self::List(pairs.into_iter().flat_map(|(key, value)| [key.into(), value.into()]).collect())
            }
            _ => Self::Nothing,
        }
    }
}

impl From<fred::types::Value> for Reply {
    fn from(value: fred::types::Value) -> Self {
        use fred::types::Value;
        match value {
            Value::Integer(number) => Self::Number(number),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Bytes(bytes) => Self::Text(bytes.to_vec()),
            Value::Boolean(truth) => Self::Number(truth.into()),
            Value::Double(number) => Self::Text(number.to_string().into_bytes()),
            Value::Array(parts) => Self::List(parts.into_iter().map(Self::from).collect()),
            Value::Map(map) => Self::List(
                map.inner()
                    .into_iter()
                    .flat_map(|(key, value)| [Self::Text(key.into_bytes().to_vec()), value.into()])
                    .collect(),
            ),
            Value::Null | Value::Queued => Self::Nothing,
        }
    }
}
