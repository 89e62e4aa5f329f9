//! Lists what a query names: functions, fields, operators, types, relations.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use loom_fabric::Dialect;
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, Visitor,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

/// Words that call operators by name, whichever the types.
const OPERATOR_WORDS: &[(Keyword, &[&str])] = &[
    (Keyword::BETWEEN, &[">=", "<=", "<", ">"]),
    (Keyword::CASE, &["="]),
    (Keyword::DISTINCT, &["="]),
    (Keyword::IN, &["=", "<>"]),
    (Keyword::NATURAL, &["="]),
    (Keyword::NULLIF, &["="]),
    (Keyword::USING, &["="]),
];

/// A function or relation as the engine will look it up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    /// What stands before the dot.
    pub(crate) qualifier: Option<String>,
    /// What stands after it.
    pub(crate) base: String,
    /// Whether it is written in quotes, so that no keyword is meant.
    pub(crate) quoted: bool,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.qualifier {
            Some(qualifier) => write!(f, "{qualifier}.{}", self.base),
            None => f.write_str(&self.base),
        }
    }
}

/// A name after a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    /// The names before it; none when something else stands there.
    path: Vec<String>,
    /// The name.
    pub(crate) name: String,
}

/// What a statement names, wherever in its tree. Names are folded as the dialect folds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    dialect: Option<Dialect>,
    /// Functions called, in expressions or in FROM.
    pub(crate) functions: BTreeSet<Name>,
    /// Names after a dot: PostgreSQL reads `x.f` as `f(x)`, for an `x` of any type, when `x` has no column `f`.
    pub(crate) fields: BTreeSet<Field>,
    /// What each name in a FROM stands for, in whichever FROM: a relation, or anything else.
    sources: BTreeMap<String, BTreeSet<Option<Name>>>,
    /// Names of WITH.
    common: BTreeSet<String>,
    /// Operators written with signs, and those that words stand for.
    pub(crate) operators: BTreeSet<String>,
    /// Types cast to, as they are written.
    pub(crate) types: BTreeSet<String>,
    /// Tables and views.
    pub(crate) relations: BTreeSet<Name>,
}

