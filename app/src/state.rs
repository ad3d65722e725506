//! What every request sees.

use axum::extract::FromRef;
use difftest_store::Store;

use crate::signature::WebhookSecrets;

#[derive(Debug, Clone)]
pub struct AppState {
    pub store: Store,
    pub secrets: WebhookSecrets,
}

impl FromRef<AppState> for WebhookSecrets {
    fn from_ref(state: &AppState) -> Self {
        state.secrets.clone()
    }
}

impl FromRef<AppState> for Store {
    fn from_ref(state: &AppState) -> Self {
        state.store.clone()
    }
}
