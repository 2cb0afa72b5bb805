//! Names that must not be mixed up with each other.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<S: Into<String>> From<S> for $name {
            fn from(name: S) -> Self {
                Self(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(
    /// One run of the lab, `<utc>-<id>`: the name of its report folder and the value of its label.
    RunId
);
id!(
    /// A step of a lab, as in its checklist: `write-rejection`.
    StepId
);
id!(
    /// One gradable claim: `write.readonly-error`.
    CheckId
);
id!(
    /// A node of a topology, as ElastiCache names cache clusters: `lab-001`.
    NodeId
);
