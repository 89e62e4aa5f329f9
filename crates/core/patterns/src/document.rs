//! Reads a pattern file: a single pattern, or a library with its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::pattern::{CommonError, Example, Library, Parameter, Pattern, PatternError, Rule};
use crate::template::{Template, system_role_problem};
use loom_yaml::Position;

/// Reads the patterns of one file. `file` is its path below the patterns folder, with `/` between folders: the first
/// folder is the domain of a single pattern.
pub fn parse(file: &str, text: &str) -> Result<Vec<Pattern>, PatternError> {
    let reader = Reader { file: file.into() };
    match loom_yaml::read(text) {
        Ok(keys) => reader.single(keys).map(|pattern| vec![pattern]),
        // A library has no key in common with a single pattern.
        Err(error) if error.unknown_key && reader.read::<Probe>(text)?.kind.is_some() => {
            reader.library(reader.read(text)?)
        }
        Err(error) => Err(reader.error(error.position, error.message)),
    }
}

/// The domain of a pattern whose file lies in no folder.
const NO_DOMAIN: &str = "general";
const API_VERSION: &str = "loom/v1";
const LIBRARY_KIND: &str = "PatternLibrary";
/// The key that the one template of a library entry gets.
const ENTRY_TEMPLATE: &str = "template";

#[derive(Deserialize)]
struct Probe {
    kind: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SingleKeys {
    name: Spanned<String>,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    category: Option<String>,
    difficulty: Option<String>,
    backend_type: Option<String>,
    #[serde(alias = "teradata_function")]
    backend_function: Option<String>,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    intents: Vec<String>,
    #[serde(default)]
    use_cases: Vec<String>,
    #[serde(default)]
    parameters: Vec<Spanned<Parameter>>,
    #[serde(default)]
    templates: BTreeMap<String, Spanned<TemplateKeys>>,
    #[serde(default)]
    examples: Vec<Example>,
    #[serde(default)]
    common_errors: Vec<CommonError>,
    best_practices: Option<String>,
    syntax: Option<Value>,
    validation: Option<Value>,
    #[serde(default)]
    related_patterns: Vec<String>,
}

enum TemplateKeys {
    Text(String),
    Described(DescribedTemplate),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedTemplate {
    #[serde(default)]
    description: String,
    content: Option<String>,
    sql: Option<String>,
    #[serde(default)]
    required_parameters: Vec<String>,
    output_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryKeys {
    #[serde(rename = "apiVersion")]
    api_version: Option<Spanned<String>>,
    kind: Spanned<String>,
    metadata: Library,
    spec: LibrarySpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibrarySpec {
    entries: Vec<EntryKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryKeys {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    trigger_conditions: Vec<String>,
    template: Option<Spanned<String>>,
    example: Option<String>,
    rule: Option<Rule>,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    tags: Vec<String>,
}

impl<'de> Deserialize<'de> for TemplateKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;

        impl<'de> Visitor<'de> for TextOrMap {
            type Value = TemplateKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template: a text, or a mapping with `content` or `sql`")
            }

            fn visit_str<E>(self, text: &str) -> Result<TemplateKeys, E> {
                Ok(TemplateKeys::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TemplateKeys, A::Error> {
                DescribedTemplate::deserialize(MapAccessDeserializer::new(map)).map(TemplateKeys::Described)
            }
        }

        deserializer.deserialize_any(TextOrMap)
    }
}

struct Reader {
    file: Arc<str>,
}

impl Reader {
    fn error(&self, position: Position, message: impl Into<String>) -> PatternError {
        PatternError { file: Arc::clone(&self.file), position, message: message.into() }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, PatternError> {
        loom_yaml::read(text).map_err(|error| self.error(error.position, error.message))
    }

    fn single(&self, keys: SingleKeys) -> Result<Pattern, PatternError> {
        let parameters = self.parameters(keys.parameters)?;
        let templates = keys
            .templates
            .into_iter()
            .map(|(key, written)| {
                let position = written.referenced.into();
                self.template(&key, position, written.value, &parameters).map(|template| (key, template))
            })
            .collect::<Result<_, _>>()?;
        Ok(Pattern {
            name: self.name(&keys.name)?,
            title: keys.title,
            description: keys.description.trim_end().to_owned(),
            domain: self.file.split_once('/').map_or(NO_DOMAIN, |(folder, _)| folder).to_owned(),
            library: None,
            category: keys.category,
            difficulty: keys.difficulty,
            backend_type: keys.backend_type,
            backend_function: keys.backend_function,
            priority: keys.priority,
            tags: keys.tags,
            intents: keys.intents,
            use_cases: keys.use_cases,
            parameters,
            templates,
            examples: keys.examples,
            common_errors: keys.common_errors,
            best_practices: keys.best_practices,
            syntax: keys.syntax,
            validation: keys.validation,
            rule: None,
            related_patterns: keys.related_patterns,
            file: Arc::clone(&self.file),
        })
    }

    fn library(&self, keys: LibraryKeys) -> Result<Vec<Pattern>, PatternError> {
        if keys.kind.value != LIBRARY_KIND {
            return Err(self.error(keys.kind.referenced.into(), format!("`kind` must be `{LIBRARY_KIND}`")));
        }
        if let Some(version) = keys.api_version.filter(|version| version.value != API_VERSION) {
            let message = format!("`apiVersion` must be `{API_VERSION}`");
            return Err(self.error(version.referenced.into(), message));
        }
        let library = Arc::new(keys.metadata);
        let mut names = BTreeSet::new();
        let mut patterns = Vec::new();
        for entry in keys.spec.entries {
            if !names.insert(entry.name.value.clone()) {
                let message = format!("two entries are called `{}`", entry.name.value);
                return Err(self.error(entry.name.referenced.into(), message));
            }
            patterns.push(self.entry(entry, &library)?);
        }
        Ok(patterns)
    }

    fn entry(&self, keys: EntryKeys, library: &Arc<Library>) -> Result<Pattern, PatternError> {
        let mut templates = BTreeMap::new();
        if let Some(written) = keys.template {
            let text = TemplateKeys::Text(written.value);
            let template = self.template(ENTRY_TEMPLATE, written.referenced.into(), text, &[])?;
            templates.insert(ENTRY_TEMPLATE.to_owned(), template);
        }
        let example = |expected_result| Example { expected_result, ..Example::default() };
        Ok(Pattern {
            name: self.name(&keys.name)?,
            title: String::new(),
            description: keys.description.trim_end().to_owned(),
            domain: library.domain.clone().unwrap_or_else(|| library.name.clone()),
            library: Some(Arc::clone(library)),
            category: library.labels.get("category").cloned(),
            difficulty: None,
            backend_type: None,
            backend_function: None,
            priority: keys.priority,
            tags: keys.tags,
            intents: keys.trigger_conditions,
            use_cases: Vec::new(),
            parameters: Vec::new(),
            templates,
            examples: keys.example.map(example).into_iter().collect(),
            common_errors: Vec::new(),
            best_practices: None,
            syntax: None,
            validation: None,
            rule: keys.rule,
            related_patterns: Vec::new(),
            file: Arc::clone(&self.file),
        })
    }

    fn name(&self, written: &Spanned<String>) -> Result<String, PatternError> {
        let name = written.value.trim();
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(
                self.error(written.referenced.into(), "a pattern's name has no spaces and is not empty")
            );
        }
        Ok(name.to_owned())
    }

    fn parameters(&self, written: Vec<Spanned<Parameter>>) -> Result<Vec<Parameter>, PatternError> {
        let mut names = BTreeSet::new();
        for parameter in &written {
            if !names.insert(parameter.value.name.as_str()) {
                let message = format!("two parameters are called `{}`", parameter.value.name);
                return Err(self.error(parameter.referenced.into(), message));
            }
        }
        Ok(written.into_iter().map(|parameter| parameter.value).collect())
    }

    fn template(
        &self,
        key: &str,
        position: Position,
        written: TemplateKeys,
        parameters: &[Parameter],
    ) -> Result<Template, PatternError> {
        let described = match written {
            TemplateKeys::Text(text) => DescribedTemplate {
                description: String::new(),
                content: Some(text),
                sql: None,
                required_parameters: Vec::new(),
                output_format: None,
            },
            TemplateKeys::Described(described) => described,
        };
        let content = match (described.content, described.sql) {
            (Some(text), None) | (None, Some(text)) => text,
            (None, None) => {
                return Err(self.error(position, format!("template `{key}` has neither `content` nor `sql`")));
            }
            (Some(_), Some(_)) => {
                let message = format!("template `{key}` has both `content` and `sql`; keep one");
                return Err(self.error(position, message));
            }
        };
        if let Some(problem) = system_role_problem(key, &content) {
            return Err(self.error(position, format!("template `{key}`: {problem}")));
        }
        let mut template = Template::new(key, content, parameters);
        template.description = described.description;
        template.required_parameters = described.required_parameters;
        template.output_format = described.output_format;
        Ok(template)
    }
}

#[cfg(test)]
mod tests;
