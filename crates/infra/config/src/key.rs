//! The description of a key: the one place from which reading, refusing, explaining and the manual all come.

/// A key as the sections declare it. A part `*` stands for a name that the user chooses.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) shape: fn() -> String,
    /// Variables bound by name, before the one made from the key.
    pub(crate) env: &'static [&'static str],
    /// Other names of the key, accepted everywhere.
    pub(crate) aliases: &'static [&'static str],
    /// A value that is not the default, if there is one.
    pub(crate) example: &'static str,
    pub(crate) secret: bool,
}

impl Key {
    /// The variables that set this key, first the one that wins; none for a key with a `*`.
    pub(crate) fn variables(&self) -> Vec<String> {
        if self.name.contains('*') {
            return Vec::new();
        }
        let named = self.env.iter().map(|name| (*name).to_owned());
        let derived = std::iter::once(self.name).chain(self.aliases.iter().copied()).map(variable);
        let mut names: Vec<String> = Vec::new();
        for name in named.chain(derived) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The variable made from a key: `server.host` is set by `LOOM_SERVER_HOST`.
pub(crate) fn variable(key: &str) -> String {
    format!("LOOM_{}", key.replace('.', "_").to_ascii_uppercase())
}

/// What the manual says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its full name; a part `*` stands for a name that the user chooses.
    pub name: &'static str,
    /// What it does.
    pub doc: String,
    /// What values it takes.
    pub shape: String,
    /// What holds when nothing is said; `None` for nothing.
    pub default: Option<String>,
    /// The variables that set it, first the one that wins.
    pub variables: Vec<String>,
    /// Other names under which it is accepted.
    pub aliases: &'static [&'static str],
    /// A value other than the default, if there is one.
    pub example: &'static str,
    /// Whether it names a secret; a flag cannot set it.
    pub secret: bool,
}

/// Defines a section: its struct, its keys and how it is read, so that none of the three can be without the others.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident at $prefix:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr
                    $(, key $key:literal)?
                    $(, check $check:expr)?
                    $(, env $env:expr)?
                    $(, aliases $aliases:expr)?
                    , example $example:literal;
            )+
        }
        $(with { $($(#[doc = $part_doc:literal])+ $part:ident: $part_type:ty,)+ })?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($($(#[doc = $part_doc])+ pub $part: $part_type,)+)?
        }

        impl $name {
            pub(crate) const KEYS: &'static [crate::key::Key] = &[
                $(crate::key::Key {
                    name: section!(@name $prefix, $field $(, $key)?),
                    doc: concat!($($doc, "\n"),+),
                    shape: <$type as crate::value::Value>::shape,
                    env: section!(@list $($env)?),
                    aliases: section!(@list $($aliases)?),
                    example: $example,
                    secret: <$type as crate::value::Value>::SECRET,
                },)+
            ];

            pub(crate) fn read(layers: &mut crate::layers::Layers<'_>, instance: &str) -> Self {
                $(let $field: $type = layers.value(
                    section!(@name $prefix, $field $(, $key)?),
                    instance,
                    $default,
                    section!(@check $($check)?),
                );)+
                $($(let $part = <$part_type>::read(layers, instance);)+)?
                Self { $($field,)+ $($($part,)+)? }
            }
        }
    };
    (@name $prefix:literal, $field:ident) => { concat!($prefix, stringify!($field)) };
    (@name $prefix:literal, $field:ident, $key:literal) => { concat!($prefix, $key) };
    (@list) => { &[] };
    (@list $list:expr) => { &$list };
    (@check) => { crate::key::any };
    (@check $check:expr) => { $check };
}

pub(crate) use section;

/// Accepts every value.
#[expect(clippy::unnecessary_wraps, reason = "it stands where other checks can fail")]
pub(crate) fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

/// Accepts what lies between `low` and `high`, both included.
pub(crate) fn range<T: PartialOrd + std::fmt::Display>(low: T, high: T) -> impl Fn(&T) -> Result<(), String> {
    move |value| {
        if (&low..=&high).contains(&value) {
            Ok(())
        } else {
            Err(format!("expected a number from {low} to {high}, found {value}"))
        }
    }
}

/// Accepts nothing, and what `check` accepts.
pub(crate) fn optional<T>(
    check: impl Fn(&T) -> Result<(), String>,
) -> impl Fn(&Option<T>) -> Result<(), String> {
    move |value| value.as_ref().map_or(Ok(()), &check)
}
