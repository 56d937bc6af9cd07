//! What others may know of the cluster without asking it.

use std::sync::{Arc, PoisonError, RwLock};

use berth_core::instance::Arch;

/// Cheap to clone; all clones show the same.
#[derive(Debug, Clone)]
pub struct Health(Arc<RwLock<State>>);

#[derive(Debug)]
struct State {
    architectures: Vec<Arch>,
    trouble: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let trouble = Some("the Kubernetes API server has not been reached yet".to_owned());
        Self(Arc::new(RwLock::new(State { architectures: Vec::new(), trouble })))
    }
}

impl Health {
    /// Architectures that nodes offer, as last seen.
    pub fn architectures(&self) -> Vec<Arch> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).architectures.clone()
    }

    /// # Errors
    /// The sentence that says what is wrong.
    pub fn ready(&self) -> std::result::Result<(), String> {
        match &self.0.read().unwrap_or_else(PoisonError::into_inner).trouble {
            None => Ok(()),
            Some(sentence) => Err(sentence.clone()),
        }
    }

    pub(crate) fn well(&self, architectures: Vec<Arch>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = State { architectures, trouble: None };
    }

    pub(crate) fn trouble(&self, sentence: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).trouble = Some(sentence);
    }
}
