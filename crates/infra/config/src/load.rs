//! From all sources to one configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loom_base::ErrorCode;

use crate::error::{ConfigError, ConfigErrors};
use crate::explain::{Explanation, Notice};
use crate::layers::{Candidate, Layers};
use crate::schema::{self, Meaning};
use crate::secret::Secrets;
use crate::sections::Config;
use crate::source::{Position, Source};
use crate::unbuilt::{Unbuilt, text_says_off};
use crate::{Environment, file, nearest, profile, validate};
use loom_yaml::Node;

/// The variable that names the file.
const CONFIG: &str = "LOOM_CONFIG";
/// The variable that selects a profile.
const ENV: &str = "LOOM_ENV";
/// The name of the file in the folders that are searched.
const FILE_NAME: &str = "looms.yaml";
/// The folder for a whole machine.
const SYSTEM_DIR: &str = "/etc/loom";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Variables without `LOOM_` that other Looms bind and this one does not, and for what.
const OTHERS: &[(&str, &str)] = &[("BEDROCK_REGION", "the provider bedrock")];

/// A value from the command line. It has no `Debug`: the value may be a secret that will be refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// How the user wrote it, for messages: `--port`.
    pub flag: String,
    /// The key it sets, with dots.
    pub key: String,
    /// The value; the items of a list are separated by commas.
    pub value: String,
}

impl Flag {
    /// The flag `flag` sets `key` to `value`.
    pub fn new(flag: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { flag: flag.into(), key: key.into(), value: value.into() }
    }
}

/// Which file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileChoice {
    /// `LOOM_CONFIG` or, when that is unset, the first there is of `looms.yaml` in the data folder and in `/etc/loom`.
    /// The current folder is not searched: whoever wrote it need not be the operator.
    #[default]
    Search,
    /// This one, which must exist.
    Named(PathBuf),
    /// None, not even `LOOM_CONFIG`.
    Nothing,
}

/// Everything a configuration is made from.
#[derive(Clone, Default)]
pub struct Inputs {
    /// From the command line; of two for one key the first wins.
    pub flags: Vec<Flag>,
    /// Which file is read.
    pub file: FileChoice,
    /// The environment.
    pub env: Environment,
    /// `LOOM_*` variables that something else reads, so that they are not reported as unknown.
    pub also_bound: Vec<String>,
}

/// A configuration, and how it came to be.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know of the environment, each thing once.
    pub notices: Vec<Notice>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// The profile that `LOOM_ENV` selects, if any.
    pub profile: Option<String>,
    /// The secrets of this environment.
    pub secrets: Secrets,
    explained: BTreeMap<String, Explanation>,
}

impl Config {
    /// Reads all sources. Everything that is wrong is reported, not only the first thing.
    pub fn load(inputs: Inputs) -> Result<Loaded, ConfigErrors> {
        let env = &inputs.env;
        let mut layers = Layers::new(env);
        let chosen = choose_file(&inputs);
        let selected = env.get(ENV);
        let mut profiles = Some(Vec::new());
        if let Some(path) = &chosen {
            let name: Arc<str> = path.display().to_string().into();
            match read_file(path, &name) {
                Ok(root) => profiles = Some(file::add(root, &name, selected, &mut layers)),
                Err(error) => {
                    layers.errors.push(error);
                    profiles = None;
                }
            }
        }
        add_flags(&inputs.flags, &mut layers);
        add_environment(env, &mut layers);
        // Of a file that cannot be read, nobody knows which profiles it describes.
        if let (Some(name), Some(described)) = (selected, &profiles) {
            add_profile(name, described, &mut layers);
        }
        let config = Self::read(&mut layers);
        validate::validate(&config, &mut layers);
        let notices = notices(&inputs, &layers);
        let Layers { errors, explained, .. } = layers;
        ConfigErrors::check(errors)?;
        let profile = selected.map(str::to_owned);
        Ok(Loaded { config, notices, file: chosen, profile, secrets: Secrets::new(inputs.env), explained })
    }
}

impl Loaded {
    /// Where the value of `key` came from. An alias answers for its key.
    pub fn explain(&self, key: &str) -> Result<&Explanation, UnknownKey> {
        let unknown = |hint| UnknownKey { key: key.to_owned(), hint };
        match schema::meaning(key) {
            Meaning::Key { name } => {
                self.explained.get(&name).ok_or_else(|| unknown("; the file has no such provider".to_owned()))
            }
            Meaning::Section => Err(unknown("; it is a section".to_owned())),
            Meaning::Unbuilt(_) => Err(unknown("; it is not in this version".to_owned())),
            Meaning::Unknown => Err(unknown(schema::hint(key))),
        }
    }

    /// The value of `key` as text; `None` when it is unset. A secret is not shown.
    pub fn get(&self, key: &str) -> Result<Option<&str>, UnknownKey> {
        self.explain(key).map(|found| found.value.as_deref())
    }

    /// Every key with its value and source, in the order of names.
    pub fn explain_all(&self) -> impl Iterator<Item = &Explanation> {
        self.explained.values()
    }
}

/// A key that was asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown key `{key}`{hint}")]
pub struct UnknownKey {
    key: String,
    hint: String,
}

impl UnknownKey {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::UnknownField
    }
}