impl Census {
    /// An empty list for `dialect`.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self { dialect: Some(dialect), ..Self::default() }
    }

    /// Takes what is seen without a tree, so in whatever form a name is written: fields, and words for operators.
    /// `tokens` without whitespace and comments.
    pub(crate) fn take_tokens<'a>(&mut self, tokens: impl Iterator<Item = &'a Token>) {
        let mut after_dot = false;
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            if let Token::Word(word) = token {
                let name = self.fold(&word.value, word.quote_style);
                if after_dot {
                    self.fields.insert(Field { path: path.clone(), name: name.clone() });
                    // After a value, what follows is a value's too.
                    if !path.is_empty() {
                        path.push(name);
                    }
                } else {
                    path = vec![name];
                }
                let called = OPERATOR_WORDS.iter().filter(|(keyword, _)| *keyword == word.keyword);
                self.operators.extend(called.flat_map(|(_, operators)| *operators).map(ToString::to_string));
            } else if *token != Token::Period {
                path.clear();
            }
            after_dot = *token == Token::Period;
        }
    }

    /// The relations that must all have a column of the field's name for it to be a column and no call, whatever the
    /// scope; none when that cannot be told.
    pub(crate) fn relations_of(&self, field: &Field) -> Vec<Name> {
        let source = match field.path.as_slice() {
            [] => return Vec::new(),
            // How other letters are folded and cut depends on the database's encoding.
            path if !path.iter().all(|name| name.is_ascii()) => return Vec::new(),
            [source] => source,
            // With a schema before it, it is that relation or an error.
            [.., schema, relation] => {
                let qualifier = Some(schema.clone());
                return vec![Name { qualifier, base: relation.clone(), quoted: true }];
            }
        };
        let standing_for = self.sources.get(source).into_iter().flatten();
        let relations: Vec<Name> = standing_for.map(Option::clone).collect::<Option<_>>().unwrap_or_default();
        let is_common = |name: &Name| name.qualifier.is_none() && self.common.contains(&name.base);
        if relations.iter().any(is_common) { Vec::new() } else { relations }
    }

    fn take_source(&mut self, name: Option<&ObjectName>, alias: Option<&TableAlias>, is_relation: bool) {
        let visible = alias.map(|alias| self.fold(&alias.name.value, alias.name.quote_style));
        let name = name.map(|name| self.name(name));
        let Some(visible) = visible.or_else(|| name.as_ref().map(|name| name.base.clone())) else { return };
        let renames = alias.is_some_and(|alias| !alias.columns.is_empty());
        self.sources.entry(visible).or_default().insert(name.filter(|_| is_relation && !renames));
    }

    fn fold(&self, name: &str, quote: Option<char>) -> String {
        match (self.dialect, quote) {
            (Some(Dialect::Postgres), Some(_)) => cut(name).to_owned(),
            (Some(Dialect::Postgres), None) => cut(name).to_ascii_lowercase(),
            _ => name.to_ascii_lowercase(),
        }
    }

    fn name(&self, object: &ObjectName) -> Name {
        let mut parts = object.0.iter().rev().map(|part| match part {
            ObjectNamePart::Identifier(Ident { value, quote_style, .. }) => {
                (self.fold(value, *quote_style), quote_style.is_some())
            }
            // A name that is computed matches no function and no relation.
            ObjectNamePart::Function(function) => (format!("{function}()"), true),
        });
        let (base, quoted) = parts.next().unwrap_or_default();
        Name { qualifier: parts.next().map(|(qualifier, _)| qualifier), base, quoted }
    }

    /// Functions and operators with a syntax of their own; some of it calls whatever has the name.
    fn take_grammar(&mut self, expr: &Expr) {
        let function = match expr {
            Expr::Ceil { .. } => "ceil",
            Expr::Floor { .. } => "floor",
            Expr::Position { .. } => "position",
            Expr::Substring { shorthand: true, .. } => "substr",
            Expr::Substring { .. } => "substring",
            Expr::Overlay { .. } => "overlay",
            Expr::Convert { .. } => "convert",
            Expr::Like { .. } => return self.operators.extend(["~~", "!~~"].map(str::to_owned)),
            Expr::ILike { .. } => return self.operators.extend(["~~*", "!~~*"].map(str::to_owned)),
            Expr::SimilarTo { .. } => return self.operators.extend(["~", "!~"].map(str::to_owned)),
            _ => return,
        };
        self.take_function(function);
    }

    fn take_function(&mut self, name: &str) {
        self.functions.insert(Name { qualifier: None, base: name.to_owned(), quoted: false });
    }

    fn take_operator(&mut self, operator: &BinaryOperator) {
        let text = match operator {
            BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
            other => other.to_string(),
        };
        self.operators.insert(text);
    }
}

/// What PostgreSQL keeps of a name.
fn cut(name: &str) -> &str {
    const MOST_BYTES: usize = 63;
    &name[..name.floor_char_boundary(MOST_BYTES)]
}

impl Visitor for Census {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                self.functions.insert(self.name(&function.name));
            }
            Expr::Cast { data_type, .. } => {
                self.types.insert(data_type.to_string());
            }
            Expr::TypedString(text) => {
                self.types.insert(text.data_type.to_string());
            }
            Expr::BinaryOp { op, .. } => self.take_operator(op),
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => self.take_operator(compare_op),
            Expr::UnaryOp { op, .. } => {
                self.operators.insert(op.to_string());
            }
            other => self.take_grammar(other),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                self.take_source(Some(name), alias.as_ref(), true);
            }
            TableFactor::Table { name, alias, args: Some(_), .. }
            | TableFactor::Function { name, alias, .. } => {
                self.functions.insert(self.name(name));
                self.take_source(Some(name), alias.as_ref(), false);
            }
            TableFactor::UNNEST { alias, .. } => {
                self.take_function("unnest");
                self.take_source(Some(&Ident::new("unnest").into()), alias.as_ref(), false);
            }
            TableFactor::XmlTable { alias, .. } => {
                self.take_source(Some(&Ident::new("xmltable").into()), alias.as_ref(), false);
            }
            TableFactor::JsonTable { alias, .. } => {
                self.take_source(Some(&Ident::new("json_table").into()), alias.as_ref(), false);
            }
            TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
                self.take_source(None, alias.as_ref(), false);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.common.insert(self.fold(&table.alias.name.value, table.alias.name.quote_style));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations.insert(self.name(relation));
        ControlFlow::Continue(())
    }
}
