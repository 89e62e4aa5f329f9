//! `looms quickstart`: an agent that answers from a database at once, with nothing set up.
//!
//! It runs the whole server on free ports and asks it over gRPC, as any client would.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loom_cli::{ChatArgs, Format, Input, Io, Question, QuickstartArgs};
use loom_embed::base::ErrorCode;
use loom_embed::config::{Config, FileChoice, Flag, Inputs, Loaded};
use loom_embed::fabric::ExecutionBackend;
use loom_embed::runtime::AgentDefinition;
use loom_embed::server::ServeOptions;
use loom_embed::sql::{SharedPools, SqlOptions, SqlSource, create_sqlite};
use loom_embed::{Loom, SystemClock};
use loom_grpc::{CONNECT_TIMEOUT, Client};
use tokio_util::sync::CancellationToken;

use crate::environment::Process;
use crate::failure::Failure;

const SHOP: &str = include_str!("quickstart/shop.sql");
const SHOP_QUESTIONS: [&str; 3] = [
    "Who are the top 5 customers by order total?",
    "Which categories have the most products?",
    "Show the monthly order total",
];
const SYSTEM_PROMPT: &str = "You answer questions about the user's database. Look at the schema before you write a \
    query, prefer a pattern that fits (run_pattern) over a query of your own, and answer from what the queries return, \
    never from memory. Say which query you used. If the data cannot answer the question, say what is missing.";
/// How long running turns may take to end when the quickstart ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the questions, then talks on where there is a terminal.
pub(crate) async fn run(args: &QuickstartArgs, process: &Process, io: &mut Io<'_>) -> Result<(), Failure> {
    let folder = args.data_dir.clone().unwrap_or_else(|| own_folder(process));
    make_private(&folder).map_err(|error| {
        Failure::new(ErrorCode::InvalidConfig, format!("{} cannot be made: {error}", folder.display()))
    })?;
    let (source, shown) = match &args.db {
        Some(db) => (SqlSource::parse(db), shown_source(db)),
        None => (make_shop(&folder).await?, "a small shop, made on the spot".to_owned()),
    };
    let pools = SharedPools::new(Arc::new(SystemClock));
    let backend = pools.open("database", &source, SqlOptions::default()).await?;
    let loom = build(args, &folder, process, Arc::clone(&backend)).await?;
    let bound = loom.bind(&ServeOptions::local()).await?;
    let address = format!("http://{}", bound.grpc);
    let provider = args.provider.as_deref().unwrap_or("offline");
    writeln!(io.out, "database  {shown}")?;
    writeln!(
        io.out,
        "provider  {provider}{}",
        if provider == "offline" { " (no language model)" } else { "" }
    )?;
    writeln!(io.out, "server    {address}")?;
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(bound.serve(shutdown.clone()));
    let outcome = talk(args, &address, io).await;
    shutdown.cancel();
    // A server that panicked has said so already.
    let _ = serving.await;
    loom.close(PATIENCE).await;
    backend.close().await;
    outcome?;
    say_what_next(args, &folder, io)
}

async fn build(
    args: &QuickstartArgs,
    folder: &Path,
    process: &Process,
    backend: Arc<dyn ExecutionBackend>,
) -> Result<Loom, Failure> {
    let loaded = configure(args, folder, process)?;
    let agent = AgentDefinition {
        system_prompt: SYSTEM_PROMPT.to_owned(),
        backends: vec![backend.name().to_owned()],
        ..AgentDefinition::named("analyst")
    };
    let builder = Loom::builder().config(loaded).backend(backend).agent(agent);
    Ok(builder.build().await?)
}

/// Flags alone decide, beside the environment's keys: a configuration made for a server is not looked at.
fn configure(args: &QuickstartArgs, folder: &Path, process: &Process) -> Result<Loaded, Failure> {
    let flag = |name: &str, key: &str, value: &str| Flag::new(name, key, value);
    let provider = args.provider.as_deref().unwrap_or("offline");
    let patterns = folder.join("patterns");
    let mut flags = vec![
        flag("--data-dir", "data_dir", &folder.to_string_lossy()),
        flag("--provider", "llm.provider", provider),
        flag("--data-dir", "patterns_dir", &patterns.to_string_lossy()),
    ];
    flags.extend(args.model.as_deref().map(|model| flag("--model", "llm.model", model)));
    let also_bound =
        process.variables().names().filter(|name| name.starts_with("LOOM_")).map(str::to_owned).collect();
    let inputs = Inputs { flags, file: FileChoice::Nothing, env: process.variables().clone(), also_bound };
    Ok(Config::load(inputs)?)
}

async fn talk(args: &QuickstartArgs, address: &str, io: &mut Io<'_>) -> Result<(), Failure> {
    let questions: Vec<String> = match (&args.ask[..], &args.db) {
        ([], None) => SHOP_QUESTIONS.map(str::to_owned).to_vec(),
        (asked, _) => asked.to_vec(),
    };
    let client = Client::connect(address, CONNECT_TIMEOUT, Arc::clone(&io.clock)).await?;
    let mut session = None;
    for question in &questions {
        writeln!(io.out)?;
        writeln!(io.out, "> {question}")?;
        let question = Question { text: question.clone(), session: session.clone(), ..Question::default() };
        session = Some(loom_cli::ask(&client, &question, io).await?.session_id);
    }
    if !args.no_chat && matches!(io.input, Input::Terminal | Input::Person(_)) {
        writeln!(io.out)?;
        let chat = ChatArgs { session, ..ChatArgs::default() };
        loom_cli::chat(&client, &chat, Format::Text, io).await?;
    }
    Ok(())
}

fn say_what_next(args: &QuickstartArgs, folder: &Path, io: &mut Io<'_>) -> Result<(), Failure> {
    writeln!(io.out)?;
    writeln!(io.out, "What next:")?;
    if args.db.is_none() {
        writeln!(io.out, "  looms quickstart --db PATH|DSN --ask QUESTION    ask a database of your own")?;
    }
    if args.ask.is_empty() && args.db.is_some() {
        writeln!(io.out, "  looms quickstart --db … --ask QUESTION           ask it something")?;
    }
    if args.provider.is_none() {
        writeln!(
            io.out,
            "  looms quickstart --provider anthropic            let a model answer (needs ANTHROPIC_API_KEY)"
        )?;
    }
    writeln!(
        io.out,
        "  looms serve                                      run the server; agents and backends are YAML files"
    )?;
    Ok(writeln!(io.out, "Everything said is kept in {}", folder.display())?)
}

/// A folder of the quickstart's own, so that a server's data is never touched.
fn own_folder(process: &Process) -> PathBuf {
    let home = process.get("HOME").map(|home| Path::new(home).join(".loom"));
    let base = process.get("LOOM_DATA_DIR").map(PathBuf::from).or(home);
    base.unwrap_or_else(|| std::env::temp_dir().join("loom")).join("quickstart")
}

/// Makes the folder, and those above it that are missing, for their owner only: what is said is kept there.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

async fn make_shop(folder: &Path) -> Result<SqlSource, Failure> {
    let path = folder.join("shop.db");
    create_sqlite(&path, SHOP).await?;
    Ok(SqlSource::Sqlite(path))
}

/// The database as it may be printed: a connection string can hold a password.
fn shown_source(db: &str) -> String {
    match db.split_once("://") {
        Some((scheme, rest)) => {
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            format!("{scheme}://{}", place.split('?').next().unwrap_or_default())
        }
        None => db.to_owned(),
    }
}
