//! All that a server needs in one folder: patterns, an agent, its database, a scripted model, a configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Place;
use super::server::{Ports, Server};

/// What every turn answers; the model says it once it has seen the tool's result.
pub(super) const ANSWER: &str = "There are as many orders as the query says.";
/// What every turn asks.
pub(super) const QUESTION: &str = "How many orders are there?";

/// The first call of a turn runs a query, the second answers.
const SCRIPT: &str = r#"
rules:
  - when: { after_tool: "*" }
    reply: { text: ANSWER }
default:
  tool_calls:
    - { name: query, arguments: { sql: "SELECT COUNT(*) AS orders FROM orders" } }
"#;

const AGENT: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: analyst }
spec:
  backends: [shop]
  system_prompt: Answer from the data.
";

const TALKER: &str = "
apiVersion: loom/v1
kind: Agent
metadata: { name: analyst }
spec:
  system_prompt: Answer.
  config: { patterns: { enabled: false } }
";

const BACKEND: &str = "
apiVersion: loom/v1
kind: Backend
name: shop
type: sqlite
connection: { path: ../shop.db }
";

/// A folder for one server after another.
pub(super) struct Site<'a> {
    place: &'a Place,
    folder: PathBuf,
}

impl<'a> Site<'a> {
    /// Makes the folder `name` with everything but the server's own data, and `patterns` pattern files.
    pub(super) fn make(place: &'a Place, name: &str, patterns: usize) -> Result<Self> {
        let folder = place.scratch.path().join(name);
        for part in ["agents", "backends", "patterns"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        std::fs::copy(shop(place)?, folder.join("shop.db"))?;
        std::fs::write(folder.join("script.yaml"), SCRIPT.replace("ANSWER", ANSWER))?;
        std::fs::write(folder.join("agents/analyst.yaml"), AGENT)?;
        std::fs::write(folder.join("backends/shop.yaml"), BACKEND)?;
        let site = Self { place, folder };
        site.make_patterns(patterns)?;
        Ok(site)
    }

    /// Replaces the agent by one that runs no query: it answers by `script`.
    pub(super) fn talks(&self, script: &str) -> Result<()> {
        std::fs::write(self.folder.join("agents/analyst.yaml"), TALKER)?;
        Ok(std::fs::write(self.folder.join("script.yaml"), script)?)
    }

    /// Adds agents until there are `count`, and returns the names of all.
    pub(super) fn add_agents(&self, count: usize) -> Result<Vec<String>> {
        let names = (0..count).map(|number| match number {
            0 => "analyst".to_owned(),
            number => format!("analyst-{number}"),
        });
        let names: Vec<_> = names.collect();
        for name in &names {
            let text = AGENT.replace("analyst", name);
            std::fs::write(self.folder.join("agents").join(format!("{name}.yaml")), text)?;
        }
        Ok(names)
    }

    /// Bytes of the store's main file.
    pub(super) fn stored_bytes(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.folder.join("data/loom.db"))?.len())
    }

    /// The database of the shop.
    pub(super) fn shop(&self) -> PathBuf {
        self.folder.join("shop.db")
    }

    /// A file of that name in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a server on the folder.
    pub(super) fn start(&self) -> Result<Server> {
        let ports = Ports::free()?;
        let config = self.folder.join("looms.yaml");
        std::fs::write(&config, self.configuration(ports))?;
        Server::start(&self.place.looms, &config, &self.folder.join("log"), ports)
    }

    /// The file of a pattern that [`make`](Self::make) made.
    pub(super) fn pattern_file(&self, name: &str) -> PathBuf {
        self.folder.join("patterns").join(format!("{name}.yaml"))
    }

    /// Everything not said here is the default.
    fn configuration(&self, ports: Ports) -> String {
        let folder = self.folder.display();
        let Ports { grpc, http } = ports;
        format!(
            "data_dir: '{folder}/data'\n\
             patterns_dir: '{folder}/patterns'\n\
             agents_dir: '{folder}/agents'\n\
             backends_dir: '{folder}/backends'\n\
             server: {{ grpc_port: {grpc}, http_port: {http} }}\n\
             llm: {{ provider: mock, model: script }}\n\
             providers: {{ mock: {{ type: mock, script: '{folder}/script.yaml' }} }}\n"
        )
    }

    /// Copies of the library's own patterns under other names, until there are `count`.
    fn make_patterns(&self, count: usize) -> Result<()> {
        let models = library(&self.place.patterns)?;
        if models.is_empty() {
            bail!("no patterns in {}", self.place.patterns.display());
        }
        for (index, text) in models.iter().cycle().take(count).enumerate() {
            let name = pattern_name(index);
            let text = renamed(text, &name).with_context(|| format!("a pattern without a name: {text}"))?;
            std::fs::write(self.pattern_file(&name), text)?;
        }
        Ok(())
    }
}

/// The name of the pattern made as number `index`.
pub(super) fn pattern_name(index: usize) -> String {
    format!("bench_{index:03}")
}

/// The texts of the pattern files in the libraries below `folder`, in order.
fn library(folder: &Path) -> Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for library in std::fs::read_dir(folder)? {
        let library = library?.path();
        if library.is_dir() {
            let entries = std::fs::read_dir(library)?.collect::<std::io::Result<Vec<_>>>()?;
            files.extend(entries.into_iter().map(|entry| entry.path()));
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().map(|file| Ok(std::fs::read_to_string(file)?)).collect()
}

/// The pattern `text` under another name.
pub(super) fn renamed(text: &str, name: &str) -> Option<String> {
    with_line(text, "name: ", name)
}

/// The pattern `text` with another description.
pub(super) fn described(text: &str, description: &str) -> Option<String> {
    with_line(text, "description: ", description)
}

/// `text` with the first line that starts with `key` ending in `value`.
fn with_line(text: &str, key: &str, value: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(text.replacen(line, &format!("{key}{value}"), 1))
}

/// The shop database, made by the quickstart the first time.
fn shop(place: &Place) -> Result<PathBuf> {
    let folder = place.scratch.path().join("quickstart");
    let database = folder.join("shop.db");
    if !database.is_file() {
        let mut command = Command::new(&place.looms);
        command.args(["quickstart", "--no-chat", "--data-dir"]).arg(&folder);
        crate::workspace::run(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    }
    Ok(database)
}
