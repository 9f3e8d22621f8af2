//! The list of what the runner honours: one file, read by the plan's checks too.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Honours {
    pub modules: BTreeMap<String, ModuleSpec>,
    pub keywords: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleSpec {
    pub arguments: Vec<String>,
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Of each group one argument must be given.
    #[serde(default)]
    pub required: Vec<Vec<String>>,
    #[serde(default)]
    pub choices: BTreeMap<String, Vec<String>>,
    /// Regular expressions: each text that the argument holds fits one from its beginning to its end.
    #[serde(default)]
    pub matches: BTreeMap<String, String>,
    #[serde(default)]
    pub free_form: bool,
    #[serde(default)]
    pub any_arguments: bool,
}

/// The file itself, for whoever asks the binary.
pub const HONOURS_JSON: &str = include_str!("../../honours.json");

/// # Panics
/// When `honours.json` is malformed, which a test rules out.
pub fn honours() -> &'static Honours {
    static HONOURS: OnceLock<Honours> = OnceLock::new();
    HONOURS.get_or_init(|| serde_json::from_str(HONOURS_JSON).expect("honours.json is checked by a test"))
}

/// The name without the collection that Ansible's own modules live in, or did.
#[must_use]
pub fn short_name(module: &str) -> &str {
    if module == "community.general.archive" {
        return "archive";
    }
    module.strip_prefix("ansible.builtin.").or_else(|| module.strip_prefix("ansible.legacy.")).unwrap_or(module)
}
