//! Instance types: configuration, not code. The shipped table is the default of that configuration.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A processor architecture, named as Kubernetes and OCI name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// One line of the table. `cores` is in thousandths of a core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceType {
    pub name: String,
    pub millicores: u32,
    pub arch: Arch,
}

/// The configured table, in order; the first is the default. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceTypes(Vec<InstanceType>);

impl Default for InstanceTypes {
    fn default() -> Self {
        let row = |name: &str, millicores, arch| InstanceType { name: name.to_owned(), millicores, arch };
        Self(vec![
            row("nano", 500, Arch::Arm64),
            row("micro", 1000, Arch::Arm64),
            row("mini", 2000, Arch::Arm64),
            row("tiny", 1000, Arch::Amd64),
            row("small", 2000, Arch::Amd64),
            row("medium", 4000, Arch::Amd64),
        ])
    }
}

impl InstanceTypes {
    /// # Errors
    /// [`Invalid`] when the table is empty, a name is not a short lower-case word or appears twice, or a type has no core.
    pub fn new(rows: Vec<InstanceType>) -> Result<Self, Invalid> {
        let wrong = |detail: String| Err(Invalid::new("instance_types", detail));
        if rows.is_empty() {
            return wrong("at least one instance type is needed".into());
        }
        for (at, row) in rows.iter().enumerate() {
            let word = (1..=32).contains(&row.name.len())
                && row.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !word || row.millicores == 0 || rows[..at].iter().any(|other| other.name == row.name) {
                return wrong(format!("line {} needs a unique lower-case name and more than 0 millicores", at + 1));
            }
        }
        Ok(Self(rows))
    }

    pub fn iter(&self) -> impl Iterator<Item = &InstanceType> {
        self.0.iter()
    }

    pub fn default_type(&self) -> &InstanceType {
        &self.0[0]
    }

    pub fn find(&self, name: &str) -> Option<&InstanceType> {
        self.0.iter().find(|row| row.name == name)
    }

    /// # Errors
    /// [`Invalid`] with field `instance_type` when the name is unknown or no node offers its architecture.
    pub fn admit(&self, name: &str, offered: &[Arch]) -> Result<&InstanceType, Invalid> {
        let available = |row: &&InstanceType| offered.contains(&row.arch);
        let names = || self.iter().filter(available).map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
        match self.find(name) {
            Some(row) if available(&row) => Ok(row),
            Some(row) => Err(Invalid::new(
                "instance_type",
                format!("no node of this cluster is {}; available are: {}", row.arch.as_str(), names()),
            )),
            None => Err(Invalid::new(
                "instance_type",
                format!("there is no such instance type; available are: {}", names()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_admitted_by_name_and_architecture() {
        let table = InstanceTypes::default();
        assert_eq!(table.admit("small", &[Arch::Amd64]).map(|row| row.millicores), Ok(2000));
        assert_eq!(table.admit("nano", &[Arch::Amd64]).unwrap_err().field, "instance_type");
        assert!(table.admit("huge", &[Arch::Amd64]).unwrap_err().detail.contains("tiny, small, medium"));
        assert_eq!(table.default_type().name, "nano");
    }

    #[test]
    fn a_table_must_make_sense() {
        let row = |name: &str, millicores| InstanceType { name: name.into(), millicores, arch: Arch::Amd64 };
        assert!(InstanceTypes::new(vec![]).is_err());
        assert!(InstanceTypes::new(vec![row("a", 1), row("a", 2)]).is_err());
        assert!(InstanceTypes::new(vec![row("A b", 1)]).is_err());
        assert!(InstanceTypes::new(vec![row("a", 0)]).is_err());
        assert!(InstanceTypes::new(vec![row("a", 1), row("b", 2)]).is_ok());
    }
}
