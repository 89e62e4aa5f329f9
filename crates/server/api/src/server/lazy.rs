//! A gRPC service that is made when it is first called, for what few servers are ever asked.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// How a service is made, and the service once it is.
pub(super) struct Lazy<S, E> {
    make: fn() -> Result<S, E>,
    made: Arc<OnceLock<Result<S, E>>>,
}

impl<S, E> Lazy<S, E> {
    pub(super) fn new(make: fn() -> Result<S, E>) -> Self {
        Self { make, made: Arc::default() }
    }
}

impl<S, E> Clone for Lazy<S, E> {
    fn clone(&self) -> Self {
        Self { make: self.make, made: Arc::clone(&self.made) }
    }
}

impl<S: NamedService, E> NamedService for Lazy<S, E> {
    const NAME: &'static str = S::NAME;
}

impl<S, E> Service<Request<Body>> for Lazy<S, E>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
    E: fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.made.get_or_init(self.make) {
            // What tonic generates is always ready.
            Ok(service) => Either::Left(service.clone().call(request)),
            Err(error) => Either::Right(ready(Ok(Status::internal(error.to_string()).into_http()))),
        }
    }
}
