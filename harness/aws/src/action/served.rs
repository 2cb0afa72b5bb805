//! Parameters of which one value is served: who sends it is not refused.

use crate::{fault::Fault, request::Form};

/// In the words of CreateReplicationGroup and ModifyReplicationGroup.
const SERVED: [(&str, &str); 9] = [
    ("AtRestEncryptionEnabled", "false"),
    // It opts in to upgrades that AWS decides on. Here there are none.
    ("AutoMinorVersionUpgrade", "true"),
    ("ClusterMode", "disabled"),
    ("DataTieringEnabled", "false"),
    ("NetworkType", "ipv4"),
    ("NumNodeGroups", "1"),
    // What the nodes listen on; clients on this machine reach them by way of other ports.
    ("Port", "6379"),
    ("SnapshotRetentionLimit", "0"),
    ("TransitEncryptionEnabled", "false"),
];

/// Takes them, or refuses what they are.
pub(super) fn take(form: &mut Form) -> Result<(), Fault> {
    for (name, served) in SERVED {
        if let Some(wanted) = form.text(name).filter(|wanted| wanted != served) {
            let text = format!("{name} is `{wanted}`; here it is `{served}` and nothing else");
            return Err(Fault::InvalidParameterValue(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::form;

    #[test]
    fn what_is_served_may_be_said_and_nothing_else() {
        let said = SERVED.map(|(name, served)| format!("{name}={served}")).join("&");
        let mut sound = form(&format!("Action=CreateReplicationGroup&{said}"));
        assert_eq!(take(&mut sound), Ok(()));
        assert!(sound.is_empty());
        let refused = take(&mut form("Action=CreateReplicationGroup&Port=6380"));
        assert!(matches!(refused, Err(Fault::InvalidParameterValue(_))));
    }
}
