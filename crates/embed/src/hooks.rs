//! Makes the hooks that agents define.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loom_base::{Clock, ErrorCode, Secret};
use loom_config::{Environment, SecretRef, Secrets};
use loom_hooks::{Author, GitCommit, SecretSource, Webhook};
use loom_http_client::{Client, Limits};
use loom_runtime::{Error, HookDefinition, HookKind, HookMaker};
use loom_tools::{EffectClass, Hook, HookSpec};

use crate::watch::Lookup;

/// Bytes of a webhook's answer that are read at most; it reads fewer itself.
const MOST_BODY: usize = 1 << 20;

/// Makes webhooks and git commits.
pub(crate) struct Hooks {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lookup: Lookup,
    /// Those of the configuration; without one, variables are looked up.
    pub(crate) secrets: Option<Secrets>,
    pub(crate) client: Mutex<Option<Client>>,
}

impl HookMaker for Hooks {
    fn make(&self, definition: &HookDefinition) -> Result<Arc<dyn Hook>, Error> {
        let effect = match &definition.kind {
            HookKind::Webhook { effect, .. } => *effect,
            HookKind::GitCommit { .. } => EffectClass::Idempotent,
        };
        let spec = HookSpec {
            name: definition.name.as_str().into(),
            points: definition.points.clone(),
            effect,
            timeout: definition.timeout,
            on_failure: definition.on_failure,
        };
        Ok(match &definition.kind {
            HookKind::Webhook { url, secret_variable, .. } => {
                let secret = self.secret(secret_variable);
                let made = Webhook::new(spec, url, secret, self.client()?, Arc::clone(&self.clock));
                Arc::new(made.map_err(|error| {
                    let message = format!("the hook {:?}: {error}", definition.name);
                    Error::new(ErrorCode::InvalidConfig, message)
                })?)
            }
            HookKind::GitCommit { workspace, author_name, author_email } => {
                let author = Author { name: author_name.clone(), email: author_email.clone() };
                Arc::new(GitCommit::new(spec, workspace.clone(), author, (self.lookup)("PATH")))
            }
        })
    }
}

impl Hooks {
    /// Reads the secret anew for each request, so that one that was exchanged is used at once.
    fn secret(&self, variable: &str) -> SecretSource {
        let place = SecretRef::in_variable(variable);
        let (secrets, lookup) = (self.secrets.clone(), Arc::clone(&self.lookup));
        Arc::new(move || -> Result<Secret, String> {
            let looked_up = || {
                let names = [place.variable().to_owned(), place.file_variable()];
                let set = names.into_iter().filter_map(|name| Some((name.clone(), lookup(&name)?)));
                Secrets::new(set.collect::<Environment>())
            };
            let secrets = secrets.clone().unwrap_or_else(looked_up);
            secrets.get(&place).map_err(|error| error.to_string())
        })
    }

    fn client(&self) -> Result<Client, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let limits = Limits { silence: Duration::from_hours(1), body: MOST_BODY, ..Limits::default() };
        let made = Client::new(limits, Arc::clone(&self.clock));
        let made = made.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        Ok(client.insert(made).clone())
    }
}
