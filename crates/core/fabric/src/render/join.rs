//! Finds the joins between the tables a template needs, over foreign keys, from the referring table to the one referred
//! to.

use std::collections::{BTreeMap, VecDeque};

use super::RenderError;
use super::bind::{column_sql, table_sql};
use crate::{Dialect, Schema, Table};

/// How many ambiguous ways an error shows at most.
const MAX_PATHS_SHOWN: usize = 4;
/// How many reachable tables an error shows at most.
const MAX_TABLES_SHOWN: usize = 12;

/// A foreign key between two tables of the schema, by their places in it.
#[derive(Clone)]
struct Edge<'a> {
    from: usize,
    to: usize,
    columns: Vec<(&'a str, &'a str)>,
}

impl Edge<'_> {
    /// Whether both say the same, in whichever order.
    fn is_same(&self, other: &Self) -> bool {
        (self.from, self.to, self.columns.len()) == (other.from, other.to, other.columns.len())
            && self.columns.iter().all(|pair| other.columns.contains(pair))
    }
}

/// A column's name as its table spells it: a key may use other letters.
fn spelt<'a>(table: &'a Table, column: &'a str) -> &'a str {
    table.column(column).map_or(column, |column| &column.name)
}

/// `base` and the joins that reach all `targets`.
pub(super) fn from_sql(
    schema: &Schema,
    base: &Table,
    targets: &[&Table],
    dialect: Dialect,
) -> Result<String, RenderError> {
    let graph = Graph { schema, dialect };
    let place = |table: &Table| schema.tables.iter().position(|candidate| std::ptr::eq(candidate, table));
    let Some(base) = place(base) else { return Err(RenderError::NoBaseTable) };
    let arrivals = graph.arrivals(base);
    let mut joined = vec![base];
    let mut sql = table_sql(dialect, &schema.tables[base]);
    for target in targets.iter().filter_map(|target| place(target)) {
        if target == base {
            continue;
        }
        for edge in graph.path(base, target, &arrivals)? {
            if !joined.contains(&edge.to) {
                joined.push(edge.to);
                sql.push_str(&graph.join_sql(edge));
            }
        }
    }
    Ok(sql)
}

/// For each table reached, the edges by which some shortest way arrives there.
type Arrivals<'a> = BTreeMap<usize, Vec<Edge<'a>>>;

struct Graph<'a> {
    schema: &'a Schema,
    dialect: Dialect,
}

impl<'a> Graph<'a> {
    fn edges_from(&self, from: usize) -> Vec<Edge<'a>> {
        let mut edges: Vec<Edge<'a>> = Vec::new();
        for key in &self.schema.tables[from].foreign_keys {
            let to = self.schema.tables.iter().position(|table| {
                table.resource.name == key.references_table
                    && table.resource.namespace == key.references_namespace
            });
            let Some(to) = to.filter(|to| *to != from) else { continue };
            // A key that names no columns refers to the primary key.
            let referred = match key.references_columns.as_slice() {
                [] => &self.schema.tables[to].primary_key,
                _ => &key.references_columns,
            };
            if key.columns.len() != referred.len() {
                continue;
            }
            let (referring, referred_to) = (&self.schema.tables[from], &self.schema.tables[to]);
            let columns = key.columns.iter().map(|name| spelt(referring, name));
            let columns = columns.zip(referred.iter().map(|name| spelt(referred_to, name)));
            let edge = Edge { from, to, columns: columns.collect() };
            if !edges.iter().any(|known| known.is_same(&edge)) {
                edges.push(edge);
            }
        }
        edges
    }

    /// A breadth-first walk from `base`.
    fn arrivals(&self, base: usize) -> Arrivals<'a> {
        let mut distances = BTreeMap::from([(base, 0_usize)]);
        let mut arrivals: Arrivals<'a> = BTreeMap::new();
        let mut waiting = VecDeque::from([base]);
        while let Some(here) = waiting.pop_front() {
            let next_distance = distances.get(&here).copied().unwrap_or_default() + 1;
            for edge in self.edges_from(here) {
                let distance = *distances.entry(edge.to).or_insert_with(|| {
                    waiting.push_back(edge.to);
                    next_distance
                });
                if distance == next_distance {
                    arrivals.entry(edge.to).or_default().push(edge);
                }
            }
        }
        arrivals
    }

    /// The one shortest way from `base` to `target`, in order.
    fn path<'p>(
        &self,
        base: usize,
        target: usize,
        arrivals: &'p Arrivals<'a>,
    ) -> Result<Vec<&'p Edge<'a>>, RenderError> {
        let mut ways = ways(base, target, arrivals);
        match (ways.pop(), ways.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                ways.push(last);
                Err(RenderError::AmbiguousPath {
                    from: self.name(base),
                    to: self.name(target),
                    paths: ways.iter().map(|way| self.describe(way)).collect(),
                })
            }
            (None, _) => Err(RenderError::NoPath {
                from: self.name(base),
                to: self.name(target),
                reachable: arrivals.keys().take(MAX_TABLES_SHOWN).map(|table| self.name(*table)).collect(),
            }),
        }
    }

    fn name(&self, table: usize) -> String {
        self.schema.tables[table].resource.qualified_name()
    }

    fn describe(&self, way: &[&Edge<'a>]) -> String {
        let step = |edge: &&Edge<'a>| {
            let columns: Vec<&str> = edge.columns.iter().map(|(from, _)| *from).collect();
            format!("{}.{}", self.name(edge.from), columns.join("+"))
        };
        let steps = way.iter().map(step).chain(way.last().map(|edge| self.name(edge.to)));
        steps.collect::<Vec<_>>().join(" → ")
    }

    fn join_sql(&self, edge: &Edge<'a>) -> String {
        let (from, to) = (&self.schema.tables[edge.from], &self.schema.tables[edge.to]);
        let conditions: Vec<String> = edge
            .columns
            .iter()
            .map(|(a, b)| {
                format!("{} = {}", column_sql(self.dialect, from, a), column_sql(self.dialect, to, b))
            })
            .collect();
        format!(" LEFT JOIN {} ON {}", table_sql(self.dialect, to), conditions.join(" AND "))
    }
}

/// The shortest ways from `base` to `target`, at most as many as an error shows.
fn ways<'p, 'a>(base: usize, target: usize, arrivals: &'p Arrivals<'a>) -> Vec<Vec<&'p Edge<'a>>> {
    if base == target {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for edge in arrivals.get(&target).into_iter().flatten() {
        for mut way in ways(base, edge.from, arrivals) {
            if found.len() == MAX_PATHS_SHOWN {
                return found;
            }
            way.push(edge);
            found.push(way);
        }
    }
    found
}
