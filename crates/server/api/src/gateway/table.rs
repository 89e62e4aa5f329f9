//! The HTTP routes of the descriptor set, from its `google.api.http` options.

use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor};

use super::GatewayError;
use super::template::{Captures, Template};

/// One way to call an RPC over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) http_method: Method,
    /// The template as it stands in the API.
    pub(crate) path: String,
    pub(crate) rpc: MethodDescriptor,
    pub(crate) body: RouteBody,
    template: Template,
}

/// What an HTTP body means to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteBody {
    /// It is the request, less what the path gives.
    Request,
    /// There is none; the query string gives the request.
    None,
}

impl Route {
    /// The path of the RPC.
    pub(crate) fn rpc_path(&self) -> String {
        format!("/{}/{}", self.rpc.parent_service().full_name(), self.rpc.name())
    }

    /// The request fields that the path gives.
    pub(crate) fn path_fields(&self) -> impl Iterator<Item = &str> {
        self.template.fields()
    }
}

/// What a path leads to.
pub(super) enum Found<'a> {
    Route(&'a Route, Captures),
    /// The path exists for these methods.
    OtherMethods(Vec<&'a str>),
    Nothing,
}

/// All routes, in the order in which they are tried.
pub(crate) struct RouteTable(Vec<Route>);

impl RouteTable {
    /// Reads the routes of every method in `pool` that has one.
    pub(crate) fn new(pool: &DescriptorPool) -> Result<Self, GatewayError> {
        let http = pool.get_extension_by_name("google.api.http").ok_or(GatewayError::NoHttpOption)?;
        let mut routes = Vec::new();
        for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let options = method.options();
            if options.has_extension(&http) {
                add_routes(&method, &options, &http, &mut routes)?;
            }
        }
        routes.sort_by(|a, b| a.template.cmp(&b.template));
        Ok(Self(routes))
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.0
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let mut others = Vec::new();
        for route in &self.0 {
            match route.template.captures(path) {
                Some(captures) if route.http_method == *method => return Found::Route(route, captures),
                Some(_) => others.push(route.http_method.as_str()),
                None => {}
            }
        }
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
    }
}

fn add_routes(
    rpc: &MethodDescriptor,
    options: &DynamicMessage,
    http: &ExtensionDescriptor,
    routes: &mut Vec<Route>,
) -> Result<(), GatewayError> {
    let unsupported = || GatewayError::UnsupportedRule { rpc: rpc.full_name().to_owned() };
    let option = options.get_extension(http);
    let rule = option.as_message().ok_or_else(unsupported)?;
    routes.push(route(rpc, rule).ok_or_else(unsupported)?);
    let more = rule.get_field_by_name("additional_bindings");
    for rule in more.as_ref().and_then(|more| more.as_list()).unwrap_or_default() {
        routes.push(rule.as_message().and_then(|rule| route(rpc, rule)).ok_or_else(unsupported)?);
    }
    Ok(())
}

fn route(rpc: &MethodDescriptor, rule: &DynamicMessage) -> Option<Route> {
    let text = |name: &str| {
        let value = rule.get_field_by_name(name)?;
        value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
    let (http_method, path) = methods
        .into_iter()
        .find_map(|method| Some((method.clone(), text(&method.as_str().to_ascii_lowercase())?)))?;
    let body = match text("body").as_deref() {
        Some("*") => RouteBody::Request,
        None => RouteBody::None,
        Some(_) => return None,
    };
    let is_plain = text("response_body").is_none() && !rpc.is_client_streaming();
    let template = Template::parse(&path)?;
    let exists = template.fields().all(|field| super::fields::find(&rpc.input(), field).is_some());
    (is_plain && exists).then(|| Route { http_method, path, rpc: rpc.clone(), body, template })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_has_a_route_and_no_two_share_one() {
        let table = RouteTable::new(loom_proto::descriptor_pool()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for route in table.routes() {
            assert!(seen.insert((route.http_method.to_string(), route.path.clone())), "{route:?}");
        }
        let service = loom_proto::descriptor_pool().get_service_by_name("loom.v1.LoomService").unwrap();
        for rpc in service.methods() {
            assert!(table.routes().iter().any(|route| route.rpc == rpc), "{}", rpc.name());
        }
    }
}
