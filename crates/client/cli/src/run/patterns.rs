//! Runs the commands about the patterns that a server has.

use futures::StreamExt as _;
use loom_base::ErrorCode;
use loom_proto::v1::{
    CreatePatternRequest, GetPatternRequest, ListPatternsRequest, ListPatternsResponse, LoadPatternsRequest,
    StreamPatternUpdatesRequest,
};

use super::{Call, PAGE};
use crate::render::{catalog, clean_line, patterns};
use crate::{Error, Format, Io, PatternQuery, json};

impl Call {
    pub(super) async fn pattern(&self, query: PatternQuery, io: &mut Io<'_>) -> Result<(), Error> {
        match query {
            PatternQuery::List { domain, category } => {
                let request = ListPatternsRequest {
                    domain: domain.unwrap_or_default(),
                    category: category.unwrap_or_default(),
                    ..Default::default()
                };
                let found = self.all_patterns(request).await?;
                self.show(&found, "ListPatternsResponse", io, |style, out| {
                    catalog::patterns(&found.patterns, style, out)
                })
            }
            PatternQuery::Search { words } => {
                let request = ListPatternsRequest { search: words.join(" "), ..Default::default() };
                let found = self.client.list_patterns(request).await?;
                self.show(&found, "ListPatternsResponse", io, |style, out| {
                    catalog::found_patterns(&found.patterns, style, out)
                })
            }
            PatternQuery::Show { name } => {
                let found = self.client.get_pattern(GetPatternRequest { name }).await?;
                self.show(&found, "Pattern", io, |style, out| catalog::pattern(&found, style, out))
            }
            PatternQuery::Load { dir, domain, force } => self.load_patterns(dir, domain, force, io).await,
            PatternQuery::Create { file, domain, overwrite } => {
                let yaml_content = std::fs::read_to_string(&file).map_err(|error| {
                    let message = format!("{} cannot be read: {error}", file.display());
                    Error::from(loom_grpc::Error::new(ErrorCode::InvalidArgument, message))
                })?;
                let domain = domain.unwrap_or_default();
                let request = CreatePatternRequest { yaml_content, overwrite, domain, ..Default::default() };
                let created = self.client.create_pattern(request).await?;
                self.show(&created, "CreatePatternResponse", io, |_, out| {
                    let (name, file) = (clean_line(&created.pattern_name), clean_line(&created.file_path));
                    writeln!(out, "pattern {name} is served from {file}")
                })
            }
            PatternQuery::Watch { category, agent } => {
                let (category, agent_id) = (category.unwrap_or_default(), agent.unwrap_or_default());
                self.watch_patterns(StreamPatternUpdatesRequest { category, agent_id }, io).await
            }
        }
    }

    /// All patterns of a query, however many pages they fill.
    async fn all_patterns(&self, query: ListPatternsRequest) -> Result<ListPatternsResponse, Error> {
        let mut all = ListPatternsResponse::default();
        loop {
            let page_token = std::mem::take(&mut all.next_page_token);
            let request = ListPatternsRequest { page_size: PAGE, page_token, ..query.clone() };
            let mut page = self.client.list_patterns(request).await?;
            let is_last = page.next_page_token.is_empty() || page.patterns.is_empty();
            all.patterns.append(&mut page.patterns);
            all.total_count = page.total_count;
            if is_last {
                return Ok(all);
            }
            all.next_page_token = page.next_page_token;
        }
    }

    async fn load_patterns(
        &self,
        dir: Option<String>,
        domains: Vec<String>,
        force_reload: bool,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let source = dir.unwrap_or_default();
        let request =
            LoadPatternsRequest { source: source.clone(), domains, force_reload, ..Default::default() };
        let loaded = self.client.load_patterns(request).await?;
        self.show(&loaded, "LoadPatternsResponse", io, |_, out| patterns::loaded(&loaded, &source, out))?;
        match loaded.failed.len() {
            0 => Ok(()),
            1 => Err(unusable("1 file cannot be used")),
            files => Err(unusable(&format!("{files} files cannot be used"))),
        }
    }

    async fn watch_patterns(
        &self,
        request: StreamPatternUpdatesRequest,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let mut updates = self.client.stream_pattern_updates(request).await?;
        while let Some(update) = updates.next().await {
            let update = update?;
            match self.format {
                Format::Json => json::print_line(io.out, &update, "PatternUpdateEvent")?,
                Format::Text => patterns::update(&update, io.out)?,
            }
            io.out.flush()?;
        }
        Ok(())
    }
}

fn unusable(message: &str) -> Error {
    loom_grpc::Error::new(ErrorCode::InvalidPattern, message.to_owned()).into()
}