fn choose_file(inputs: &Inputs) -> Option<PathBuf> {
    match &inputs.file {
        FileChoice::Nothing => None,
        FileChoice::Named(path) => Some(path.clone()),
        FileChoice::Search => {
            if let Some(path) = inputs.env.get(CONFIG) {
                return Some(path.into());
            }
            let flag =
                inputs.flags.iter().find(|flag| flag.key == "data_dir").map(|flag| flag.value.as_str());
            let home = || inputs.env.get("HOME").map(|home| Path::new(home).join(".loom"));
            let data_dir = flag.or_else(|| inputs.env.get("LOOM_DATA_DIR")).map(PathBuf::from).or_else(home);
            let folders = data_dir.into_iter().chain([PathBuf::from(SYSTEM_DIR)]);
            folders.map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
        }
    }
}

fn read_file(path: &Path, name: &Arc<str>) -> Result<Node, ConfigError> {
    let refuse = |code, position, message: String| ConfigError::new(code, Source::File(position), message);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("the configuration file cannot be read: {error}");
        return Err(refuse(ErrorCode::InvalidConfig, Position::whole(name), message));
    }
    if bytes.len() as u64 > MAX_FILE {
        let message = format!("the configuration file is larger than {MAX_FILE} bytes");
        return Err(refuse(ErrorCode::InvalidConfig, Position::whole(name), message));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        let message = "the configuration file is not UTF-8".to_owned();
        return Err(refuse(ErrorCode::InvalidYaml, Position::whole(name), message));
    };
    Node::parse(&text)
        .map_err(|error| refuse(ErrorCode::InvalidYaml, Position::at(name, error.position), error.message))
}

fn add_flags(flags: &[Flag], layers: &mut Layers<'_>) {
    for flag in flags {
        let source = Source::Flag(flag.flag.clone());
        let (code, message) = match schema::meaning(&flag.key) {
            Meaning::Key { name } => {
                layers.add(&name, Candidate::new(source, flag.key.clone(), Node::text(flag.value.clone())));
                continue;
            }
            Meaning::Unbuilt(_) if text_says_off(&flag.value) => continue,
            Meaning::Unbuilt(key) => (ErrorCode::UnsupportedField, key.message(&flag.key)),
            Meaning::Section => (ErrorCode::UnknownField, format!("`{}` is a section, not a key", flag.key)),
            Meaning::Unknown => {
                (ErrorCode::UnknownField, format!("unknown key `{}`{}", flag.key, schema::hint(&flag.key)))
            }
        };
        layers.errors.push(ConfigError::new(code, source, message));
    }
}

fn add_environment(env: &Environment, layers: &mut Layers<'_>) {
    for key in schema::all() {
        for variable in key.variables() {
            let in_file = key.secret && env.get(&format!("{variable}_FILE")).is_some();
            // A secret's own text is not taken along.
            let text = if key.secret { env.get(&variable).map(|_| "") } else { env.get(&variable) };
            if let Some(text) = text.or(in_file.then_some("")) {
                let source = Source::Environment(variable);
                layers.add(key.name, Candidate::new(source, key.name, Node::text(text)));
            }
        }
    }
    let known = known_variables();
    for name in env.names().filter(|name| name.starts_with("LOOM_") && !known.contains(*name)) {
        match Unbuilt::for_variable(name) {
            Some(key) if !env.get(name).is_none_or(text_says_off) => {
                let source = Source::Environment(name.to_owned());
                layers.errors.push(ConfigError::new(ErrorCode::UnsupportedField, source, key.message(name)));
            }
            _ => {}
        }
    }
}

fn add_profile(name: &str, described: &[String], layers: &mut Layers<'_>) {
    if described.iter().any(|other| other == name) {
        return;
    }
    let Some(values) = profile::built_in(name) else {
        let names = profile::BUILT_IN.iter().copied().chain(described.iter().map(String::as_str));
        let hint = nearest::hint(name, names);
        let message = format!("there is no profile `{name}`: describe it under `profiles` in the file{hint}");
        let source = Source::Environment(ENV.to_owned());
        layers.errors.push(ConfigError::new(ErrorCode::InvalidConfig, source, message));
        return;
    };
    for (key, value) in values {
        let source = Source::Profile { name: name.to_owned(), position: None };
        layers.add(key, Candidate::new(source, *key, Node::text(*value)));
    }
}

/// Every `LOOM_*` variable that sets something.
fn known_variables() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = [CONFIG, ENV].map(str::to_owned).into();
    for key in schema::all() {
        for variable in key.variables() {
            if key.secret {
                known.insert(format!("{variable}_FILE"));
            }
            known.insert(variable);
        }
    }
    known
}

fn notices(inputs: &Inputs, layers: &Layers<'_>) -> Vec<Notice> {
    let mut notices = Vec::new();
    for found in layers.explained.values() {
        if matches!(found.source, Source::Flag(_)) {
            continue;
        }
        for shadowed in &found.shadowed {
            if let Source::Environment(variable) = &shadowed.source {
                let (variable, key, by) = (variable.clone(), found.key.clone(), found.source.clone());
                notices.push(Notice::Shadowed { variable, key, by });
            }
        }
    }
    let known = known_variables();
    let names: Vec<String> = known.iter().cloned().collect();
    for name in inputs.env.names().filter(|name| name.starts_with("LOOM_")) {
        let bound = known.contains(name)
            || layers.used.contains(name)
            || inputs.also_bound.iter().any(|other| other == name);
        if !bound && Unbuilt::for_variable(name).is_none() {
            notices.push(Notice::unknown(name, &names));
        }
    }
    for (variable, feature) in OTHERS {
        if inputs.env.get(variable).is_some() {
            notices.push(Notice::NoEffect { variable, feature });
        }
    }
    notices.sort();
    notices
}
