//! A turn while it runs, followed through lost connections and restarts of its server.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tonic::{Code, Request, Status, Streaming};

use loom_proto::v1::{ExecutionStage, StreamMode, StreamTurnRequest, WeaveProgress, WeaveRequest};

use crate::pauses::Pauses;
use crate::{Client, Error, RequestKey};

/// The events of a turn, in order. Its last event has stage COMPLETED, or FAILED and then comes the error.
///
/// When the stream breaks it is looked for again, after the last event that came, for half a minute or so. After a restart
/// of the server the first event then says `generation_restarted`: the text since the model was last asked is void, and
/// comes anew. Only what cannot be found again ends with an error, and never silently.
///
/// Dropping it tells the server that nobody listens any more; the turn ends with it only when the request said
/// `cancel_on_disconnect`.
pub struct TurnStream(Pin<Box<dyn Stream<Item = Result<WeaveProgress, Error>> + Send>>);

impl TurnStream {
    pub(crate) fn of_question(client: Client, request: WeaveRequest, key: Option<RequestKey>) -> Self {
        Self::follow(client, Place::Question { request: Box::new(request), key })
    }

    pub(crate) fn of_turn(client: Client, request: StreamTurnRequest) -> Self {
        Self::follow(client, Place::Turn(request))
    }

    fn follow(client: Client, place: Place) -> Self {
        let follower =
            Follower { client, place, events: None, pauses: Pauses::default(), state: State::Running };
        Self(Box::pin(futures::stream::unfold(follower, async |mut follower| {
            let item = follower.next().await?;
            Some((item, follower))
        })))
    }
}

impl Stream for TurnStream {
    type Item = Result<WeaveProgress, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for TurnStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnStream").finish_non_exhaustive()
    }
}

struct Follower {
    client: Client,
    place: Place,
    events: Option<Streaming<WeaveProgress>>,
    pauses: Pauses,
    state: State,
}

/// From where the turn is followed.
enum Place {
    /// Nothing is known of it but the question.
    Question { request: Box<WeaveRequest>, key: Option<RequestKey> },
    /// The turn is known, and what was seen of it.
    Turn(StreamTurnRequest),
    /// The server does not say where: it cannot be found again.
    Nowhere,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    Over,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<WeaveProgress, Error>> {
        while self.state != State::Over {
            let (broken, may_come_back) = match self.receive().await {
                Ok(Some(event)) => {
                    self.note(&event);
                    return Some(Ok(event));
                }
                Ok(None) if self.state == State::Ended => break,
                Ok(None) => {
                    let what = "the stream ended before the turn did";
                    (Error::broken(self.client.address(), what), true)
                }
                Err(status) => (self.client.error(&status), may_come_back(&status)),
            };
            self.events = None;
            if self.state != State::Running || !may_come_back || !self.place.can_be_found_again() {
                return Some(Err(self.give_up(broken)));
            }
            match self.pauses.next(broken.retry_after) {
                Some(pause) => self.client.clock.sleep(pause).await,
                None => return Some(Err(self.give_up(broken))),
            }
        }
        None
    }

    async fn receive(&mut self) -> Result<Option<WeaveProgress>, Status> {
        if let Some(events) = &mut self.events {
            return events.message().await;
        }
        let mut rpc = self.client.rpc.clone();
        let answer = match &self.place {
            Place::Question { request, key } => {
                let mut request = Request::new(WeaveRequest::clone(request));
                if let Some(key) = key {
                    key.name(&mut request)?;
                }
                rpc.stream_weave(request).await?
            }
            Place::Turn(turn) => rpc.stream_turn(turn.clone()).await?,
            Place::Nowhere => return Ok(None),
        };
        self.events.insert(answer.into_inner()).message().await
    }

    fn note(&mut self, event: &WeaveProgress) {
        if !event.generation_restarted {
            self.pauses = Pauses::default();
        }
        if matches!(event.stage(), ExecutionStage::Completed | ExecutionStage::Failed) {
            self.state = State::Ended;
        }
        self.place = Place::after(event);
    }

    fn give_up(&mut self, error: Error) -> Error {
        self.state = State::Over;
        match &self.place {
            Place::Turn(turn) => error.with("turn_id", &turn.turn_id),
            Place::Question { .. } | Place::Nowhere => error,
        }
    }
}

impl Place {
    fn after(event: &WeaveProgress) -> Self {
        if event.turn_id.is_empty() || event.event_id.is_empty() {
            return Self::Nowhere;
        }
        let mut turn = StreamTurnRequest {
            turn_id: event.turn_id.clone(),
            after_event_id: event.event_id.clone(),
            ..StreamTurnRequest::default()
        };
        turn.set_stream_mode(StreamMode::Delta);
        Self::Turn(turn)
    }

    const fn can_be_found_again(&self) -> bool {
        match self {
            Self::Question { key, .. } => key.is_some(),
            Self::Turn(_) => true,
            Self::Nowhere => false,
        }
    }
}

/// Whether it was the way to the server that failed, or the server that is not there for the moment.
fn may_come_back(status: &Status) -> bool {
    let was_made_here = std::error::Error::source(status).is_some();
    was_made_here || status.code() == Code::Unavailable
}
